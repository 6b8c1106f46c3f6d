"""watch: one deployment to its outcome, or a line for each environment in which something is under way."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from rich.console import Console
from tidegate.domain.deployment import Line, Rollout
from tidegate.domain.plan import Plan, ServicePlan
from tidegate.domain.rollout import Direction
from tidegate.steps.resuming import COMPLETED
from tidegate_cli.in_flight import in_flight, service_states
from tidegate_cli.rendering.in_flight import FlightBoard

from tests.unit.cli.building import Machine
from tests.unit.cli.conftest import Terminal
from tests.unit.cli.waiting import awaiting, settings
from tests.unit.steps.conftest import SYSTEM

NOW = datetime(2026, 3, 2, 9, 5, tzinfo=UTC)


def interrupt() -> None:
    raise KeyboardInterrupt


def document(outcome: str, deployment: str) -> str:
    said = {"outcome": outcome, "deployment": deployment, "release": "r1", "reason": "why", "services": {}}
    return json.dumps(said)


def end(terminal: Terminal, identity: str, outcome: str) -> None:
    found = terminal.shop.ledger.find(identity)
    assert found is not None
    status = "FAILED" if outcome.startswith("Failed") else "SUCCEEDED"
    terminal.shop.world.executions.end(found.execution, status, document(outcome, identity))


# one deployment


@pytest.mark.parametrize(
    ("outcome", "exit_code"), [("Succeeded", 0), ("FailedClean", 10), ("Superseded", 40)]
)
def test_one_deployment_is_watched_to_its_outcome(terminal: Terminal, outcome: str, exit_code: int) -> None:
    identity = str(terminal.shop.release(2)["deployment"])
    terminal.scenes = [lambda: None, lambda: end(terminal, identity, outcome)]
    result = terminal.run("watch", identity.lower(), "--json")
    assert (result.exit_code, json.loads(result.stdout)["outcome"]) == (exit_code, outcome)
    assert "deployment requested by ada" in result.stderr
    human = terminal.run("watch", identity)
    assert (human.exit_code, outcome in human.stdout) == (exit_code, True)


def test_an_approval_that_is_awaited_is_followed(terminal: Terminal) -> None:
    identity = str(awaiting(terminal)["deployment"])
    terminal.scenes = [interrupt]
    result = terminal.run("watch", identity)
    assert result.exit_code == 0
    assert f"tidegate approve {identity}" in result.stdout


def test_ctrl_c_ends_the_watching(terminal: Terminal) -> None:
    identity = str(terminal.shop.release(2)["deployment"])
    terminal.scenes = [interrupt]
    assert terminal.run("watch", identity).exit_code == 0
    terminal.scenes = [interrupt]
    error = terminal.json("watch", identity, exit_code=130)["error"]
    assert error["code"] == "interrupted"


def test_the_timeout_ends_it_with_124(terminal: Terminal) -> None:
    identity = str(terminal.shop.release(2)["deployment"])
    said = terminal.json("watch", identity, "--timeout", "3s", exit_code=124)
    assert (said["error"]["code"], terminal.paused) == ("timeout", 3)
    result = terminal.run("watch", "--timeout", "3s")
    assert (result.exit_code, terminal.paused) == (124, 6)
    assert "goes on" in result.stderr


def test_what_is_no_deployment_is_not_watched(terminal: Terminal) -> None:
    assert terminal.json("watch", "latest", exit_code=2)["error"]["field"] == "DEPLOYMENT"
    error = terminal.json("watch", "01JQ8Z5T3M9X4N7V2B6C1D0EFG", exit_code=2)["error"]
    assert error["code"] == "not_found"
    machine = Machine(terminal)
    terminal.json("build", SYSTEM, "--commit", "c7")
    machine.select()
    error = terminal.json("watch", machine.build, exit_code=2)["error"]
    assert error["hint"] == f"tidegate show {machine.build}"


# everything


def test_with_json_what_is_in_flight_now_is_one_document(terminal: Terminal) -> None:
    assert terminal.json("watch") == []
    settings(terminal, queue="fifo")
    waiting: Any = terminal.shop.release(2, reason="a feature")
    running: Any = terminal.shop.release(3)
    fence = terminal.shop.acquire(running)
    terminal.shop.acquire(waiting, "lock-2")
    terminal.shop.roll(running, "api", fence)
    first, second = terminal.json("watch")
    assert (first["deployment"], first["phase"], first["services"]) == (
        running["deployment"],
        "Rolling",
        {"api": "rolling", "worker": "waiting"},
    )
    assert (second["deployment"], second["phase"], second["reason"]) == (
        waiting["deployment"],
        "Queued",
        "a feature",
    )
    assert (first["what"], first["system"], first["release"], first["who"]) == (
        "deployment",
        SYSTEM,
        "r2",
        "ada",
    )
    assert terminal.paused == 0


def test_a_build_is_in_flight_as_well(terminal: Terminal) -> None:
    machine = Machine(terminal)
    terminal.json("build", SYSTEM, "--commit", "c7")
    machine.select()
    machine.start("app")
    [entry] = terminal.json("watch")
    assert (entry["what"], entry["build"], entry["commit"], entry["environment"]) == (
        "build",
        machine.build,
        "c7",
        None,
    )
    assert entry["images"]["app"] == "Building"


def test_where_nobody_looks_each_change_is_one_line(terminal: Terminal) -> None:
    planned: list[Any] = []

    def start() -> None:
        planned.append(terminal.shop.release(2))

    def finish() -> None:
        fence = terminal.shop.acquire(planned[0])
        for service in ("api", "worker"):
            terminal.shop.roll(planned[0], service, fence)
            terminal.shop.world.containers.complete(f"shop-{service}")
        terminal.shop.record(planned[0], "Succeed", fence)

    terminal.scenes = [start, lambda: None, partial(finish), interrupt]
    result = terminal.run("watch")
    assert result.exit_code == 0
    lines = [line.split("  ", 1)[1] for line in result.stdout.splitlines()]
    assert lines == [
        "nothing is in flight",
        "shop/production  r1  planned  api waiting, worker waiting",
        "shop/production  r1  Succeeded",
    ]


def test_the_board_has_one_row_for_each_environment(terminal: Terminal) -> None:
    settings(terminal, queue="fifo")
    running: Any = terminal.shop.release(2)
    terminal.shop.acquire(running)
    terminal.shop.acquire(terminal.shop.release(3), "lock-3")
    screen = io.StringIO()
    board = FlightBoard(
        Console(file=screen, width=160, force_terminal=False), lambda entry: {**entry, "outcome": "Succeeded"}
    )
    with board:
        board.show(in_flight(terminal.shop.world.ports), NOW)
        board.show(in_flight(terminal.shop.world.ports)[:1], NOW)
        board.show([], NOW)
    lines = screen.getvalue().splitlines()
    assert "nothing is in flight" in lines[0]
    assert [line.split() for line in lines[1:]] == [
        ["shop/production", "r2", "Succeeded"],
        ["shop/production", "r1", "Succeeded"],
    ]
    screen = io.StringIO()
    with FlightBoard(Console(file=screen, width=160, force_terminal=False), dict) as board:
        board.show(in_flight(terminal.shop.world.ports), NOW)
    [row] = screen.getvalue().splitlines()
    for told in (
        "shop/production",
        "r1",
        "rolling",
        "api waiting, worker waiting",
        "ada",
        "1 more behind it",
    ):
        assert told in row


def test_what_has_become_of_each_service() -> None:
    def service(key: str, *, changed: bool = True) -> ServicePlan:
        return ServicePlan(key, key, 1, "app", "d", "u", "app", "td:1", "td:1", None, changed)

    def at(second: int) -> str:
        return f"2026-03-02T09:00:0{second}.000Z"

    plan = Plan("c", (service("api"), service("cron", changed=False), service("web"), service("worker")))
    rollouts = [
        Rollout("api", Direction.ROLL, "arn", at(1)),
        Rollout("api", Direction.REVERT, "arn", at(3)),
        Rollout("worker", Direction.ROLL, "arn", at(2), outcome="RolledBack"),
    ]
    told = [Line(at(2), COMPLETED, "api")]
    assert service_states(plan, rollouts[:1], told) == {
        "api": "Rolled",
        "web": "waiting",
        "worker": "waiting",
    }
    assert service_states(plan, rollouts, told) == {
        "api": "reverting",
        "web": "waiting",
        "worker": "RolledBack",
    }
    back = [*told, Line(at(4), COMPLETED, "api")]
    assert service_states(plan, rollouts, back)["api"] == "Reverted"
