"""abort, approve, reject, freeze, unfreeze, unlock: what is asked of the function `control`, how its answer is told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import typer
from tidegate.domain.errors import TransientError
from tidegate.domain.outcome import Outcome
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks

from tests.unit.cli.conftest import CALLER, Terminal
from tests.unit.cli.waiting import awaiting
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM

PLACE = (SYSTEM, ENVIRONMENT)
NOBODYS = "01JQ8Z5T3M9X4N7V2B6C1D0EFG"


def people(terminal: Terminal) -> Interventions:
    return Interventions(terminal.shop.world.store, terminal.shop.world.clock)


def rolling(terminal: Terminal, version: int = 2) -> str:
    planned = terminal.shop.release(version)
    terminal.shop.acquire(planned, f"lock-{version}")
    return str(planned["deployment"])


def ended(terminal: Terminal, identity: str, outcome: Outcome) -> None:
    deployment = terminal.shop.ledger.find(identity)
    assert deployment is not None
    document = {
        "outcome": outcome.value,
        "deployment": identity,
        "release": "r1",
        "reason": "",
        "services": {},
    }
    status = "FAILED" if outcome.failed else "SUCCEEDED"
    terminal.shop.world.executions.end(deployment.execution, status, json.dumps(document))


# abort


def test_abort_asks_for_it_and_says_who_did(terminal: Terminal) -> None:
    identity = rolling(terminal)
    done = terminal.json("abort", identity.lower(), "--reason", "error rate doubled")
    assert (done["command"], done["by"], done["did"], done["deployment"]) == (
        "abort",
        CALLER,
        "aborting",
        identity,
    )
    abort = people(terminal).abort_of(identity)
    assert abort is not None
    assert (abort.by, abort.reason) == (CALLER, "error rate doubled")
    human = terminal.run("--stack", "two", "abort", identity, "--reason", "again").stdout
    assert f"tidegate --stack two show {identity}" in human
    assert "by on-call/ada" in human


@pytest.mark.parametrize(
    ("outcome", "exit_code"),
    [
        (Outcome.FAILED_CLEAN, 0),
        (Outcome.SUPERSEDED, 0),
        (Outcome.REFUSED, 0),
        (Outcome.FAILED_DIRTY, 20),
        (Outcome.SUCCEEDED, 1),
    ],
)
def test_an_abort_that_is_followed_ends_well_when_nothing_is_left(
    terminal: Terminal, outcome: Outcome, exit_code: int
) -> None:
    identity = rolling(terminal)
    terminal.scenes = [lambda: ended(terminal, identity, outcome)]
    result = terminal.run("abort", identity, "--reason", "x", "--wait", "--json")
    assert result.exit_code == exit_code
    assert json.loads(result.stdout)["outcome"] == outcome.value
    assert "abort requested" in result.stderr


def test_an_abort_of_one_that_began_a_moment_ago_waits_for_its_record(terminal: Terminal) -> None:
    terminal.json("deploy", *PLACE, "--commit", "c2")
    identity = terminal.started.name
    terminal.scenes = [terminal.planned, lambda: ended(terminal, identity, Outcome.FAILED_CLEAN)]
    result = terminal.run("abort", identity, "--reason", "x", "--wait", "--json")
    assert (result.exit_code, json.loads(result.stdout)["deployment"]) == (0, identity)
    terminal.json("deploy", *PLACE, "--commit", "c3")
    never = terminal.json("abort", terminal.started.name, "--reason", "x", "--wait", exit_code=1)
    assert never["error"]["code"] == "not_recorded"


def test_the_timeout_of_an_abort_stops_the_following_alone(terminal: Terminal) -> None:
    identity = rolling(terminal)
    said = terminal.json("abort", identity, "--reason", "x", "--wait", "--timeout", "5s", exit_code=124)
    assert (said["error"]["code"], said["deployment"], terminal.paused) == ("timeout", identity, 5)


def test_what_has_ended_is_not_aborted(terminal: Terminal) -> None:
    identity = str(terminal.shop.go_out(2)["document"]["deployment"])
    error = terminal.json("abort", identity, "--reason", "x", exit_code=30)["error"]
    assert (error["code"], error["field"]) == ("refused", "DEPLOYMENT")
    assert "tidegate rollback shop production" in error["hint"]
    assert terminal.run("abort", identity, "--reason", "x").exit_code == 30


@pytest.mark.parametrize(
    ("arguments", "field", "code"),
    [
        (["abort", NOBODYS, "--reason", "x"], "DEPLOYMENT", "not_found"),
        (["abort", "latest", "--reason", "x"], "DEPLOYMENT", "bad_input"),
        (["abort", NOBODYS], "--reason", "bad_usage"),
        (["abort", NOBODYS, "--reason", "x", "--timeout", "5m"], "--timeout", "bad_input"),
        (["approve", NOBODYS, "--yes"], "DEPLOYMENT", "not_found"),
        (["reject", NOBODYS, "--reason", "x"], "DEPLOYMENT", "not_found"),
        (["reject", NOBODYS], "--reason", "bad_usage"),
        (["freeze", *PLACE], "--reason", "bad_usage"),
        (["freeze", *PLACE, "--reason", "x", "--until", "soon"], "--until", "bad_input"),
        (["freeze", *PLACE, "--reason", ""], "--reason", "bad_input"),
        (["freeze", "shpo", ENVIRONMENT, "--reason", "x"], "SYSTEM", "not_found"),
        (["unlock", SYSTEM, "prodution", "--reason", "x"], "ENV", "not_found"),
    ],
)
def test_a_slip_names_what_is_wrong(terminal: Terminal, arguments: list[str], field: str, code: str) -> None:
    error = terminal.json(*arguments, exit_code=2)["error"]
    assert (error["field"], error["code"]) == (field, code)
    assert error["hint"]


def test_no_answer_is_an_error_that_says_to_try_again(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent() -> None:
        raise TransientError("function tidegate-control did not answer")

    monkeypatch.setattr(terminal, "meanwhile", silent)
    error = terminal.json("freeze", *PLACE, "--reason", "x", exit_code=1)["error"]
    assert (error["code"], error["hint"]) == ("transient", "AWS did not answer in time: try again")


# approve, reject


def test_who_approves_sees_what_would_change_and_is_asked(terminal: Terminal) -> None:
    terminal.shop.go_out(2)
    identity = str(awaiting(terminal, 3, reason="a feature")["deployment"])
    terminal.somebody = True
    result = terminal.run("approve", identity, input="y\n")
    assert result.exit_code == 0, result.output
    for told in ("shop/production  r2", "asked for by ada", "a feature", "shop-api:2 → a new revision"):
        assert told in result.stdout
    assert "Approve this?" in result.stderr
    assert "approved" in result.stdout
    approval = people(terminal).approval(*PLACE, identity)
    assert approval is not None
    assert (approval.decision, approval.by) == ("Approved", CALLER)
    assert terminal.shop.world.executions.answers["approval-3"]["outcome"] == "Approved"


def test_who_says_no_approves_nothing(terminal: Terminal) -> None:
    identity = str(awaiting(terminal)["deployment"])
    terminal.somebody = True
    result = terminal.run("approve", identity, input="n\n")
    assert result.exit_code == 1
    assert "was not approved" in result.stderr
    assert terminal.commands == []


@pytest.mark.parametrize(("json_", "somebody"), [(True, True), (True, False), (False, False)])
def test_where_nobody_can_be_asked_the_command_is_the_decision(
    terminal: Terminal, json_: bool, somebody: bool
) -> None:
    """Guards `asks`: a script is not held up by a question."""
    identity = str(awaiting(terminal)["deployment"])
    terminal.somebody = somebody
    result = terminal.run("approve", identity, *(["--json"] if json_ else []))
    assert result.exit_code == 0, result.output
    assert [entry["command"] for entry in terminal.commands] == ["approve"]


def test_an_approval_with_json_is_one_document(terminal: Terminal) -> None:
    identity = str(awaiting(terminal)["deployment"])
    done = terminal.json("approve", identity, "--yes", "--reason", "change 812")
    assert (done["command"], done["did"], done["deployment"], done["release"]) == (
        "approve",
        "approved",
        identity,
        "r1",
    )
    [command] = people(terminal).commands()
    assert (command["reason"], command["by"]) == ("change 812", CALLER)


def test_another_plan_than_the_one_that_was_shown_is_not_approved(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards the hash in `approve`: the one of the plan on the screen, not of the plan when the person says yes."""
    planned = awaiting(terminal)
    deployment, store = terminal.shop.deployment(planned), people(terminal)
    approval = store.approval(*PLACE, deployment.id)
    assert approval is not None
    assert deployment.plan is not None
    plan = replace(deployment.plan, cluster="elsewhere")

    def planned_again(*_: object, **__: object) -> bool:
        terminal.shop.ledger.save(replace(deployment, plan=plan))
        store.ask_approval(*PLACE, replace(approval, plan=plan.hash))
        return True

    terminal.somebody = True
    monkeypatch.setattr(typer, "confirm", planned_again)
    result = terminal.run("approve", deployment.id)
    assert result.exit_code == 30
    assert "is not the one that you saw" in result.stderr
    assert terminal.shop.world.executions.answers.get("approval-2") is None


