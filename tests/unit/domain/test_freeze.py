"""Freeze windows by the wall clock of their time zone, and the freeze that a person sets."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tidegate.domain.errors import BadInputError
from tidegate.domain.freeze import Freeze, Window, ends, parse_until, window_at
from tidegate.domain.manifest.environment import FreezeWindow
from tidegate.domain.manifest.fields import WEEKDAYS, WeekTime

LONDON, NEW_YORK, SYDNEY = "Europe/London", "America/New_York", "Australia/Sydney"
KOLKATA, LORD_HOWE, CHATHAM, APIA = "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia"
ZONES = [
    "UTC",
    LONDON,
    NEW_YORK,
    SYDNEY,
    KOLKATA,
    LORD_HOWE,
    CHATHAM,
    APIA,
    "America/St_Johns",
    "Africa/Casablanca",
]
QUARTER, WEEK = timedelta(minutes=15), timedelta(days=7)


@dataclass(frozen=True)
class Weekly:
    start: WeekTime
    end: WeekTime
    timezone: str


def week_time(text: str) -> WeekTime:
    day, _, time = text.partition(" ")
    hour, _, minute = time.partition(":")
    return WeekTime(WEEKDAYS.index(day), int(hour), int(minute))


def weekly(text: str, timezone: str) -> Weekly:
    """`Fri 16:00 - Mon 08:00`."""
    start, _, end = text.partition(" - ")
    return Weekly(week_time(start), week_time(end), timezone)


def at(text: str) -> datetime:
    """`2026-11-20 16:00` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


