"""Functions that fail, die, or stand still between any two of their calls.

One that stands still is a thread that waits; never more than one of them moves, so a run of this is as reproducible
as any other.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidegate.domain.errors import TransientError
from tidegate.ports import Ports

from tests.support.fakes import World

if TYPE_CHECKING:
    from tests.unit.steps.fire import Fire
    from tests.unit.steps.played import Run

Function = Callable[[Mapping[str, Any], Ports], Mapping[str, Any]]


class ViolationError(AssertionError):
    """An invariant does not hold."""


class KilledError(BaseException):
    """The function's time is over: nothing it could catch."""


@dataclass(frozen=True)
class Trouble:
    """At the function's call number `at`: `fails` (nothing was done), `lost` (done, no answer), `dies` (before it) or
    `dies after`, `stands still`. `worn_out` says that it was the last retry; `skew` is its clock's, in seconds."""

    what: str = ""
    at: int = 0
    worn_out: bool = False
    skew: int = 0


NONE = Trouble()


class SkewedClock:
    def __init__(self, world: World, skew: int) -> None:
        self._world = world
        self._skew = timedelta(seconds=skew)

    def now(self) -> datetime:
        return self._world.clock.now() + self._skew


class Wire:
    """One port of one function."""

    def __init__(self, port: Any, invocation: Invocation) -> None:
        self._port = port
        self._invocation = invocation

    def __getattr__(self, name: str) -> Any:
        return functools.partial(self._invocation.call, getattr(self._port, name), name)


class Invocation:
    """A function that was called; `result` or `error` tell how it went when it is `over`."""

    def __init__(self, fire: Fire, function: Function, event: Mapping[str, Any], trouble: Trouble) -> None:
        self.function = function
        self.event = event
        self.trouble = trouble
        self.began = fire.world.clock.now()
        self.run: Run | None = None
        self.over = False
        self.result: Mapping[str, Any] = {}
        self.error: BaseException | None = None
        self._fire = fire
        self._calls = 0
        self._killed = False
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)

    def start(self) -> Invocation:
        if self.trouble.what == "stands still":
            threading.Thread(target=self._in_its_thread, daemon=True).start()
            self.go_on()
        else:
            self._work()
        return self

    def go_on(self, trouble: Trouble = NONE, *, killed: bool = False) -> None:
        """After it stood still: to its end, or its next trouble."""
        self._killed = killed
        if self._calls:
            self.trouble = replace(trouble, at=self._calls - 1 + trouble.at, skew=self.trouble.skew)
        self._go.release()
        self._back.acquire()

    def call(self, method: Callable[..., Any], name: str, *args: Any, **more: Any) -> Any:
        trouble, number = self.trouble, self._calls
        self._calls += 1
        what = trouble.what if number == trouble.at else ""
        if what == "stands still":
            self._back.release()
            self._go.acquire()
            if self._killed:
                raise KilledError
            # It may stand still, or die, once more, at the same call or later.
            self._calls = number
            return self.call(method, name, *args, **more)
        if what == "dies":
            raise KilledError
        if what == "fails":
            raise TransientError(f"{name} was throttled")
        answer = self._fire.watched(self, method, name, *args, **more)
        if what == "dies after":
            raise KilledError
        if what == "lost":
            raise TransientError(f"the answer of {name} was lost")
        return answer

    def _in_its_thread(self) -> None:
        self._go.acquire()
        self._work()
        self._back.release()

    def _work(self) -> None:
        try:
            self.result = self.function(self.event, self._fire.wired(self))
        except BaseException as error:  # noqa: BLE001 -- told to whoever looks, in its own thread
            self.error = error
        self.over = True
