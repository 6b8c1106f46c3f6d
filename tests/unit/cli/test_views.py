"""The documents of `--json`, key by key: the contract's, from what the ledger holds."""

from __future__ import annotations

from tidegate.domain.deployment import Current, Deployment, FailureReport, Line, Machine, Phase
from tidegate.domain.errors import RefusalError
from tidegate.domain.lock import Lock
from tidegate.domain.outcome import Outcome
from tidegate.domain.plan import Plan, ServicePlan
from tidegate.steps.planning import Proposal
from tidegate.steps.services import Busy
from tidegate_cli.environments import Running, Standstill
from tidegate_cli.views import (
    failure_entry,
    history_entry,
    lock_entry,
    plan_document,
    refused_plan,
    shown_deployment,
    status_entry,
)

AT = "2026-03-02T09:00:00.000Z"
HISTORY_KEYS = {
    "deployment",
    "release",
    "commit",
    "outcome",
    "actor",
    "reason",
    "started_at",
    "finished_at",
}
STATUS_KEYS = {"system", "environment", "release", "since", "services", "lock", "freeze", "in_flight"}


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


def planned(*, changed: bool = True) -> ServicePlan:
    return ServicePlan(
        "api", "shop-api", 1, "app", "sha256:2", "repo@sha256:2", "app", "td:2", "td:1", None, changed
    )


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


def test_a_plan_says_what_changes_and_which_gates_it_passes() -> None:
    changes = {"api": [{"path": "cpu", "from": "256", "to": "512"}]}
    proposal = Proposal(Plan("c", (planned(),)), "c2", {"app": "sha256:2"}, None, (), changes)
    document = plan_document(proposal, Lock("shop", "production"))
    assert document.keys() >= {"outcome_if_run", "services", "migrations", "gates"}
    assert document["outcome_if_run"] == "Succeeded"
    service = document["services"]["api"]
    assert service.keys() >= {"changed", "wave", "image", "digest", "from", "to", "base", "differences"}
    assert service["differences"] == changes["api"]
    assert [(gate["gate"], gate["passes"]) for gate in document["gates"]] == [
        ("plan", True),
        ("settled", True),
        ("lock", True),
    ]


def test_a_plan_that_would_wait_says_for_whom() -> None:
    held = Lock("shop", "production").acquired("01Z", "arn", "hotfix", AT)
    busy = Busy("api", "c", "shop-api", "ecs-svc/9")
    document = plan_document(Proposal(Plan("c", (planned(changed=False),)), None, {}, 1, (busy,)), held)
    assert document["outcome_if_run"] == "Succeeded"
    reasons = {gate["gate"]: gate["reason"] for gate in document["gates"] if not gate["passes"]}
    assert "ecs-svc/9" in reasons["settled"]
    assert "behind deployment 01Z (hotfix)" in reasons["lock"]


def test_a_plan_without_changes_is_no_change() -> None:
    proposal = Proposal(Plan("c", (planned(changed=False),)), None, {}, 1)
    assert plan_document(proposal, Lock("shop", "production"))["outcome_if_run"] == "NoChange"


def test_a_refused_plan_names_the_gates_reason() -> None:
    error = RefusalError("the breaker is off", field="services.api", hint="switch it on")
    document = refused_plan(error, Lock("shop", "production"))
    assert document["outcome_if_run"] == "Refused"
    assert document["gates"][0] == {
        "gate": "plan",
        "passes": False,
        "reason": "the breaker is off (switch it on)",
        "field": "services.api",
    }


def test_a_plan_shows_no_password_of_a_plain_environment() -> None:
    change = {
        "path": "containerDefinitions[app].environment[DB_PASSWORD]",
        "from": None,
        "to": {"name": "DB_PASSWORD", "value": "hunter2"},
    }
    url = {
        "path": "containerDefinitions[app].environment[URL].value",
        "from": None,
        "to": "redis://me:pw@host",
    }
    other = {**change, "path": f"{change['path']}.value", "from": "letmein", "to": "sesame"}
    proposal = Proposal(Plan("c", (planned(),)), None, {}, 1, (), {"api": [change, url, other]})
    text = str(plan_document(proposal, Lock("shop", "production")))
    assert "hunter2" not in text
    assert "me:pw" not in text
    assert "letmein" not in text
    assert "sesame" not in text
