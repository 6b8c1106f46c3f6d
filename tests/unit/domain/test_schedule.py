"""When a secret is rotated by itself, and what keeps that."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from tidegate.domain.schedule import Schedule, first, overdue, prefix

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def schedule(every: timedelta = 30 * DAY, secret: str = "shop/database", **more: str) -> Schedule:
    place = {"system": "shop", "environment": "production", **more}
    return Schedule(place["system"], place["environment"], secret, every, NOON)


@pytest.mark.parametrize(
    ("every", "expression", "window"),
    [
        (MINUTE, "rate(1 minute)", 1),
        (5 * MINUTE, "rate(5 minutes)", 1),
        (HOUR, "rate(1 hour)", 15),
        (90 * MINUTE, "rate(90 minutes)", 22),
        (36 * HOUR, "rate(36 hours)", 540),
        (DAY, "rate(1 day)", 360),
        (7 * DAY, "rate(7 days)", 1440),
        (999 * DAY, "rate(999 days)", 1440),
    ],
)
def test_the_interval_in_the_words_of_the_scheduler(every: timedelta, expression: str, window: int) -> None:
    assert schedule(every).expression == expression
    assert schedule(every).window == window


def test_a_name_is_one_that_the_scheduler_takes_whatever_the_names_in_it() -> None:
    longest = schedule(secret="S" * 512, system="s" * 30, environment="e" * 30)
    for one in (schedule(), longest, schedule(secret="a/b_+=.@-c")):
        assert re.fullmatch(r"[0-9a-zA-Z-_.]{1,64}", one.name)
        assert one.name.startswith(prefix(one.system, one.environment))
    assert schedule().name == schedule(every=DAY).name, "its interval may change"
    assert schedule().name != schedule(secret="shop/database2").name


def test_places_whose_names_read_alike_share_no_schedule() -> None:
    """Red without the hash in the prefix: `apply` of one would remove the other's."""
    places = [
        ("a-b", "c"),
        ("a", "b-c"),
        ("shop-of-many-things", "production"),
        ("shop-of-many", "production"),
    ]
    assert len({prefix(*place) for place in places}) == len(places)
    assert not prefix("shop", "prod").startswith(prefix("shop", "pro"))


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (NOON - HOUR, NOON),
        (NOON, NOON),
        (NOON + MINUTE, NOON + DAY),
        (NOON + DAY, NOON + DAY),
        (NOON + 5 * DAY + HOUR, NOON + 6 * DAY),
    ],
)
def test_when_it_is_rotated_next(now: datetime, then: datetime) -> None:
    assert schedule(DAY).after(now) == then


@pytest.mark.parametrize(
    ("rotated", "begins"),
    [
        (None, NOON + 30 * DAY),
        (NOON - 10 * DAY, NOON + 20 * DAY),
        (NOON - 40 * DAY, NOON + HOUR),
    ],
)
def test_a_new_schedule_goes_on_from_the_last_rotation_and_never_at_once(
    rotated: datetime | None, begins: datetime
) -> None:
    assert first(NOON, 30 * DAY, rotated) == begins
    assert first(NOON, 5 * MINUTE, NOON - DAY) == NOON + 5 * MINUTE


def test_it_is_overdue_when_the_interval_a_tenth_and_the_window_are_over() -> None:
    assert not overdue(30 * DAY, NOON, NOON + 34 * DAY)
    assert overdue(30 * DAY, NOON, NOON + 34 * DAY + timedelta(seconds=1))
    assert not overdue(DAY, NOON, NOON + DAY + 6 * HOUR), "one at the window's end is in time"
