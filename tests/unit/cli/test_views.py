"""The documents of `--json`, key by key: the contract's, from what the ledger holds."""

from __future__ import annotations

from tidegate.domain.deployment import Current, Deployment, FailureReport, Line, Machine, Phase
from tidegate.domain.lock import Lock
from tidegate.domain.outcome import Outcome
from tidegate_cli.environments import Running, Standstill
from tidegate_cli.views import (
    failure_entry,
    history_entry,
    lock_entry,
    shown_deployment,
    status_entry,
)

AT = "2026-03-02T09:00:00.000Z"
HISTORY_KEYS = {
    "deployment",
    "what",
    "release",
    "commit",
    "outcome",
    "actor",
    "reason",
    "started_at",
    "finished_at",
}
STATUS_KEYS = {
    "system",
    "environment",
    "release",
    "since",
    "services",
    "schema",
    "lock",
    "freeze",
    "in_flight",
    "phase",
    "queue",
}


def deployment(outcome: Outcome | None = None, identity: str = "01A") -> Deployment:
    return Deployment(
        identity,
        "shop",
        "production",
        Machine.DEPLOY,
        "arn:execution",
        AT,
        phase=Phase.ENDED if outcome else Phase.ROLLING,
        outcome=outcome,
        release=None if outcome is Outcome.REFUSED else 2,
        commit="c2",
        actor="ada",
        reason="a feature",
        explanation="how it ended" if outcome else "",
    )


def report(service: str, exit_code: int | None = 1) -> FailureReport:
    task = {
        "task": "f00",
        "reason": "Essential container in task exited",
        "stop_code": "EssentialContainerExited",
        "container": "app",
        "exit_code": exit_code,
        "logs": ["boom"],
    }
    return FailureReport(service, "circuit breaker", (task,), ("an event",), ("shop-5xx",))


def test_history_has_the_contracts_keys_and_null_while_running() -> None:
    assert history_entry(deployment()).keys() == HISTORY_KEYS
    assert history_entry(deployment())["outcome"] is None
    ended = history_entry(deployment(Outcome.FAILED_CLEAN))
    assert (ended["release"], ended["outcome"], ended["reason"]) == ("r2", "FailedClean", "a feature")
    assert history_entry(deployment(Outcome.REFUSED))["release"] is None


def test_show_is_the_history_entry_with_timeline_and_failure() -> None:
    line = Line(AT, "rolling", "api", "td:2")
    document = shown_deployment(deployment(Outcome.SUCCEEDED), [line, Line(AT, "Succeeded")], [])
    assert document.keys() > HISTORY_KEYS
    assert document["failure"] is None
    assert "failures" not in document
    assert document["timeline"] == [
        {"at": AT, "what": "rolling", "service": "api", "detail": "td:2"},
        {"at": AT, "what": "Succeeded"},
    ]


def test_one_failure_is_one_object_with_everything_that_ecs_said() -> None:
    document = shown_deployment(deployment(Outcome.FAILED_CLEAN), [], [report("worker", 137)])
    failure = document["failure"]
    assert failure.keys() >= {"service", "tasks", "events", "alarms"}
    [task] = failure["tasks"]
    assert (task["container"], task["exit_code"], task["logs"]) == ("app", 137, ["boom"])
    assert task["reason"] == "Essential container in task exited"
    assert "failures" not in document


def test_several_failures_lead_with_the_one_that_says_most() -> None:
    silent = FailureReport("api", "replaced")
    document = shown_deployment(
        deployment(Outcome.FAILED_CLEAN), [], [silent, report("cron", None), report("worker")]
    )
    assert document["failure"]["service"] == "worker"
    assert [failure["service"] for failure in document["failures"]] == ["worker", "cron", "api"]


def test_a_task_without_logs_still_has_the_keys() -> None:
    entry = failure_entry(FailureReport("api", "", ({"reason": "CannotPullContainerError"},)))
    assert entry["tasks"] == [{"reason": "CannotPullContainerError", "exit_code": None, "logs": []}]


def test_a_lock_is_null_when_it_is_free() -> None:
    assert lock_entry(Lock("shop", "production")) is None
    held = Lock("shop", "production").acquired("01A", "arn", "a feature", AT)
    assert lock_entry(held) == {"owner": "01A", "reason": "a feature", "since": AT, "fence": 1}


def test_status_has_the_contracts_keys() -> None:
    lock = Lock("shop", "production").acquired("01A", "arn", "", AT)
    current = Current(1, "01", AT, 1)
    services = {"api": Running("sha256:1", "arn:td:1", 2, 1)}
    entry = status_entry(Standstill("shop", "production", current, services, lock, (deployment(),)))
    assert entry.keys() == STATUS_KEYS
    assert (entry["release"], entry["since"], entry["in_flight"]) == ("r1", AT, "01A")
    assert entry["services"] == {
        "api": {"digest": "sha256:1", "task_definition": "arn:td:1", "desired": 2, "running": 1}
    }


def test_what_is_under_way_is_the_locks_owner_before_those_who_wait() -> None:
    lock = Lock("shop", "production").acquired("01A", "arn", "", AT)
    waiting = (deployment(identity="01B"), deployment(identity="01A"))
    assert Standstill("shop", "production", None, {}, lock, waiting).in_flight == "01A"
    assert Standstill("shop", "production", None, {}, lock, ()).in_flight is None
    assert Standstill("shop", "production", None, {}, lock, (waiting[0],)).in_flight == "01B"