WEEKEND, LUNCH, OVERNIGHT = "Fri 16:00 - Mon 08:00", "Wed 12:00 - Wed 13:00", "Tue 22:00 - Wed 06:00"
EARLY, LATE = "Sun 00:30 - Sun 01:30", "Sat 20:00 - Sun 06:00"
# (window, zone, instant in UTC, when it ends in UTC: None where it does not hold).
# 2026: London changes on 29 March and 25 October at 01:00 UTC, New York on 8 March at 07:00 and 1 November at 06:00,
# Sydney on 4 April and 3 October at 16:00, Lord Howe by half an hour on 4 April at 15:00 and 3 October at 15:30.
INSTANTS = [
    # UTC, within a day
    (LUNCH, "UTC", "2026-11-18 11:59:59.999999", None),
    (LUNCH, "UTC", "2026-11-18 12:00", "2026-11-18 13:00"),
    (LUNCH, "UTC", "2026-11-18 12:59:59.999999", "2026-11-18 13:00"),
    (LUNCH, "UTC", "2026-11-18 13:00", None),
    (LUNCH, "UTC", "2026-11-17 12:30", None),
    (LUNCH, "UTC", "2026-11-19 12:30", None),
    # over midnight
    (OVERNIGHT, "UTC", "2026-11-17 21:59", None),
    (OVERNIGHT, "UTC", "2026-11-17 22:00", "2026-11-18 06:00"),
    (OVERNIGHT, "UTC", "2026-11-18 00:00", "2026-11-18 06:00"),
    (OVERNIGHT, "UTC", "2026-11-18 05:59:59", "2026-11-18 06:00"),
    (OVERNIGHT, "UTC", "2026-11-18 06:00", None),
    (OVERNIGHT, "UTC", "2026-11-18 22:30", None),
    # over the week's end
    (WEEKEND, "UTC", "2026-11-20 15:59:59", None),
    (WEEKEND, "UTC", "2026-11-20 16:00", "2026-11-23 08:00"),
    (WEEKEND, "UTC", "2026-11-22 23:59:59", "2026-11-23 08:00"),
    (WEEKEND, "UTC", "2026-11-23 00:00", "2026-11-23 08:00"),
    (WEEKEND, "UTC", "2026-11-23 08:00", None),
    # all but a minute of the week
    ("Mon 00:01 - Mon 00:00", "UTC", "2026-11-23 00:00:59", None),
    ("Mon 00:01 - Mon 00:00", "UTC", "2026-11-23 00:01", "2026-11-30 00:00"),
    # up to and from the week's first moment
    ("Sun 20:00 - Mon 00:00", "UTC", "2026-11-22 23:59:59", "2026-11-23 00:00"),
    ("Sun 20:00 - Mon 00:00", "UTC", "2026-11-23 00:00", None),
    ("Mon 00:00 - Mon 04:00", "UTC", "2026-11-22 23:59:59", None),
    ("Mon 00:00 - Mon 04:00", "UTC", "2026-11-23 00:00", "2026-11-23 04:00"),
    # offsets of an hour, five and a half, and the date line
    (WEEKEND, LONDON, "2026-07-03 14:59", None),
    (WEEKEND, LONDON, "2026-07-03 15:00", "2026-07-06 07:00"),
    (WEEKEND, NEW_YORK, "2026-11-20 20:59", None),
    (WEEKEND, NEW_YORK, "2026-11-20 21:00", "2026-11-23 13:00"),
    (WEEKEND, KOLKATA, "2026-11-20 10:29:59", None),
    (WEEKEND, KOLKATA, "2026-11-20 10:30", "2026-11-23 02:30"),
    ("Mon 00:00 - Mon 04:00", SYDNEY, "2026-07-05 14:00", "2026-07-05 18:00"),
    ("Mon 00:00 - Mon 04:00", SYDNEY, "2026-07-05 18:00", None),
    # clocks go forward within the window: it is shorter
    (WEEKEND, LONDON, "2026-03-27 16:00", "2026-03-30 07:00"),
    (LATE, NEW_YORK, "2026-03-08 01:00", "2026-03-08 10:00"),
    (LATE, SYDNEY, "2026-10-03 10:00", "2026-10-03 19:00"),
    (LATE, LORD_HOWE, "2026-10-03 09:30", "2026-10-03 19:00"),
    # clocks go back within it: it is longer
    (WEEKEND, LONDON, "2026-10-23 15:00", "2026-10-26 08:00"),
    (LATE, NEW_YORK, "2026-11-01 00:00", "2026-11-01 11:00"),
    (LATE, SYDNEY, "2026-04-04 09:00", "2026-04-04 20:00"),
    (LATE, LORD_HOWE, "2026-04-04 09:00", "2026-04-04 19:30"),
    # clocks jump over the end: it ends with the jump
    (EARLY, LONDON, "2026-03-29 00:29:59", None),
    (EARLY, LONDON, "2026-03-29 00:30", "2026-03-29 01:00"),
    (EARLY, LONDON, "2026-03-29 00:59:59.999999", "2026-03-29 01:00"),
    (EARLY, LONDON, "2026-03-29 00:37:22.5", "2026-03-29 01:00"),
    (EARLY, LONDON, "2026-03-29 00:43:19", "2026-03-29 01:00"),
    (EARLY, LONDON, "2026-03-29 01:00", None),
    ("Sun 01:00 - Sun 02:30", NEW_YORK, "2026-03-08 06:15", "2026-03-08 07:00"),
    ("Sun 01:00 - Sun 02:15", LORD_HOWE, "2026-10-03 15:15", "2026-10-03 15:30"),
    # clocks jump to the end, which exists
    ("Sun 01:00 - Sun 03:00", NEW_YORK, "2026-03-08 06:59:59", "2026-03-08 07:00"),
    # clocks jump over the start, or over all of it
    ("Sun 01:30 - Sun 03:00", LONDON, "2026-03-29 00:59:59", None),
    ("Sun 01:30 - Sun 03:00", LONDON, "2026-03-29 01:00", "2026-03-29 02:00"),
    ("Sun 01:15 - Sun 01:45", LONDON, "2026-03-29 00:59:59", None),
    ("Sun 01:15 - Sun 01:45", LONDON, "2026-03-29 01:00", None),
    # clocks go back over the end: what is read twice is frozen twice, and free between
    (EARLY, LONDON, "2026-10-25 00:15", "2026-10-25 00:30"),
    (EARLY, LONDON, "2026-10-25 00:30", None),
    (EARLY, LONDON, "2026-10-25 00:59:59", None),
    (EARLY, LONDON, "2026-10-25 01:00", "2026-10-25 01:30"),
    (EARLY, LONDON, "2026-10-25 01:30", None),
    ("Sun 01:00 - Sun 01:45", LORD_HOWE, "2026-04-04 14:30", "2026-04-04 14:45"),
    ("Sun 01:00 - Sun 01:45", LORD_HOWE, "2026-04-04 14:50", None),
    ("Sun 01:00 - Sun 01:45", LORD_HOWE, "2026-04-04 15:00", "2026-04-04 15:15"),
    # clocks go back at the end: the hour before it comes again
    ("Sun 00:00 - Sun 02:00", NEW_YORK, "2026-11-01 04:00", "2026-11-01 07:00"),
    # clocks go back over the start: free until they read it again
    ("Sun 02:30 - Sun 05:00", SYDNEY, "2026-04-04 15:45", "2026-04-04 16:00"),
    ("Sun 02:30 - Sun 05:00", SYDNEY, "2026-04-04 16:29:59", None),
    ("Sun 02:30 - Sun 05:00", SYDNEY, "2026-04-04 16:30", "2026-04-04 19:00"),
    # Samoa had no 30 December 2011, a Friday
    ("Fri 08:00 - Fri 16:00", APIA, "2011-12-30 09:59:59", None),
    ("Fri 08:00 - Fri 16:00", APIA, "2011-12-30 10:00", None),
    ("Thu 20:00 - Fri 16:00", APIA, "2011-12-30 09:00", "2011-12-30 10:00"),
    ("Thu 20:00 - Sat 06:00", APIA, "2011-12-30 09:00", "2011-12-30 16:00"),
]


