from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from tidegate.adapters.moments import iso, plain

SUMMER_IN_BERLIN = datetime(2026, 7, 1, 11, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))


def test_a_time_of_any_zone_is_told_in_utc_with_milliseconds() -> None:
    """botocore gives the zone of the machine it runs on."""
    assert iso(SUMMER_IN_BERLIN) == "2026-07-01T09:00:00.123Z"
    assert iso(datetime(2026, 7, 1, tzinfo=UTC)) == "2026-07-01T00:00:00.000Z"


def test_only_the_times_of_an_answer_change() -> None:
    answer = {"at": SUMMER_IN_BERLIN, "list": [{"at": SUMMER_IN_BERLIN}, 1, "x"], "cpu": "256", "none": None}
    told = "2026-07-01T09:00:00.123Z"
    assert plain(answer) == {"at": told, "list": [{"at": told}, 1, "x"], "cpu": "256", "none": None}