def test_the_author_does_not_approve_where_another_has_to(terminal: Terminal) -> None:
    identity = str(awaiting(terminal, approval={"by": "other"}, actor=CALLER)["deployment"])
    error = terminal.json("approve", identity, "--yes", exit_code=30)["error"]
    assert error["code"] == "refused"
    assert "somebody else" in error["message"]
    terminal.caller = "arn:aws:sts::123456789012:assumed-role/on-call/bob"
    assert terminal.json("approve", identity, "--yes")["did"] == "approved"


def test_what_waits_for_nobody_is_not_approved(terminal: Terminal) -> None:
    identity = rolling(terminal)
    error = terminal.json("approve", identity, "--yes", exit_code=30)["error"]
    assert "waits for no approval" in error["message"]
    approved = str(awaiting(terminal, 3)["deployment"])
    terminal.json("approve", approved, "--yes")
    error = terminal.json("approve", approved, "--yes", exit_code=30)["error"]
    assert f"was approved by {CALLER}" in error["message"]


def test_a_rejection_ends_the_waiting(terminal: Terminal) -> None:
    identity = str(awaiting(terminal)["deployment"])
    assert terminal.json("reject", identity, "--reason", "not before the sale")["did"] == "rejected"
    answer = terminal.shop.world.executions.answers["approval-2"]
    assert answer["outcome"] == "Rejected"
    assert (
        "rejected" in terminal.run("reject", str(awaiting(terminal, 3)["deployment"]), "--reason", "x").stdout
    )