@pytest.mark.parametrize(("window", "zone", "now", "end"), INSTANTS)
def test_a_window_holds_while_the_wall_clock_reads_within_it(
    window: str, zone: str, now: str, end: str | None
) -> None:
    found = weekly(window, zone)
    assert window_at([found], at(now)) is (None if end is None else found)
    if end is None:
        with pytest.raises(ValueError, match="does not hold"):
            ends(found, at(now))
    else:
        assert ends(found, at(now)) == at(end)
        assert ends(found, at(now)).utcoffset() == timedelta(0)


def test_the_time_zone_in_which_the_instant_is_given_does_not_matter() -> None:
    window = weekly(EARLY, LONDON)
    second = datetime(2026, 10, 25, 1, 15, tzinfo=ZoneInfo(LONDON), fold=1)
    assert ends(window, second) == at("2026-10-25 01:30")
    assert ends(window, second.replace(fold=0)) == at("2026-10-25 00:30")
    assert ends(window, at("2026-10-25 00:15").astimezone(ZoneInfo(KOLKATA))) == at("2026-10-25 00:30")


def test_the_first_window_that_holds_is_given() -> None:
    first, second, third = (
        weekly(LUNCH, "UTC"),
        weekly(WEEKEND, LONDON),
        weekly("Sat 00:00 - Mon 12:00", "UTC"),
    )
    windows = [first, second, third]
    assert window_at(windows, at("2026-11-18 12:30")) is first
    assert window_at(windows, at("2026-11-22 12:30")) is second
    assert window_at(windows, at("2026-11-23 09:00")) is third
    assert window_at(windows, at("2026-11-24 09:00")) is None
    assert window_at([], at("2026-11-22 12:30")) is None


def test_a_window_that_ends_when_it_starts_is_empty() -> None:
    """The manifest's rules refuse it (checks.py); one that is registered all the same stops nobody."""
    assert window_at([weekly("Mon 08:00 - Mon 08:00", "UTC")], at("2026-11-23 08:00")) is None


