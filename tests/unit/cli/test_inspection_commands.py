"""status, history, show."""

from __future__ import annotations

from tidegate.domain.errors import OutsideError
from tidegate.steps import roll_service

from tests.unit.cli.conftest import CALLER, Terminal
from tests.unit.cli.test_views import HISTORY_KEYS, STATUS_KEYS
from tests.unit.cli.waiting import awaiting, settings
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Shop, digest

PLACE = (SYSTEM, ENVIRONMENT)


def crash(shop: Shop, version: int = 2) -> str:
    """A release whose worker does not come up; the deployment's id."""
    planned = shop.release(version)
    fence = shop.acquire(planned, f"lock-{version}")
    containers, ecs = shop.world.containers, "shop-worker"
    shop.roll(planned, "worker", fence)
    task = containers.crash_task(ecs, exit_code=137, container_reason="OutOfMemoryError: Container killed")
    shop.world.logs.write(f"/ecs/{ecs}", f"ecs/app/{task.id}", "loading", "password=hunter2", "killed")
    containers.event(ecs, "deployment failed: tasks failed to start.")
    failed = containers.fail(ecs)
    event = {
        "step": "Report",
        **shop.place(planned),
        "service": "worker",
        "direction": "Roll",
        "fence": fence,
        "outcome": "RolledBack",
        "reason": failed.rollout_state_reason,
    }
    roll_service.run(event, shop.world.ports)
    containers.complete(ecs)
    shop.record(planned, "Fail", fence)
    return str(planned["deployment"])


# status


def test_before_the_first_release_status_says_what_ecs_runs(terminal: Terminal) -> None:
    [entry] = terminal.json("status")
    assert entry.keys() == STATUS_KEYS
    assert (entry["release"], entry["lock"], entry["freeze"], entry["in_flight"]) == (None, None, None, None)
    assert entry["services"]["api"] == {
        "digest": digest(1),
        "task_definition": terminal.shop.world.containers.service("shop-api").primary.task_definition,
        "desired": 2,
        "running": 2,
    }
    assert "nothing released yet" in terminal.run("status").stdout


def test_after_a_release_status_says_since_when(terminal: Terminal) -> None:
    terminal.shop.go_out(2)
    [entry] = terminal.json("status", *PLACE)
    assert entry["release"] == "r1"
    assert entry["since"].startswith("2026-03-02T")
    assert {service["digest"] for service in entry["services"].values()} == {digest(2)}
    human = terminal.run("status", SYSTEM).stdout
    assert "shop/production  r1  since" in human
    assert "2/2" in human


def test_status_shows_who_holds_the_environment(terminal: Terminal) -> None:
    planned = terminal.shop.release(2, reason="a feature")
    terminal.shop.acquire(planned)
    [entry] = terminal.json("status", *PLACE)
    assert entry["in_flight"] == planned["deployment"]
    assert entry["lock"].keys() == {"owner", "reason", "since", "fence"}
    assert entry["lock"]["reason"] == "a feature"
    assert f"under way: deployment {planned['deployment']}" in terminal.run("status").stdout


def test_status_shows_a_freeze_that_a_person_put_on(terminal: Terminal) -> None:
    done = terminal.json("freeze", *PLACE, "--reason", "incident 93", "--until", "2h")
    [entry] = terminal.json("status")
    assert entry["freeze"].keys() == {"by", "reason", "since", "until"}
    assert (entry["freeze"]["by"], entry["freeze"]["until"]) == (CALLER, done["until"])
    human = terminal.run("status").stdout
    assert "frozen until" in human
    assert "by on-call/ada: incident 93" in human
    terminal.shop.world.clock.advance(2 * 60 * 60)
    assert terminal.json("status")[0]["freeze"] is None


def test_status_shows_a_freeze_window_that_holds(terminal: Terminal) -> None:
    """The clock of these tests reads Monday, 9 o'clock in UTC."""
    settings(terminal, freeze=[{"from": "Sun 16:00", "to": "Mon 12:00", "timezone": "Europe/London"}])
    [entry] = terminal.json("status")
    assert entry["freeze"] == {
        "window": "Sun 16:00 to Mon 12:00 Europe/London",
        "until": "2026-03-02T12:00:00.000Z",
    }
    assert "Sun 16:00 to Mon 12:00 Europe/London" in terminal.run("status").stdout
    terminal.json("freeze", *PLACE, "--reason", "incident 93")
    assert terminal.json("status")[0]["freeze"]["reason"] == "incident 93"
    assert "until it is lifted" in terminal.run("status").stdout
    terminal.json("unfreeze", *PLACE)
    terminal.shop.world.registry.texts[SYSTEM, ENVIRONMENT] = "{"
    assert terminal.json("status")[0]["freeze"] is None


