"""`apply` and the schedules of rotations."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.domain.rotation import SecretStanding
from tidegate.domain.schedule import Schedule
from tidegate.ledger.rotations import Rotations

from tests.support.clock import iso
from tests.unit.cli.conftest import Terminal
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, manifest

DATABASE, TOKEN = "shop/production/database", "shop/token"
Apply = Callable[..., Any]


@pytest.fixture
def apply(terminal: Terminal, tmp_path: Path) -> Apply:
    """`apply(DATABASE="30d")`: a manifest with these secrets, by their intervals (None for none)."""

    def run(secrets: dict[str, str | None], exit_code: int = 0) -> Any:
        written = {
            name: {"kind": "token", **({} if every is None else {"every": every})}
            for name, every in secrets.items()
        }
        path = tmp_path / "tidegate.yaml"
        path.write_text(json.dumps(manifest(secrets=written)))
        return terminal.json("apply", str(path), "-e", ENVIRONMENT, exit_code=exit_code)

    return run


def kept(terminal: Terminal) -> dict[str, timedelta]:
    return {one.secret: one.every for one in terminal.shop.world.schedules.kept.values()}


def test_a_secret_with_an_interval_gets_a_schedule(terminal: Terminal, apply: Apply) -> None:
    now = terminal.shop.world.clock.now()
    done = apply({"shop/{environment}/database": "30d", TOKEN: None})
    assert done["schedules"] == [
        {"secret": DATABASE, "every": "30d", "did": "created", "next": iso(now + timedelta(days=30))}
    ]
    assert kept(terminal) == {DATABASE: timedelta(days=30)}


def test_the_same_again_changes_nothing_and_puts_nothing_off(terminal: Terminal, apply: Apply) -> None:
    """Red where a schedule begins anew with each `apply`: a system that is applied daily would never rotate."""
    first = apply({DATABASE: "30d"})
    terminal.shop.world.clock.advance(days=10)
    again = apply({DATABASE: "30d"})
    assert again["changed"] is False
    assert again["schedules"] == [{**first["schedules"][0], "did": "unchanged"}]


def test_another_interval_counts_from_the_last_rotation(terminal: Terminal, apply: Apply) -> None:
    apply({DATABASE: "90d"})
    now = terminal.shop.world.clock.advance(days=10)
    rotated = iso(now - timedelta(days=2))
    rotations = Rotations(terminal.shop.world.store, terminal.shop.world.clock)
    terminal.shop.world.store.transact(
        [rotations.standing_write(SYSTEM, ENVIRONMENT, SecretStanding(DATABASE, rotated_at=rotated))]
    )
    (entry,) = apply({DATABASE: "7d"})["schedules"]
    assert (entry["did"], entry["next"]) == ("changed", iso(now + timedelta(days=5)))


def test_what_somebody_switched_off_is_on_again_at_its_times(terminal: Terminal, apply: Apply) -> None:
    then = apply({DATABASE: "30d"})["schedules"][0]["next"]
    schedules = terminal.shop.world.schedules
    ((name, made),) = schedules.kept.items()
    schedules.kept[name] = Schedule(SYSTEM, ENVIRONMENT, DATABASE, made.every, made.begins, enabled=False)
    terminal.shop.world.clock.advance(days=3)
    (entry,) = apply({DATABASE: "30d"})["schedules"]
    assert (entry["did"], entry["next"]) == ("changed", then)
    assert schedules.kept == {name: made}


@pytest.mark.parametrize("left", [{TOKEN: "7d"}, {TOKEN: "7d", DATABASE: None}])
def test_the_schedule_of_a_secret_that_was_dropped_is_removed(
    terminal: Terminal, apply: Apply, left: dict[str, str | None]
) -> None:
    apply({DATABASE: "30d", TOKEN: "7d"})
    elsewhere = Schedule(SYSTEM, "staging", DATABASE, timedelta(days=1), terminal.shop.world.clock.now())
    terminal.shop.world.schedules.put(elsewhere)
    done = {entry["secret"]: (entry["did"], entry["next"]) for entry in apply(left)["schedules"]}
    assert done[DATABASE] == ("removed", None)
    assert done[TOKEN][0] == "unchanged"
    assert elsewhere.name in terminal.shop.world.schedules.kept, "another environment's own"
    assert kept(terminal).keys() == {TOKEN, DATABASE}


def test_a_system_that_rotates_nothing_needs_no_permission_and_no_group(
    terminal: Terminal, apply: Apply
) -> None:
    schedules = terminal.shop.world.schedules
    schedules.fails("of", OutsideError("scheduler:ListSchedules: AccessDeniedException"))
    assert apply({TOKEN: None})["schedules"] == []
    schedules.group = False
    assert apply({})["schedules"] == []


def test_what_fails_after_the_manifest_was_registered_says_so(terminal: Terminal, apply: Apply) -> None:
    denied = OutsideError(
        "scheduler:CreateSchedule: AccessDenied", hint="allow scheduler:CreateSchedule to …"
    )
    terminal.shop.world.schedules.fails("put", denied)
    told = apply({DATABASE: "30d"}, exit_code=1)
    assert told["error"]["message"].startswith("the manifest is registered, but its rotations are not all")
    assert "iam:PassRole on its output RotationScheduleRoleArn" in told["error"]["hint"]
    assert (told["system"], told["changed"]) == (SYSTEM, True)
    assert apply({DATABASE: "30d"})["schedules"][0]["did"] == "created"


def test_an_installation_that_is_older_is_told_how_to_mend_it(terminal: Terminal, apply: Apply) -> None:
    terminal.shop.world.schedules.group = False
    told = apply({DATABASE: "30d"}, exit_code=1)
    assert "no group" in told["error"]["message"]
    assert told["error"]["hint"] == "sam deploy"


def test_a_removal_that_failed_is_made_up_for(terminal: Terminal, apply: Apply) -> None:
    apply({DATABASE: "30d"})
    terminal.shop.world.schedules.fails("remove", TransientError("throttled"))
    told = apply({}, exit_code=1)
    assert told["error"]["code"] == "transient"
    assert [entry["did"] for entry in apply({})["schedules"]] == ["removed"]
    assert kept(terminal) == {}


def test_a_person_is_told_each_of_them(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "tidegate.yaml"
    path.write_text(json.dumps(manifest(secrets={DATABASE: {"kind": "token", "every": "12h"}})))
    said = terminal.run("apply", str(path), "-e", ENVIRONMENT).stdout
    assert f"rotation of {DATABASE} created: every 12h, next " in said
