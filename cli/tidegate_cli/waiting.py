"""`--wait --timeout`: how long to follow."""

from __future__ import annotations

from tidegate.domain.durations import parse_duration
from tidegate.domain.errors import BadInputError


def seconds_of(timeout: str | None, wait: bool) -> float | None:
    """None for no end. BadInputError for what is no duration, and for a time-out without --wait."""
    if timeout is None:
        return None
    if not wait:
        raise BadInputError("--timeout means nothing without --wait", field="--timeout", hint="add --wait")
    try:
        return parse_duration(timeout).total_seconds()
    except ValueError as error:
        raise BadInputError(
            f"{timeout!r} is {error}", field="--timeout", hint="write it as 90s, 30m or 2h"
        ) from None