def test_status_shows_what_waits_for_a_person_or_for_its_turn(terminal: Terminal) -> None:
    settings(terminal, queue="fifo")
    running = terminal.shop.release(2)
    terminal.shop.acquire(running)
    terminal.shop.acquire(terminal.shop.release(3, reason="a feature"), "lock-3")
    [entry] = terminal.json("status")
    assert (entry["in_flight"], entry["phase"]) == (running["deployment"], "Rolling")
    assert [waiter["reason"] for waiter in entry["queue"]] == ["a feature"]
    assert "1 more waiting behind it, 1 in the queue" in terminal.run("status").stdout


def test_status_says_that_a_deployment_waits_for_approval(terminal: Terminal) -> None:
    planned = awaiting(terminal)
    [entry] = terminal.json("status")
    assert (entry["in_flight"], entry["phase"]) == (planned["deployment"], "AwaitingApproval")
    assert "awaiting approval" in terminal.run("status").stdout


def test_during_a_roll_status_shows_what_ecs_would_go_back_to(terminal: Terminal) -> None:
    planned = terminal.shop.release(2)
    fence = terminal.shop.acquire(planned)
    terminal.shop.roll(planned, "api", fence)
    [entry] = terminal.json("status")
    assert entry["services"]["api"]["digest"] == digest(1)


def test_a_service_that_is_gone_and_a_manifest_that_is_broken_hide_nothing_else(terminal: Terminal) -> None:
    terminal.shop.go_out(2)
    terminal.shop.world.containers.clusters["shop-cluster"].pop("shop-api")
    [entry] = terminal.json("status")
    assert entry["services"]["api"] == {"digest": None, "task_definition": None, "desired": 0, "running": 0}
    terminal.shop.world.registry.texts[SYSTEM, ENVIRONMENT] = "{"
    [entry] = terminal.json("status")
    assert (entry["release"], entry["services"]) == ("r1", {})
    assert "cannot be read" in terminal.run("status").stdout


def test_status_of_nothing_is_an_empty_list(terminal: Terminal) -> None:
    terminal.shop.world.registry.texts.clear()
    assert terminal.json("status") == []
    assert "tidegate apply" in terminal.run("status").stdout


def test_status_of_an_unknown_system_names_the_nearest(terminal: Terminal) -> None:
    error = terminal.json("status", "shpo", exit_code=2)["error"]
    assert (error["field"], error["hint"]) == ("SYSTEM", "did you mean shop?")
    error = terminal.json("status", SYSTEM, "producton", exit_code=2)["error"]
    assert (error["field"], error["hint"]) == ("ENV", "did you mean production?")


# history


def test_history_is_newest_first(terminal: Terminal) -> None:
    assert terminal.json("history", *PLACE) == []
    assert "nothing was deployed" in terminal.run("history", *PLACE).stdout
    terminal.shop.go_out(2)
    failed = crash(terminal.shop, 3)
    newest, oldest = terminal.json("history", *PLACE)
    assert newest.keys() == HISTORY_KEYS
    assert (newest["deployment"], newest["outcome"], oldest["outcome"]) == (
        failed,
        "FailedClean",
        "Succeeded",
    )
    assert [entry["deployment"] for entry in terminal.json("history", *PLACE, "--limit", "1")] == [failed]
    human = terminal.run("history", *PLACE).stdout
    assert human.index("FailedClean") < human.index("Succeeded")


def test_a_limit_is_at_least_one(terminal: Terminal) -> None:
    assert terminal.json("history", *PLACE, "--limit", "0", exit_code=2)["error"]["field"] == "--limit"


# show


def test_show_reads_like_an_incident_summary(terminal: Terminal) -> None:
    terminal.shop.go_out(2)
    failed = crash(terminal.shop, 3)
    human = terminal.run("show", failed).stdout
    for told in (
        "FailedClean",
        "the previous state is back",
        "Why worker failed",
        "container app exited with code 137: OutOfMemoryError: Container killed",
        "killed",
        "Timeline",
        "Runs now: r1",
        "tidegate history shop production",
    ):
        assert told in human
    assert human.index("Why worker failed") < human.index("Timeline") < human.index("Next")
    assert "hunter2" not in human


def test_show_as_json_has_the_failure(terminal: Terminal) -> None:
    failed = crash(terminal.shop)
    document = terminal.json("show", failed.lower())
    assert document.keys() >= HISTORY_KEYS | {"timeline", "failure"}
    assert document["failure"].keys() >= {"service", "tasks", "events", "alarms"}
    [task] = document["failure"]["tasks"]
    assert (task["exit_code"], task["container"]) == (137, "app")
    assert task["logs"][-1] == "killed"
    assert document["failure"]["events"]
    assert all({"at", "what"} <= line.keys() for line in document["timeline"])


