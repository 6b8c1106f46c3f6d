"""When a secret is rotated without anybody asking: an interval, from a moment on, and where it is kept.

Limits are those of EventBridge Scheduler (its API reference, CreateSchedule): names of 64 characters of
`[0-9a-zA-Z-_.]`, flexible time windows of 1 to 1440 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

_SHOWN: Final = 12  # characters of a name that a person may recognise it by; the hashes tell names apart
_LONGEST_WINDOW: Final = 1440
_MINUTE: Final = timedelta(minutes=1)
# Whoever applies a manifest may look at it again before anything happens.
_SOONEST: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rotations of one secret: the first at `begins` (UTC, whole seconds), then `every`, each at any time in the
    `window` after. `enabled` is False where somebody switched it off."""

    system: str
    environment: str
    secret: str
    every: timedelta
    begins: datetime
    enabled: bool = True

    @property
    def name(self) -> str:
        """Always the same for one secret of one environment."""
        return f"{prefix(self.system, self.environment)}{_hash(self.secret)}"

    @property
    def expression(self) -> str:
        """`rate(30 days)`, in the largest unit that divides it; less than a minute of it is cut."""
        minutes = max(1, self.every // _MINUTE)
        count, unit = next(
            (minutes // size, word)
            for size, word in ((1440, "day"), (60, "hour"), (1, "minute"))
            if minutes % size == 0
        )
        return f"rate({count} {unit}{'' if count == 1 else 's'})"

    @property
    def window(self) -> int:
        """Minutes: a quarter of the interval, so that secrets of one interval are not all rotated at once."""
        return _window(self.every)

    def after(self, now: datetime) -> datetime:
        """When the window opens in which it is rotated next."""
        if now <= self.begins:
            return self.begins
        return self.begins + -((now - self.begins) // -self.every) * self.every


def prefix(system: str, environment: str) -> str:
    """What the names of all schedules of an environment begin with, and no other's."""
    # Neither name has a slash.
    return f"{system[:_SHOWN]}-{environment[:_SHOWN]}-{_hash(f'{system}/{environment}', 12)}-"


def first(now: datetime, every: timedelta, rotated: datetime | None) -> datetime:
    """When a schedule that is made now begins: an interval after the last rotation, but never at once."""
    due = (rotated or now) + every
    return max(due, now + min(every, _SOONEST)).replace(microsecond=0)


def overdue(every: timedelta, since: datetime, now: datetime) -> bool:
    """Whether the interval and a tenth of it have passed, and the window: a rotation at its end is not late."""
    return now - since > every + every / 10 + timedelta(minutes=_window(every))


def _window(every: timedelta) -> int:
    return min(_LONGEST_WINDOW, max(1, every // 4 // _MINUTE))


def _hash(text: str, length: int = 20) -> str:
    return sha256(text.encode()).hexdigest()[:length]
