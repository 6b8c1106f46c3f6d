"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    def __init__(self, start: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float = 0, **parts: float) -> datetime:
        """`advance(30)`, `advance(minutes=5)`: any part that `timedelta` takes."""
        self._now += timedelta(seconds=seconds, **parts)
        return self._now


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as every adapter gives it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
