"""When an environment takes rollbacks only: windows of every week, and a freeze that a person sets.

A window follows the wall clock of its time zone: the environment is frozen at every instant at which that clock reads
from `start` (included) to `end` (excluded). When clocks go forward, a window ends with the jump over its end, and one
that lies within the jump does not come that week; when they go back, times that the clock reads twice are frozen twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Protocol

from tidegate.domain.durations import PATTERN, format_duration, parse_duration
from tidegate.domain.errors import BadInputError

# A freeze is meant for a release that must wait, not for a year that was mistyped.
LONGEST_FREEZE: Final = timedelta(days=90)
_WEEK: Final = timedelta(days=7)
# No zone changes its clocks twice within the hour.
_HOUR: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)


class Moment(Protocol):
    """A moment of every week; `weekday` counts from Monday, 0."""

    @property
    def weekday(self) -> int: ...
    @property
    def hour(self) -> int: ...
    @property
    def minute(self) -> int: ...


class Window(Protocol):
    """A part of every week, over its end if need be; `timezone` is a name of the IANA database.

    One that ends when it starts is empty: the manifest's rules refuse it, and here it never holds.
    """

    @property
    def start(self) -> Moment: ...
    @property
    def end(self) -> Moment: ...
    @property
    def timezone(self) -> str: ...


def window_at(windows: Iterable[Window], now: datetime) -> Window | None:
    """The first window that holds at an instant."""
    return next((window for window in windows if _holds(window, now)), None)


def ends(window: Window, now: datetime) -> datetime:
    """The first instant after `now`, in UTC, at which a window no longer holds. ValueError where it does not hold."""
    if not _holds(window, now):
        raise ValueError("the window does not hold at that instant")
    moment = now.astimezone(UTC)
    while True:
        left = (_of_week(window.end) - _read(window, moment)) % _WEEK
        change = _change(_zone(window.timezone), moment, moment + left)
        if change is None:
            return moment + left
        if not _holds(window, change):
            return change
        moment = change


def _zone(name: str) -> tzinfo:
    # Only planning reads windows: the other functions, which know the freeze that a person sets, start without it.
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    return ZoneInfo(name)


def _holds(window: Window, now: datetime) -> bool:
    start = _of_week(window.start)
    return (_read(window, now) - start) % _WEEK < (_of_week(window.end) - start) % _WEEK


def _of_week(moment: Moment) -> timedelta:
    return timedelta(days=moment.weekday, hours=moment.hour, minutes=moment.minute)


def _read(window: Window, now: datetime) -> timedelta:
    """What the window's clock reads, since Monday 00:00."""
    wall = now.astimezone(_zone(window.timezone))
    return timedelta(
        days=wall.weekday(),
        hours=wall.hour,
        minutes=wall.minute,
        seconds=wall.second,
        microseconds=wall.microsecond,
    )


def _change(zone: tzinfo, after: datetime, last: datetime) -> datetime | None:
    """The first instant behind `after`, up to `last`, with another offset from UTC. `zoneinfo` keeps its own list of
    them to itself; they are at whole seconds."""
    offset = after.astimezone(zone).utcoffset()
    before = after
    while before < last:
        later = min(before + _HOUR, last)
        if later.astimezone(zone).utcoffset() != offset:
            return _first_other(zone, before.replace(microsecond=0), later)
        before = later
    return None


def _first_other(zone: tzinfo, before: datetime, later: datetime) -> datetime:
    """The whole second at which the offset changes, in the hour between two instants that have different ones."""
    offset = before.astimezone(zone).utcoffset()
    same, other = 0, -((before - later) // _SECOND)
    while other - same > 1:
        middle = (same + other) // 2
        if (before + middle * _SECOND).astimezone(zone).utcoffset() == offset:
            same = middle
        else:
            other = middle
    return before + other * _SECOND


@dataclass(frozen=True, slots=True)
class Freeze:
    """Set by a person; `since` and `until` are ISO 8601 in UTC. Without `until` it holds until it is lifted."""

    by: str
    reason: str
    since: str
    until: str | None = None

    def holds(self, now: datetime) -> bool:
        """Until `until`, excluded. `since` is for people: the clock that wrote it may be ahead of this one."""
        return self.until is None or now < datetime.fromisoformat(self.until)

    def to_json(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Freeze:
        return cls(**{entry.name: item[entry.name] for entry in fields(cls) if entry.name in item})


def parse_until(text: str, now: datetime) -> datetime:
    """The instant, in UTC, that `freeze --until` names: a duration from now (`2h`) or an ISO 8601 moment.

    Raises BadInputError naming `until` for anything else, a moment without an offset, one that is not ahead and one
    more than 90 days ahead.
    """
    until = _after(text, now) if re.fullmatch(PATTERN, text) else _iso_moment(text)
    if until <= now:
        raise _bad(
            f"{_shown(text)} is not in the future", "give a time that is still to come, for example 2h"
        )
    if until - now > LONGEST_FREEZE:
        longest = format_duration(LONGEST_FREEZE)
        raise _bad(
            f"{_shown(text)} is more than {longest} ahead",
            f"{longest} at most; leave it out to freeze until somebody lifts it",
        )
    return until.astimezone(UTC)


def _after(text: str, now: datetime) -> datetime:
    try:
        return now + parse_duration(text)
    except ValueError:
        # Longer than any duration may be, and so longer than a freeze.
        return now + LONGEST_FREEZE + _SECOND


def _iso_moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _bad(
            f"{_shown(text)} is neither a duration nor a moment",
            "write a duration such as 2h, or a moment such as 2026-11-23T08:00Z",
        ) from None
    if moment.utcoffset() is None:
        raise _bad(
            f"{_shown(text)} does not say in which time zone it is",
            f"add Z for UTC or an offset: {moment.isoformat(timespec='minutes')}Z",
        )
    return moment


def _shown(text: str) -> str:
    return ascii(text[:100])


def _bad(message: str, hint: str) -> BadInputError:
    return BadInputError(message, field="until", hint=hint)