def test_a_window_of_the_manifest_is_one() -> None:
    written = {"from": "Fri 16:00", "to": "Mon 08:00", "timezone": LONDON}
    window: Window = FreezeWindow.model_validate(written)
    assert window_at([window], at("2026-11-21 12:00")) is window
    assert ends(window, at("2026-11-21 12:00")) == at("2026-11-23 08:00")


def test_a_function_that_asks_does_not_load_pydantic() -> None:
    code = "import sys; import tidegate.domain.freeze; print('pydantic' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_zones_are_known_where_the_machine_has_none() -> None:
    """Guards `tzdata` in the layer: without it a runtime without the IANA database refuses every zone but UTC."""
    code = "from zoneinfo import ZoneInfo; print(ZoneInfo('Australia/Lord_Howe').key)"
    asked = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONTZPATH": ""}, capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == LORD_HOWE
    layer = Path(__file__).parents[3] / "layers/core/requirements.txt"
    assert any(line.startswith("tzdata==") for line in layer.read_text().splitlines())


week_times = st.builds(WeekTime, st.integers(0, 6), st.integers(0, 23), st.integers(0, 59))
windows = st.builds(Weekly, week_times, week_times, st.sampled_from(ZONES))
instants = st.builds(
    lambda seconds: at("2005-01-01") + timedelta(seconds=seconds), st.floats(0, 1_000_000_000)
)
# Near what is hard: within a day of a change of some zone's clocks.
CHANGES = [
    at(text)
    for text in (
        "2026-03-29 01:00",
        "2026-10-25 01:00",
        "2026-03-08 07:00",
        "2026-11-01 06:00",
        "2026-04-04 16:00",
        "2026-10-03 16:00",
        "2026-04-04 15:00",
        "2026-10-03 15:30",
        "2026-04-04 14:00",
        "2026-09-26 14:00",
        "2011-12-30 10:00",
        "2026-02-15 02:00",
        "2026-03-22 02:00",
    )
]
near_a_change = st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds),
    st.sampled_from(CHANGES),
    st.integers(-86_400, 86_400),
)
moments = st.one_of(instants, near_a_change)


def holds(window: Window, now: datetime) -> bool:
    return window_at([window], now) is window


@given(windows, moments)
def test_a_window_holds_until_it_ends_and_no_longer(window: Weekly, now: datetime) -> None:
    assume(holds(window, now))
    end = ends(window, now)
    assert now < end <= now + WEEK + timedelta(hours=2)
    assert not holds(window, end)
    assert holds(window, end - timedelta(microseconds=1))
    # Every quarter of an hour in between, by a count that knows nothing of how the end was found.
    while now < end:
        assert holds(window, now)
        now += QUARTER
    assert ends(window, end - timedelta(microseconds=1)) == end


@given(windows, moments)
def test_either_a_window_holds_or_what_it_leaves_of_the_week(window: Weekly, now: datetime) -> None:
    assume(window.start != window.end)
    rest = Weekly(window.end, window.start, window.timezone)
    assert holds(window, now) is not holds(rest, now)


@given(windows, moments)
def test_it_holds_by_what_the_clock_reads(window: Weekly, now: datetime) -> None:
    wall = now.astimezone(ZoneInfo(window.timezone))
    read = WeekTime(wall.weekday(), wall.hour, wall.minute)
    inside = (
        window.start <= read < window.end
        if window.start <= window.end
        else not window.end <= read < window.start
    )
    assert holds(window, now) is inside


@given(windows, instants)
def test_in_utc_a_week_is_like_any_other(window: Weekly, now: datetime) -> None:
    in_utc = Weekly(window.start, window.end, "UTC")
    assert holds(in_utc, now) is holds(in_utc, now + WEEK)
    if holds(in_utc, now):
        assert ends(in_utc, now + WEEK) == ends(in_utc, now) + WEEK


NOW = at("2026-03-02 09:00")


