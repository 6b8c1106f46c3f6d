"""Executions that stand still where a test wants them: in a state that was entered and has done nothing yet.

No mend: AWS has no such thing. A fault can then fall between two steps of a machine every time, not when the
race happens to go that way. What stands there can be stopped and times out as if it waited for a slow Task.
A distributed Map's own states are MiniStack's to walk; they are not held.
"""

import threading
from dataclasses import dataclass
from typing import Any

from tidegate_local.states import lifetime

Json = Any


@dataclass(frozen=True, slots=True)
class Hold:
    """Where to stand: a state of the machines named `<stack>-<machine>`, of one system or of all."""

    machine: str
    state: str
    system: str | None = None
    """What the execution's input has as `system`; None for every execution."""

    def covers(self, place: "Place") -> bool:
        """Whether who is there stands."""
        return (
            place.machine_name.endswith(f"-{self.machine}")
            and self.state == place.state
            and self.system in (None, place.system)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A state that an execution, or one of its iterations or branches, has entered."""

    machine_name: str
    state: str
    execution: str
    system: str | None


class Holds:
    """The holds that are set, and who stands at them."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._set: list[Hold] = []
        self._standing: list[Place] = []

    def set(self, hold: Hold) -> None:
        """From now on, whoever enters the state stands. Who is in it already goes on."""
        with self._news:
            if hold not in self._set:
                self._set.append(hold)

    def release(self, hold: Hold) -> bool:
        """Take this very hold away; who stands at no other goes on. False if it was not set."""
        with self._news:
            if hold not in self._set:
                return False
            self._set.remove(hold)
            self._news.notify_all()
            return True

    def standing(self) -> list[dict[str, str | None]]:
        """Who stands, oldest first: `machine` and `state` of the hold, `execution` an ARN, `system` of its input.

        Iterations of one Map have an entry each.
        """
        with self._news:
            found = [(place, self._hold_at(place)) for place in self._standing]
        return [
            {
                "machine": hold.machine,
                "state": place.state,
                "execution": place.execution,
                "system": place.system,
            }
            for place, hold in found
            if hold is not None
        ]

    def stand(self, ctx: dict[str, Any]) -> None:
        """Stay for as long as the state that `ctx` is in is held. Raises `EndedError`."""
        given = ctx["Execution"]["Input"]
        system = given.get("system") if isinstance(given, dict) else None
        place = Place(
            machine_name=ctx["StateMachine"]["Name"],
            state=ctx["State"]["Name"],
            execution=ctx["Execution"]["Id"],
            system=system if isinstance(system, str) else None,
        )
        under = lifetime.current()
        forget = under.at_end(self._wake)
        try:
            with self._news:
                self._standing.append(place)
                while self._hold_at(place) and not under.over:
                    self._news.wait()
                self._standing.remove(place)
        finally:
            forget()
        under.check()

    def _hold_at(self, place: Place) -> Hold | None:
        return next((hold for hold in self._set if hold.covers(place)), None)

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()


HOLDS = Holds()
"""Those of this process, which is one embedded cloud: the walk knows no other way to them."""
