"""The guard: an alarm that rings after a success rolls back, once, to the release that was meant."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.errors import TransientError
from tidegate.ledger import keys
from tidegate.steps import sweep, wake

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Answer, Shop


@pytest.fixture
def guarded(shop: Shop) -> tuple[Shop, Answer]:
    """r1 and r2 have succeeded; r2 is guarded for an hour by the alarms `a` and `b`."""
    shop.go_out(2)
    shop.register(guard={"for": "1h", "alarms": ["a", "b"]})
    return shop, shop.go_out(3)["document"]


def rings(shop: Shop, name: str = "b") -> Any:
    shop.world.alarms.alarming.add(name)
    return told(shop, name)


def told(shop: Shop, name: str = "b") -> Any:
    detail = {"alarmName": name, "state": {"value": "ALARM"}}
    return wake.run({"detail-type": "CloudWatch Alarm State Change", "detail": detail}, shop.world.ports)


def rollbacks(shop: Shop) -> list[Any]:
    return [entry.payload for entry in shop.world.executions.started if entry.machine == "rollback"]


def open_guards(shop: Shop) -> list[str]:
    return [item["deployment"] for item in shop.ledger.open_items() if item["type"] == "guard"]


def test_an_alarm_rolls_back_to_the_release_before(guarded: tuple[Shop, Answer]) -> None:
    """Red without `guard_writes` in record's success, or without `_alarm` in wake."""
    shop, planned = guarded
    assert rings(shop)["rolled_back"] == 1
    (asked,) = rollbacks(shop)
    assert asked == {
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "to": "r1",
        "reason": "guard: b in ALARM after r2",
        "actor": "guard",
        "trigger": "event",
    }
    assert "its guard rang" in [line.what for line in shop.timeline(planned)]
    assert open_guards(shop) == []


def test_it_does_so_once(guarded: tuple[Shop, Answer]) -> None:
    shop, _ = guarded
    for name in ("a", "b", "b"):
        rings(shop, name)
    sweep.run({}, shop.world.ports)
    assert len(rollbacks(shop)) == 1


def test_an_event_without_an_alarm_that_rings_is_a_hint_and_no_more(guarded: tuple[Shop, Answer]) -> None:
    shop, planned = guarded
    told(shop)
    assert rollbacks(shop) == []
    assert set(open_guards(shop)) == {planned["deployment"]}


def test_the_sweep_hears_an_alarm_whose_event_was_lost(guarded: tuple[Shop, Answer]) -> None:
    """Red without `sweep.guard`."""
    shop, _ = guarded
    shop.world.alarms.alarming.add("a")
    sweep.run({}, shop.world.ports)
    assert len(rollbacks(shop)) == 1


def test_its_time_runs_out(guarded: tuple[Shop, Answer]) -> None:
    shop, _ = guarded
    shop.world.clock.advance(3600)
    rings(shop)
    assert rollbacks(shop) == []
    assert open_guards(shop) == []


def test_another_success_takes_its_place(guarded: tuple[Shop, Answer]) -> None:
    """Red where the guard is not compared with what is current, or ends that of another deployment."""
    shop, _ = guarded
    (stale,) = {item["deployment"]: item for item in shop.ledger.guards("a")}.values()
    newest = shop.go_out(2)["document"]
    shop.ledger.end_guard(stale)
    rings(shop)
    assert [asked["to"] for asked in rollbacks(shop)] == ["r2"]
    assert shop.ledger.deployment(SYSTEM, ENVIRONMENT, newest["deployment"]) is not None


def test_a_success_without_a_guard_ends_the_one_before(guarded: tuple[Shop, Answer]) -> None:
    shop, _ = guarded
    shop.register()
    shop.go_out(2)
    rings(shop)
    assert rollbacks(shop) == []
    assert open_guards(shop) == []


def test_nothing_is_done_while_a_deployment_holds_the_lock(guarded: tuple[Shop, Answer]) -> None:
    """It may be the mend; if it fails, the sweep comes back to the guard."""
    shop, _ = guarded
    mend = shop.release(2)
    fence = shop.acquire(mend)
    rings(shop)
    assert rollbacks(shop) == []
    shop.record(mend, "Fail", fence, error=None)
    sweep.run({}, shop.world.ports)
    assert len(rollbacks(shop)) == 1


def test_a_crash_after_the_start_does_not_start_another(guarded: tuple[Shop, Answer]) -> None:
    shop, _ = guarded
    shop.world.executions.loses("start")
    with pytest.raises(TransientError):
        rings(shop)
    told(shop)
    assert len(rollbacks(shop)) == 1
    assert open_guards(shop) == []


def test_without_a_release_before_it_says_that_it_rang_in_vain(shop: Shop) -> None:
    shop.register(guard={"for": "1h", "alarms": ["a"]})
    planned = shop.go_out(2)["document"]
    adopted = keys.standing(SYSTEM, ENVIRONMENT, 0)
    del shop.world.store.items[(adopted.pk, adopted.sk)]
    rings(shop, "a")
    assert rollbacks(shop) == []
    assert "its guard rang in vain" in [line.what for line in shop.timeline(planned)]
    assert open_guards(shop) == []


def test_a_rollback_is_not_guarded(guarded: tuple[Shop, Answer]) -> None:
    shop, _ = guarded
    rings(shop)
    shop.world.alarms.alarming.clear()
    planned = shop.plan(step="PlanRollback", to="r1", reason="slow")
    fence = shop.acquire(planned, "back")
    for service in ("api", "worker"):
        shop.roll(planned, service, fence)
        shop.world.containers.complete(f"shop-{service}")
    shop.record(planned, "Succeed", fence)
    rings(shop)
    assert open_guards(shop) == []


@pytest.mark.parametrize("field", ["bake", "guard"])
def test_alarms_that_ring_already_or_do_not_exist_refuse(shop: Shop, field: str) -> None:
    shop.register(**{field: {"for": "1h", "alarms": ["a"]}})
    shop.world.alarms.alarming.add("a")
    refused = shop.release(2)
    assert (refused["outcome"], "in ALARM already" in refused["reason"]) == ("Refused", True)
    shop.world.alarms.alarming.clear()
    shop.world.alarms.unknown.add("a")
    refused = shop.release(3)
    assert refused["reason"].startswith(f"{field}.alarms: CloudWatch has no alarm a")
