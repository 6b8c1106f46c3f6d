"""Looking at something about once a second until it has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tidegate.domain.errors import TransientError

from tidegate_cli.failures import TIMED_OUT, UNEXPECTED, CommandError

POLL_SECONDS = 1.0
# A function that runs when its execution is stopped may still write; it ends within its time-out of 30 s.
LAST_WRITE_SECONDS = 40.0
# The outcome is in the ledger and the execution ends a moment later; if it does not, the ledger is enough.
LAST_STEP_SECONDS = 15.0
_FAILED_POLLS = 20

End = TypeVar("End")


@dataclass(slots=True)
class Watch:
    """How long something has been so, in seconds of the follower's clock; None while it is not."""

    since: float | None = None

    def seconds(self, is_so: bool, now: float) -> float:
        if not is_so:
            self.since = None
            return 0.0
        if self.since is None:
            self.since = now
        return now - self.since


def poll(
    look: Callable[[float], End | None],
    *,
    ran_out: Callable[[], CommandError],
    timeout: float | None,
    pause: Callable[[float], None],
    monotonic: Callable[[], float],
) -> End:
    """What `look(elapsed seconds)` gives in the end. Raises `ran_out()` when `timeout` seconds are over, and
    TransientError when AWS has not answered for a while."""
    began = monotonic()
    failed = 0
    while True:
        elapsed = monotonic() - began
        try:
            end = look(elapsed)
            failed = 0
        except TransientError:
            failed += 1
            if failed >= _FAILED_POLLS:
                raise
            end = None
        if end is not None:
            return end
        if timeout is not None and elapsed >= timeout:
            raise ran_out()
        left = POLL_SECONDS if timeout is None else min(POLL_SECONDS, timeout - elapsed)
        pause(max(0.0, left))


def timed_out(what: str, started: Mapping[str, Any], follow_up: str) -> CommandError:
    """`what` is "deployment …" or "build …", `started` the document of its start."""
    return CommandError(
        f"--timeout ran out: {what} goes on",
        code="timeout",
        exit_code=TIMED_OUT,
        hint=follow_up,
        more=dict(started),
    )


def unrecorded(execution: str, status: str, nothing: str, started: Mapping[str, Any]) -> CommandError:
    """An execution that ended as `status` before it wrote anything; `nothing` says what did not happen."""
    return CommandError(
        f"execution {execution} ended as {status} before it had begun: {nothing}",
        code="not_recorded",
        exit_code=UNEXPECTED,
        hint="start it again",
        more=dict(started),
    )