def test_show_of_a_success_has_no_failure_and_offers_the_way_back(terminal: Terminal) -> None:
    identity = str(terminal.shop.go_out(2)["document"]["deployment"])
    assert terminal.json("show", identity)["failure"] is None
    human = terminal.run("--local", "show", identity).stdout
    assert "tidegate --local rollback shop production" in human


def test_show_of_a_run_under_way(terminal: Terminal) -> None:
    identity = str(terminal.shop.release(2)["deployment"])
    assert terminal.json("show", identity)["outcome"] is None
    assert "running" in terminal.run("show", identity).stdout


def test_show_says_who_is_to_approve_and_how(terminal: Terminal) -> None:
    identity = str(awaiting(terminal, approval={"by": "other"})["deployment"])
    document = terminal.json("show", identity)
    asked_at = document["approval"].pop("asked_at")
    assert asked_at.startswith("2026-03-02T")
    assert document["approval"] == {
        "other": True,
        "decision": None,
        "by": None,
        "reason": None,
        "decided_at": None,
    }
    human = terminal.run("show", identity).stdout
    assert "waits for somebody other than its author" in human
    assert f"tidegate approve {identity}" in human
    assert "took       awaiting approval" in human


def test_show_says_who_approved_also_when_it_has_ended(terminal: Terminal) -> None:
    """Guards the second source of `approval_entry`: the approval itself is gone with the deployment's end."""
    planned = awaiting(terminal)
    identity = str(planned["deployment"])
    terminal.json("approve", identity, "--yes", "--reason", "change 812")
    before = terminal.json("show", identity)["approval"]
    assert (before["decision"], before["by"], before["reason"]) == ("Approved", CALLER, "change 812")
    terminal.shop.record(planned, "Fail", error={"name": "X", "cause": "y"})
    terminal.json("freeze", *PLACE, "--reason", "unrelated")
    after = terminal.json("show", identity)["approval"]
    assert after == before
    assert "approved by on-call/ada" in terminal.run("show", identity).stdout


def test_show_says_who_aborted(terminal: Terminal) -> None:
    planned = terminal.shop.release(2)
    identity = str(planned["deployment"])
    assert terminal.json("show", identity)["abort"] is None
    assert f"tidegate abort {identity}" in terminal.run("show", identity).stdout
    terminal.json("abort", identity, "--reason", "error rate doubled")
    abort = terminal.json("show", identity)["abort"]
    assert (abort["by"], abort["reason"]) == (CALLER, "error rate doubled")
    human = terminal.run("show", identity).stdout
    assert "asked for by on-call/ada" in human
    assert f"tidegate abort {identity}" not in human


def test_show_of_a_restart_says_so(terminal: Terminal) -> None:
    terminal.shop.go_out(2)
    changed = {"secret": "shop/token", "version": "v2", "at": "2026-03-02T09:00:00.000Z"}
    identity = str(terminal.shop.plan(restart=changed, trigger="event")["deployment"])
    assert terminal.json("show", identity)["what"] == "restart"
    assert "restart of r1" in terminal.run("show", identity).stdout


def test_show_of_a_restart_before_any_release(terminal: Terminal) -> None:
    """Red where it speaks of a release: nobody asked for one."""
    changed = {"secret": "shop/token", "version": "v2", "at": "2026-03-02T09:00:00.000Z"}
    identity = str(terminal.shop.plan(restart=changed, trigger="event")["deployment"])
    assert "restart of what runs" in terminal.run("show", identity).stdout


def test_show_of_what_is_no_deployment(terminal: Terminal) -> None:
    error = terminal.json("show", "latest", exit_code=2)["error"]
    assert (error["code"], error["field"]) == ("bad_input", "DEPLOYMENT")
    error = terminal.json("show", "01JQ8Z5T3M9X4N7V2B6C1D0EFG", exit_code=2)["error"]
    assert error["code"] == "not_found"
    assert "tidegate history" in error["hint"]


def test_ecs_that_says_no_leaves_show_and_status_readable(terminal: Terminal) -> None:
    identity = str(terminal.shop.go_out(2)["document"]["deployment"])
    denied = OutsideError("ecs:DescribeServices: AccessDenied", hint="allow it")
    terminal.shop.world.containers.fails("services", denied, denied)
    assert terminal.run("show", identity).exit_code == 0
    assert terminal.json("status")[0]["release"] == "r1"