def frozen(until: str | None) -> Freeze:
    return Freeze("ada", "the sale", "2026-03-02T08:00:00.000Z", until)


@pytest.mark.parametrize(
    ("until", "held"),
    [
        (None, True),
        ("2026-03-02T09:00:00.001Z", True),
        ("2026-03-02T09:00:00.000Z", False),
        ("2026-03-02T08:59:59.999Z", False),
        ("2027-01-01T00:00:00.000Z", True),
    ],
)
def test_a_freeze_holds_until_its_end(until: str | None, held: bool) -> None:
    assert frozen(until).holds(NOW) is held


def test_a_freeze_holds_although_the_clock_that_wrote_it_was_ahead() -> None:
    assert Freeze("ada", "the sale", "2026-03-02T09:00:05.000Z").holds(NOW)


@pytest.mark.parametrize("until", [None, "2026-03-02T09:30:00.000Z"])
def test_a_freeze_is_read_as_it_was_written(until: str | None) -> None:
    written = frozen(until).to_json()
    assert written == {
        "by": "ada",
        "reason": "the sale",
        "since": "2026-03-02T08:00:00.000Z",
        "until": until,
    }
    assert Freeze.from_json({**written, "pk": "something else of the item"}) == frozen(until)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("90s", "2026-03-02 09:01:30"),
        ("5m", "2026-03-02 09:05"),
        ("2h", "2026-03-02 11:00"),
        ("30d", "2026-04-01 09:00"),
        ("90d", "2026-05-31 09:00"),
        ("2026-03-02T17:00Z", "2026-03-02 17:00"),
        ("2026-03-02T17:00:30+01:00", "2026-03-02 16:00:30"),
        ("2026-03-02 17:00+05:30", "2026-03-02 11:30"),
        ("2026-05-31T09:00:00.000Z", "2026-05-31 09:00"),
    ],
)
def test_an_end_is_a_duration_from_now_or_a_moment(text: str, until: str) -> None:
    found = parse_until(text, NOW)
    assert found == at(until)
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("2026-03-02T17:00", "does not say in which time zone", "2026-03-02T17:00Z"),
        ("2026-03-03", "does not say in which time zone", "2026-03-03T00:00Z"),
        ("2026-03-02T09:00Z", "is not in the future", "2h"),
        ("2026-03-02T09:59+01:00", "is not in the future", "2h"),
        ("0001-01-01T00:00+23:59", "is not in the future", "2h"),
        ("0s", "is not in the future", "2h"),
        ("91d", "is more than 90d ahead", "90d at most"),
        ("4000d", "is more than 90d ahead", "90d at most"),
        ("999999999d", "is more than 90d ahead", "90d at most"),
        ("2026-05-31T09:00:00.001Z", "is more than 90d ahead", "90d at most"),
        ("9999-12-31T23:59:59-23:59", "is more than 90d ahead", "90d at most"),
        ("tomorrow", "neither a duration nor a moment", "2h"),
        ("", "neither a duration nor a moment", "2h"),
        ("-2h", "neither a duration nor a moment", "2h"),
        ("2026-02-30T09:00Z", "neither a duration nor a moment", "2026-11-23T08:00Z"),
        ("\ud800", "neither a duration nor a moment", "2h"),
    ],
)
def test_any_other_end_is_refused(text: str, said: str, hint: str) -> None:
    with pytest.raises(BadInputError, match=said) as raised:
        parse_until(text, NOW)
    assert raised.value.field == "until"
    assert hint in str(raised.value.hint)
    assert raised.value.message.isascii()


def test_what_is_shown_of_a_wrong_end_is_short() -> None:
    with pytest.raises(BadInputError) as raised:
        parse_until("x" * 10_000, NOW)
    assert len(raised.value.message) < 200


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    refused: Any = None
    try:
        until = parse_until(text, NOW)
    except BadInputError as error:
        refused = error
    else:
        assert NOW < until <= NOW + timedelta(days=90)
    assert refused is None or refused.field == "until"
