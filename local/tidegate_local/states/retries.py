"""Retry and Catch: what matches, and how long to wait.

AWS: the wait is IntervalSeconds times BackoffRate to the power of the retries so far, never more than
MaxDelaySeconds; JitterStrategy FULL draws it from zero to that (Step Functions developer guide, "Handling
errors in Step Functions workflows"). `States.ALL` catches neither States.Runtime nor
States.DataLimitExceeded, and `States.TaskFailed` everything but States.Timeout.
MiniStack: knows neither MaxDelaySeconds nor JitterStrategy (it cuts at 60 s) and lets States.ALL catch
everything.
"""

import random
from typing import Any

from ministack.services import stepfunctions as sfn

UNCATCHABLE = ("States.Runtime", "States.DataLimitExceeded")


def matches(names: list[str], error: str) -> bool:
    """Whether a retrier or catcher with these ErrorEquals takes the error."""
    if error in names:
        return True
    if error == "States.HeartbeatTimeout" and "States.Timeout" in names:
        # The guide describes States.Timeout as covering a missed heartbeat as well.
        return True
    if "States.ALL" in names:
        return error not in UNCATCHABLE
    return "States.TaskFailed" in names and error not in ("States.Timeout", *UNCATCHABLE)


class Attempts:
    """Counts the retries of one state, each retrier for itself."""

    def __init__(self, retriers: list[dict[str, Any]]) -> None:
        self._retriers = retriers
        self._counts: dict[int, int] = {}

    @property
    def made(self) -> int:
        """`$states.context.State.RetryCount`."""
        return sum(self._counts.values())

    def delay_after(self, error: str) -> float | None:
        """Seconds until the next attempt, or None if there is none."""
        for index, retrier in enumerate(self._retriers):
            if not matches(retrier.get("ErrorEquals", []), error):
                continue
            count = self._counts.get(index, 0)
            if count >= retrier.get("MaxAttempts", 3):
                return None
            self._counts[index] = count + 1
            return _delay(retrier, count) * float(sfn._SFN_WAIT_SCALE)
        return None


def _delay(retrier: dict[str, Any], count: int) -> float:
    delay = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** count
    delay = min(delay, float(retrier.get("MaxDelaySeconds", delay)))
    if retrier.get("JitterStrategy") == "FULL":
        return random.uniform(0, delay)  # noqa: S311 -- spreads load, keeps no secret
    return delay
