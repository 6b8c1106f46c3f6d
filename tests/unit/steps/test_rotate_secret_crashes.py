"""A rotation that is cut off before or after any call that it makes ends well, and nobody is locked out on the way.

The cases are made of the calls that a whole rotation makes: one that is added is among them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import pytest
from tidegate.domain.errors import TransientError
from tidegate.domain.rotation import CURRENT, PENDING, PROMOTE, RETIRE, TOKEN
from tidegate.ports import Ports

from tests.support.logins import FakeLogin
from tests.unit.steps.invoked import KilledError
from tests.unit.steps.rotations import (
    FORWARD,
    KINDS,
    NEXT_DEPLOYMENT,
    OLD_PASSWORD,
    SECRET,
    Rotations,
    Run,
)

# The call is not made, or made and not answered; the function dies of it, or is told.
HOWS = ("dies before", "dies after", "fails", "loses")


class Call(NamedTuple):
    step: str
    name: str


@dataclass
class Tap:
    """Sees each call of each port, cuts off that with the number `at`, and looks after each who can log in."""

    rotations: Rotations
    at: int = -1
    how: str = ""
    calls: list[Call] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    cut_off: Call | None = None

    def ports(self, step: str) -> Ports:
        ports = self.rotations.world.ports
        return replace(
            ports, **{port.name: Wire(self, step, getattr(ports, port.name)) for port in fields(ports)}
        )

    def call(self, step: str, name: str, method: Any, *args: Any, **more: Any) -> Any:
        number = len(self.calls)
        self.calls.append(Call(step, name))
        how = self.how if number == self.at else ""
        if how:
            self.cut_off = self.calls[-1]
        if how == "dies before":
            raise KilledError
        if how == "fails":
            raise TransientError("it was throttled")
        answer = method(*args, **more)
        self.look(step)
        if how == "dies after":
            raise KilledError
        if how == "loses":
            raise TransientError("its answer was lost")
        return Wire(self, step, answer) if isinstance(answer, FakeLogin) else answer

    def look(self, step: str) -> None:
        """Invariant I3: whatever a task may have been started with logs in, until the old value is retired."""
        current = self.rotations.text()
        if current not in self.held:
            self.held.append(current)
        for text in [current] if step == RETIRE else self.held:
            assert self.rotations.works(text), f"locked out in {step} by {self.calls[-1].name}"


class Wire:
    def __init__(self, tap: Tap, step: str, port: Any) -> None:
        self._tap, self._step, self._port = tap, step, port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return functools.partial(self._tap.call, self._step, name, found) if callable(found) else found


def played(name: str, stops_after: str = "") -> list[Call]:
    tap = Tap(Rotations.of(name))
    Run(tap.rotations, ports=tap.ports, stops_after=stops_after).to_the_end()
    return tap.calls


def cases(*, undone: bool = False, last: str = RETIRE) -> Iterator[Any]:
    """(kind, where somebody aborts, number of the call, how it is cut off)."""
    for name in KINDS:
        for stops_after in FORWARD[:-1] if undone else ("",):
            for number, call in enumerate(played(name, stops_after)):
                if undone == (call.step in FORWARD) or FORWARD.index(last) < _index(call.step):
                    continue
                for how in HOWS:
                    at = f"{name}-{stops_after}{call.step}-{number}-{call.name}-{how.replace(' ', '-')}"
                    yield pytest.param(name, stops_after, number, how, id=at)


def _index(step: str) -> int:
    return FORWARD.index(step) if step in FORWARD else -1


def assert_rotated(rotations: Rotations, deployment: str | None = None) -> None:
    """The new value alone is left."""
    assert rotations.works(rotations.text())
    value = rotations.world.secrets.value(SECRET)
    assert OLD_PASSWORD not in value.get("keys", [value.get("password")])
    stages = rotations.world.secrets.stages(SECRET)
    assert PENDING not in stages
    for user in rotations.world.logins.users.values():
        assert user.second is None
    if rotations.strategy == "alternating":
        users = rotations.world.logins.users
        assert [users["app"].login, users["app_clone"].login].count(True) == 1


def assert_as_before(rotations: Rotations, before: str) -> None:
    assert rotations.text() == before
    assert rotations.works(before)
    assert PENDING not in rotations.world.secrets.stages(SECRET)


@pytest.mark.parametrize(("name", "stops_after", "number", "how"), [*cases()])
def test_what_is_cut_off_once_comes_to_its_end(name: str, stops_after: str, number: int, how: str) -> None:
    tap = Tap(Rotations.of(name), number, how)
    assert Run(tap.rotations, ports=tap.ports).to_the_end() == "Rotated"
    assert tap.cut_off is not None
    assert_rotated(tap.rotations)
    assert tap.rotations.keeps_quiet()


@pytest.mark.parametrize(("name", "stops_after", "number", "how"), [*cases(last=PROMOTE)])
def test_what_is_cut_off_for_good_is_undone(name: str, stops_after: str, number: int, how: str) -> None:
    """And the next rotation finds all that it needs."""
    tap = Tap(Rotations.of(name), number, how)
    before = tap.rotations.text()
    outcome = Run(tap.rotations, ports=tap.ports, gives_up=FORWARD).to_the_end()
    assert tap.cut_off is not None
    if outcome == "FailedClean":
        assert_as_before(tap.rotations, before)
        again = Tap(tap.rotations)
        assert Run(again.rotations, NEXT_DEPLOYMENT, again.ports).to_the_end() == "Rotated"
    else:
        # A step that made up for it by itself.
        assert outcome == "Rotated"
    assert_rotated(tap.rotations)
    assert tap.rotations.keeps_quiet()


@pytest.mark.parametrize(("name", "stops_after", "number", "how"), [*cases(undone=True)])
def test_what_is_cut_off_while_it_is_undone_is_undone(
    name: str, stops_after: str, number: int, how: str
) -> None:
    tap = Tap(Rotations.of(name), number, how)
    before = tap.rotations.text()
    assert Run(tap.rotations, ports=tap.ports, stops_after=stops_after).to_the_end() == "FailedClean"
    assert tap.cut_off is not None
    assert_as_before(tap.rotations, before)
    again = Tap(tap.rotations)
    assert Run(again.rotations, NEXT_DEPLOYMENT, again.ports).to_the_end() == "Rotated"
    assert_rotated(tap.rotations)
    assert tap.rotations.keeps_quiet()


@pytest.mark.parametrize("name", KINDS)
def test_every_step_makes_calls_that_are_cut_off(name: str) -> None:
    """Guards the table itself: a step that the player left out would have no case."""
    assert {call.step for call in played(name)} == set(FORWARD)
    assert {call.step for call in played(name, PROMOTE)} == {*FORWARD[:-1], "Restore", "Abandon"}
    names = {call.name for call in played(name)}
    assert {"current", "version", "put_pending", "move_current", "password"} <= names
    if KINDS[name][0] != TOKEN:
        assert {"log_in", "set_password", "close"} <= names


def test_a_lockout_is_seen() -> None:
    """Guards `look`: a step that took what is current away from the database would pass."""
    rotations = Rotations.of("postgres")
    tap = Tap(rotations)
    tap.look("Set")
    rotations.world.logins.users["app"].password = "another"
    with pytest.raises(AssertionError, match="locked out"):
        tap.call("Set", "current", rotations.world.secrets.current, SECRET)
    assert rotations.world.secrets.stages(SECRET)[CURRENT]
