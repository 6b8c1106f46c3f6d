"""changes: what of all that happened belongs to the last hour, and how it is told."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.building import Machine
from tests.unit.cli.conftest import CALLER, Terminal
from tests.unit.cli.waiting import awaiting
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM

PLACE = (SYSTEM, ENVIRONMENT)
KEYS = {"at", "what", "system", "environment", "who", "reason", "outcome"}
HOUR = 3600


def changes(terminal: Terminal, since: str = "1h") -> list[dict[str, Any]]:
    return list(terminal.json("changes", "--since", since))


def test_nothing_changed(terminal: Terminal) -> None:
    assert changes(terminal) == []
    assert "nothing changed in the last 1h" in terminal.run("changes").stdout


def test_everything_that_changed_is_listed_newest_first(terminal: Terminal) -> None:
    clock = terminal.shop.world.clock
    deployed = str(terminal.shop.go_out(2)["document"]["deployment"])
    clock.advance(60)
    terminal.json("freeze", *PLACE, "--reason", "incident 93", "--until", "2h")
    clock.advance(60)
    terminal.json("abort", deployed, "--reason", "too late", exit_code=30)
    clock.advance(60)
    back = terminal.shop.plan(step="PlanRollback", to="previous", reason="worse")
    entries = changes(terminal)
    assert all(entry.keys() >= KEYS for entry in entries)
    assert [(entry["what"], entry["outcome"]) for entry in entries] == [
        ("rollback", None),
        ("abort", "Refused"),
        ("freeze", "frozen"),
        ("deployment", "Succeeded"),
    ]
    rollback, abort, freeze, deployment = entries
    assert (rollback["deployment"], rollback["reason"], rollback["finished_at"]) == (
        back["deployment"],
        "worse",
        None,
    )
    assert (abort["who"], abort["reason"]) == (CALLER, "too late")
    assert abort["explanation"] == f"deployment {deployed} has ended: Succeeded"
    assert (freeze["who"], freeze["reason"], freeze["environment"]) == (CALLER, "incident 93", ENVIRONMENT)
    assert freeze["until"] > freeze["at"]
    assert (deployment["release"], deployment["commit"], deployment["who"]) == ("r1", "c2", "ada")
    assert deployment["at"] == deployment["finished_at"]
    human = terminal.run("changes").stdout
    assert human.index("rollback") < human.index("incident 93") < human.rindex("Succeeded")
    assert "on-call/ada" in human


def test_what_ended_before_is_left_out(terminal: Terminal) -> None:
    terminal.shop.go_out(2)
    terminal.json("freeze", *PLACE, "--reason", "incident 93")
    terminal.shop.world.clock.advance(HOUR + 1)
    assert changes(terminal) == []
    assert len(changes(terminal, "2h")) == 2


def test_a_run_that_started_before_and_goes_on_is_a_change(terminal: Terminal) -> None:
    """Guards that open items are asked for without `since`."""
    planned = terminal.shop.release(2)
    terminal.shop.world.clock.advance(5 * HOUR)
    [entry] = changes(terminal)
    assert (entry["deployment"], entry["outcome"]) == (planned["deployment"], None)


def test_a_run_that_started_before_and_ended_within_is_a_change(terminal: Terminal) -> None:
    """Guards the time that is looked back for: an approval may be awaited for 30 days."""
    planned = awaiting(terminal)
    terminal.shop.world.clock.advance(29 * 24 * HOUR)
    terminal.shop.record(planned, "Fail", error={"name": "States.Timeout", "cause": ""})
    [entry] = changes(terminal)
    assert (entry["deployment"], entry["outcome"]) == (planned["deployment"], "FailedClean")
    assert entry["started_at"] < entry["at"] == entry["finished_at"]


def test_builds_are_changes(terminal: Terminal) -> None:
    machine = Machine(terminal)
    terminal.json("build", SYSTEM, "--commit", "c7", "--reason", "base image mended")
    machine.select()
    [entry] = changes(terminal)
    assert (entry["what"], entry["build"], entry["commit"], entry["outcome"]) == (
        "build",
        machine.build,
        "c7",
        None,
    )
    machine.give_up()
    terminal.shop.world.clock.advance(60)
    [entry] = changes(terminal)
    assert (entry["outcome"], entry["environment"], entry["reason"]) == ("Failed", None, "base image mended")
    assert machine.build in terminal.run("changes").stdout
    terminal.shop.world.clock.advance(HOUR)
    assert changes(terminal) == []


def test_a_restart_is_told_as_one(terminal: Terminal) -> None:
    changed = {"secret": "shop/token", "version": "v2", "at": "2026-03-02T09:00:00.000Z"}
    planned = terminal.shop.plan(restart=changed, trigger="event")
    assert planned["deployment"]
    assert [entry["what"] for entry in changes(terminal)] == ["restart"]


def test_a_span_is_a_duration(terminal: Terminal) -> None:
    error = terminal.json("changes", "--since", "yesterday", exit_code=2)["error"]
    assert (error["field"], error["code"]) == ("--since", "bad_input")
    assert error["hint"]
