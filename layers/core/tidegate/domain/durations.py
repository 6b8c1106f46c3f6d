"""Durations as people write them: `90s`, `5m`, `2h`, `30d`; in code they are `timedelta`, of whole seconds."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

PATTERN: Final = r"(0|[1-9][0-9]{0,8})([smhd])"
# Longest first: a duration is written back in the largest unit that divides it.
_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
# A timedelta holds 999,999,999 days; ten years is beyond every limit of AWS and keeps all arithmetic safe.
LONGEST: Final = timedelta(days=3_650)


def parse_duration(text: str) -> timedelta:
    """`90s` to a timedelta; ValueError for anything but one whole number and one unit of s, m, h, d."""
    match = re.fullmatch(PATTERN, text)
    if match is None:
        raise ValueError("not a duration")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError("longer than ten years")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """The shortest text of a duration of whole seconds: 5400 s is `90m`, 7200 s is `2h`, none is `0s`."""
    seconds = int(duration.total_seconds())
    for unit, length in _UNITS.items():
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return "0s"
