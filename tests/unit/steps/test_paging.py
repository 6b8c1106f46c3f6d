"""Somebody hears of every lock that a mess keeps, whoever dies when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tidegate.domain.errors import TransientError
from tidegate.domain.outcome import Outcome
from tidegate.steps import sweep

from tests.unit.steps.conftest import Shop


def _critical(shop: Shop) -> list[Mapping[str, Any]]:
    return [detail for _, detail in shop.world.bus.events if detail["severity"] == "critical"]


def test_a_mess_that_was_recorded_but_not_announced_is_announced_by_the_sweep_once(shop: Shop) -> None:
    """`sweep._Sweep.lock`: the look at `is_paged`. The run is stopped between its record and its announcement."""
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.roll(planned, "api", fence)
    shop.world.bus.fails("emit")
    with pytest.raises(TransientError):
        shop.record(planned, "Fail", fence)
    shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
    assert shop.deployment(planned).outcome is Outcome.FAILED_DIRTY
    assert _critical(shop) == []

    for _ in range(2):
        sweep.run({}, shop.world.ports)
    assert [detail["deployment"] for detail in _critical(shop)] == [planned["deployment"]]


def test_a_mess_that_was_announced_is_not_announced_again(shop: Shop) -> None:
    """`failing.fail`: `note_page`."""
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.roll(planned, "api", fence)
    assert shop.record(planned, "Fail", fence)["outcome"] == "FailedDirty"
    sweep.run({}, shop.world.ports)
    assert len(_critical(shop)) == 1


def test_a_sweep_that_dies_after_it_gave_up_leaves_the_page_to_the_next(shop: Shop) -> None:
    """`sweep._Sweep._page`: the note comes last."""
    planned = shop.release(2)
    shop.acquire(planned)
    for _ in range(sweep.MAX_RECOVERIES):
        shop.world.executions.end(shop.deployment(planned).execution, "FAILED")
        sweep.run({}, shop.world.ports)
    shop.world.executions.end(shop.deployment(planned).execution, "FAILED")
    shop.world.bus.fails("emit", *[TransientError("throttled")] * 2)
    with pytest.raises(sweep.SweepError):
        sweep.run({}, shop.world.ports)
    assert _critical(shop) == []
    sweep.run({}, shop.world.ports)
    assert len(_critical(shop)) == 1
