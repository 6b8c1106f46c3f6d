"""A run can be ended from outside: an execution that is stopped, an iteration whose sibling failed.

AWS: StopExecution ends every branch at once, and "if any iteration of a Map or branch of a Parallel state
fails, the others are stopped" (Step Functions developer guide, Parallel and Map state).
MiniStack: threads sleep on, run their next states and report what came of them.
Mended by a lifetime that every wait of a run observes.
"""

import threading
from collections.abc import Callable
from contextvars import ContextVar


class EndedError(BaseException):
    """This run was ended from outside. No error of the state machine: no Catch may see it."""


class Lifetime:
    """Ends once, with everything that was begun under it."""

    def __init__(self, parent: "Lifetime | None" = None) -> None:
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._at_end: list[Callable[[], None]] = []
        self._leave_parent = parent.at_end(self.end) if parent else lambda: None

    @property
    def over(self) -> bool:
        """Whether it was ended."""
        return self._over.is_set()

    def at_end(self, act: Callable[[], None]) -> Callable[[], None]:
        """Call `act` when this ends, at once if it has; returns what takes that back."""
        with self._lock:
            if not self._over.is_set():
                self._at_end.append(act)
                return lambda: self._forget(act)
        act()
        return lambda: None

    def end(self) -> None:
        """End it; every wait under it raises `EndedError`."""
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
            acts, self._at_end = self._at_end, []
        for act in acts:
            act()

    def close(self) -> None:
        """It came to its own end: nothing is stopped any more when the parent ends."""
        self._leave_parent()

    def check(self) -> None:
        """Raise `EndedError` if it was ended."""
        if self._over.is_set():
            raise EndedError

    def sleep(self, seconds: float) -> None:
        """Let time pass. Raises `EndedError`."""
        if self._over.wait(max(0.0, seconds)):
            raise EndedError

    def _forget(self, act: Callable[[], None]) -> None:
        with self._lock:
            if act in self._at_end:
                self._at_end.remove(act)


_current: ContextVar[Lifetime | None] = ContextVar("tidegate_lifetime", default=None)


def current() -> Lifetime:
    """The lifetime this code runs under; one without end outside an execution."""
    return _current.get() or Lifetime()


def enter(lifetime: Lifetime) -> None:
    """Run the rest of this context under `lifetime`."""
    _current.set(lifetime)
