"""The bake: an alarm that rings takes the release back, and silence is the end of it."""

from __future__ import annotations

import pytest
from tidegate.domain.deployment import Phase
from tidegate.domain.errors import LostLockError, NotFoundError, TransientError
from tidegate.domain.outcome import Outcome
from tidegate.steps import sweep, wake

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Answer, Shop, crashing

RANG = {"outcome": "Alarmed", "reason": "bake: alarm b is in ALARM"}


@pytest.fixture
def rolled(shop: Shop) -> tuple[Shop, Answer, int]:
    """All services run version 2; five minutes under the alarms `a` and `b` are next."""
    shop.register(bake={"for": "5m", "alarms": ["a", "b"]})
    planned = shop.release(2)
    assert planned["bake"] == 300
    fence = shop.acquire(planned)
    for service in ("api", "worker"):
        shop.roll(planned, service, fence)
        shop.world.containers.complete(f"shop-{service}")
        sweep.run({}, shop.world.ports)
    return shop, planned, fence


def rings(shop: Shop, name: str = "b", *, tell: bool = True) -> None:
    shop.world.alarms.alarming.add(name)
    if tell:
        detail = {"alarmName": name, "state": {"value": "ALARM"}}
        wake.run({"detail-type": "CloudWatch Alarm State Change", "detail": detail}, shop.world.ports)


def test_it_waits_for_each_of_its_alarms(rolled: tuple[Shop, Answer, int]) -> None:
    shop, planned, fence = rolled
    assert shop.bake(planned, fence) is None
    assert shop.deployment(planned).phase is Phase.BAKING
    assert ("baking", "a, b for 5m") in [(line.what, line.detail) for line in shop.timeline(planned)]
    assert len(shop.ledger.tokens_of(planned["deployment"])) == 2


def test_the_first_alarm_ends_it_and_says_which(rolled: tuple[Shop, Answer, int]) -> None:
    shop, planned, fence = rolled
    shop.bake(planned, fence, "bakes")
    rings(shop)
    assert shop.answers["bakes"] == RANG
    assert shop.ledger.tokens_of(planned["deployment"]) == []
    (report,) = shop.ledger.reports(planned["deployment"])
    assert (report.service, report.alarms) == ("bake", ("b",))
    assert shop.record(planned, "BeginCompensation", fence)["waves"] == [
        {"services": ["worker"]},
        {"services": ["api"]},
    ]


def test_an_alarm_that_rings_already_answers_it(rolled: tuple[Shop, Answer, int]) -> None:
    """Red without the look behind the token: its event came while the services rolled."""
    shop, planned, fence = rolled
    rings(shop)
    assert shop.bake(planned, fence) == RANG


def test_an_alarm_of_somebody_else_is_none_of_its_business(rolled: tuple[Shop, Answer, int]) -> None:
    shop, planned, fence = rolled
    shop.bake(planned, fence, "bakes")
    rings(shop, "c")
    assert "bakes" not in shop.answers


def test_a_lost_event_costs_a_minute(rolled: tuple[Shop, Answer, int]) -> None:
    shop, planned, fence = rolled
    shop.bake(planned, fence, "bakes")
    sweep.run({}, shop.world.ports)
    assert "bakes" not in shop.answers
    rings(shop, tell=False)
    sweep.run({}, shop.world.ports)
    assert shop.answers["bakes"] == RANG


def test_nothing_of_it_is_left_when_it_went_well(rolled: tuple[Shop, Answer, int]) -> None:
    """Its task timed out: red where its tokens stay, and each later alarm reports a failure of a release that
    succeeded."""
    shop, planned, fence = rolled
    shop.bake(planned, fence)
    shop.world.executions.waiting.clear()
    assert shop.record(planned, "Succeed", fence)["outcome"] == "Succeeded"
    assert shop.ledger.open_items() == []
    rings(shop)
    assert shop.ledger.reports(planned["deployment"]) == []


def test_an_alarm_that_rings_at_its_end_takes_the_release_back(rolled: tuple[Shop, Answer, int]) -> None:
    """Red without the last look in RecordSuccess: the alarm and the end of the bake come in one moment."""
    shop, planned, fence = rolled
    shop.bake(planned, fence)
    rings(shop, tell=False)
    answer = shop.record(planned, "Succeed", fence)
    assert answer["outcome"] not in {entry.value for entry in Outcome}
    assert shop.deployment(planned).outcome is None
    assert shop.ledger.current(SYSTEM, ENVIRONMENT) is None
    for service in ("worker", "api"):
        shop.roll(planned, service, fence, "Revert")
        shop.world.containers.complete(f"shop-{service}")
    ended = shop.record(planned, "Fail", fence, error=None)
    assert (ended["outcome"], ended["document"]["reason"]) == ("FailedClean", "bake: alarm b is in ALARM")


def test_under_a_void_fence_it_does_not_begin(rolled: tuple[Shop, Answer, int]) -> None:
    shop, planned, fence = rolled
    with pytest.raises(LostLockError):
        shop.bake(planned, fence + 1)


def test_without_a_bake_in_the_plan_there_is_nothing_to_wait_for(shop: Shop) -> None:
    planned = shop.release(2)
    with pytest.raises(NotFoundError):
        shop.bake(planned, shop.acquire(planned))


@pytest.mark.parametrize("lost", ["fails", "loses"])
@pytest.mark.parametrize("number", range(5))
def test_a_crash_at_any_write_is_mended_by_the_retry(
    rolled: tuple[Shop, Answer, int], lost: str, number: int
) -> None:
    shop, planned, fence = rolled
    token = "first"
    with crashing(shop.world.store, "transact", lost, number):
        try:
            shop.bake(planned, fence, "first")
        except TransientError:
            token = "second"
            shop.world.clock.advance(1)
            shop.bake(planned, fence, "second")
    assert [line.what for line in shop.timeline(planned)].count("baking") == 1
    rings(shop)
    assert shop.answers[token] == RANG
    assert shop.ledger.tokens_of(planned["deployment"]) == []