# freeze, unfreeze, unlock


def test_a_freeze_holds_until_it_is_lifted(terminal: Terminal) -> None:
    done = terminal.json("freeze", *PLACE, "--reason", "incident 93", "--until", "2h")
    assert done["did"] == "frozen"
    assert done["until"].endswith("Z")
    frozen = people(terminal).freeze(*PLACE)
    assert frozen is not None
    assert (frozen.by, frozen.reason, frozen.until) == (CALLER, "incident 93", done["until"])
    assert "until it is lifted" in terminal.run("freeze", *PLACE, "--reason", "worse").stdout
    assert terminal.json("unfreeze", *PLACE, "--reason", "over")["did"] == "unfrozen"
    assert people(terminal).freeze(*PLACE) is None
    assert terminal.json("unfreeze", *PLACE, exit_code=30)["error"]["field"] == "ENV"


def dirty(terminal: Terminal) -> str:
    """A deployment that left its lock and a mess."""
    identity = rolling(terminal)
    deployment = terminal.shop.ledger.find(identity)
    assert deployment is not None
    terminal.shop.ledger.end(deployment, Outcome.FAILED_DIRTY, "left a mess")
    return identity


def test_a_stuck_lock_is_broken(terminal: Terminal) -> None:
    identity = dirty(terminal)
    deployment = terminal.shop.ledger.find(identity)
    assert deployment is not None
    error = terminal.json("unlock", *PLACE, "--reason", "checked", exit_code=30)["error"]
    assert "holds the lock and runs" in error["message"]
    terminal.shop.world.executions.end(deployment.execution, "FAILED")
    done: dict[str, Any] = terminal.json("unlock", *PLACE, "--reason", "checked")
    assert (done["did"], done["owner"]) == ("unlocked", identity)
    assert Locks(terminal.shop.world.store, terminal.shop.world.clock).read(*PLACE).free
    assert terminal.run("unlock", *PLACE, "--reason", "checked").exit_code == 30
