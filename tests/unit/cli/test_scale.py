"""`tidegate scale`: what is started, what is said of it, and how it is told everywhere else."""

from __future__ import annotations

import json

import pytest
from tidegate_cli.in_flight import in_flight

from tests.unit.cli.conftest import CALLER, Terminal
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM

PLACE = (SYSTEM, ENVIRONMENT)
WORKER = "shop-worker"


def asked(terminal: Terminal, count: int) -> str:
    """The deployment that asks for it, planned by the machine."""
    return str(terminal.shop.plan(scale={"service": "worker", "count": count}, reason="slow")["deployment"])


def test_it_starts_the_deployment_of_a_count(terminal: Terminal) -> None:
    document = terminal.json("scale", *PLACE, "worker", "3", "--reason", "the queue is long")
    assert set(document) == {"deployment", "execution"}
    (run,) = terminal.shop.world.executions.started
    assert (run.machine, run.name) == ("deploy", document["deployment"])
    assert run.payload == {
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "scale": {"service": "worker", "count": 3},
        "reason": "the queue is long",
        "actor": CALLER,
    }


def test_without_waiting_it_says_how_to_follow_it(terminal: Terminal) -> None:
    said = terminal.run("scale", *PLACE, "worker", "3").stdout
    assert "started: scaling " in said
    assert "tidegate show " in said
    assert "switched off" not in said


def test_none_at_all_is_said_clearly(terminal: Terminal) -> None:
    said = terminal.run("scale", *PLACE, "worker", "0").stdout
    assert "worker is to be switched off: it does nothing until somebody scales it up" in said
    assert terminal.json("scale", *PLACE, "worker", "0")["deployment"]


@pytest.mark.parametrize(
    ("service", "count", "field"),
    [("worker", "1001", "N"), ("wor/ker", "3", "SERVICE"), ("worker", "three", "N")],
)
def test_a_slip_costs_no_execution(terminal: Terminal, service: str, count: str, field: str) -> None:
    error = terminal.json("scale", *PLACE, service, count, exit_code=2)["error"]
    assert field in (error.get("field") or error["message"])
    assert terminal.shop.world.executions.started == []


def test_a_count_below_nothing_is_refused(terminal: Terminal) -> None:
    """Without the two dashes it would be an option."""
    result = terminal.run("scale", "--json", *PLACE, "worker", "--", "-1")
    assert (result.exit_code, json.loads(result.stdout)["error"]["field"]) == (2, "N")


def test_a_system_that_nobody_registered_is_named(terminal: Terminal) -> None:
    error = terminal.json("scale", "shpo", ENVIRONMENT, "worker", "3", exit_code=2)["error"]
    assert error["field"] == "SYSTEM"


class TestElsewhere:
    def test_the_history_says_which_service_and_how_many(self, terminal: Terminal) -> None:
        identity = asked(terminal, 3)
        (entry,) = terminal.json("history", *PLACE)
        assert (entry["deployment"], entry["what"]) == (identity, "scaling")
        assert entry["scale"] == {"service": "worker", "count": 3}
        assert "worker=3" in terminal.run("history", *PLACE).stdout

    def test_the_changes_too(self, terminal: Terminal) -> None:
        asked(terminal, 3)
        (entry,) = terminal.json("changes", "--since", "1h")
        assert (entry["what"], entry["scale"]) == ("scaling", {"service": "worker", "count": 3})
        assert "worker=3" in terminal.run("changes", "--since", "1h").stdout

    def test_one_that_was_refused_too(self, terminal: Terminal) -> None:
        terminal.shop.plan(scale={"service": "nobody", "count": 3})
        assert terminal.json("history", *PLACE)[0]["scale"] == {"service": "nobody", "count": 3}

    def test_show_has_it_in_its_head(self, terminal: Terminal) -> None:
        identity = asked(terminal, 3)
        assert terminal.json("show", identity)["scale"] == {"service": "worker", "count": 3}
        human = terminal.run("show", identity).stdout
        assert "scaling to worker=3" in human
        assert f"tidegate abort {identity}" in human

    def test_after_a_failure_nobody_is_told_to_release_again(self, terminal: Terminal) -> None:
        shop = terminal.shop
        shop.go_out(2)
        planned = shop.plan(scale={"service": "worker", "count": 3})
        shop.record(planned, "Fail", shop.acquire(planned), error=None)
        human = terminal.run("show", str(planned["deployment"])).stdout
        assert "tidegate deploy" not in human
        assert "tidegate status" in human

    def test_watch_knows_what_became_of_it(self, terminal: Terminal) -> None:
        shop = terminal.shop
        planned = shop.plan(scale={"service": "worker", "count": 3})
        fence = shop.acquire(planned)
        shop.roll(planned, "worker", fence)
        (entry,) = in_flight(shop.world.ports)
        assert (entry["what"], entry["services"]) == ("scaling", {"worker": "rolling"})
        shop.world.clock.advance(1)
        shop.world.containers.settle(WORKER)
        shop.resume()
        (entry,) = in_flight(shop.world.ports)
        assert entry["services"] == {"worker": "Scaled"}
        shop.world.clock.advance(1)
        shop.roll(planned, "worker", fence, "Revert")
        (entry,) = in_flight(shop.world.ports)
        assert entry["services"] == {"worker": "reverting"}
