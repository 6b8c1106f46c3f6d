"""What the last scene of the demo calls a rotation that went as told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tidegate_cli.demo_rotation import Rotated

RUNNING = {"services": {"api": {}, "worker": {}}, "lock": None}
TOLD = Rotated(
    shown={"outcome": "Rotated", "deployment": "01", "explanation": "", "failure": None},
    running=RUNNING,
    seconds=5.04,
    rolled=["api", "worker"],
    prepared=[],
    before="sample",
    after="sample_clone",
    logins={"sample": 3, "sample_clone": 5},
    failed=[],
    old_is_out=True,
)


def test_one_that_went_as_told() -> None:
    document = TOLD.to_json()
    assert (document["as_expected"], document["users"]) == (True, ["sample", "sample_clone"])
    assert (document["seconds"], document["failed_logins"]) == (5.0, [])


@pytest.mark.parametrize(
    "change",
    [
        {"shown": {**TOLD.shown, "outcome": "FailedClean"}},
        {"rolled": ["worker", "api"]},
        {"rolled": ["api"]},
        {"after": "sample"},
        {"logins": {"sample": 8}},
        {"failed": ["DatabaseError 28P01"]},
        {"old_is_out": False},
        {"running": {**RUNNING, "lock": {"owner": "01"}}},
    ],
    ids=["outcome", "canary", "consumers", "user", "nobody new", "a failed login", "old user", "lock"],
)
def test_each_thing_that_goes_wrong_fails_the_demo(change: dict[str, Any]) -> None:
    """Guards each line of `as_told`."""
    assert not replace(TOLD, **change).as_told
