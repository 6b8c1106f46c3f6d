"""The lock as the machines see it: acquire, queue, hand over, take over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tidegate.domain.errors import TransientError
from tidegate.ledger.locks import Locks
from tidegate.ledger.time import iso
from tidegate.steps import lock

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Shop
from tests.unit.steps.rotating import Rotating


def _locks(shop: Shop) -> Locks:
    return Locks(shop.world.store, shop.world.clock)


def _take_over(shop: Shop, planned: Any, execution: str, at: str | None = None) -> Any:
    event = {"step": "TakeOver", **shop.place(planned), "execution": execution, "at": at}
    return lock.run(event, shop.world.ports)


def test_a_free_lock_answers_its_own_token(shop: Shop) -> None:
    planned = shop.release(2)
    assert shop.acquire(planned, "t") == 1
    assert shop.world.executions.answers["t"] == {"outcome": "Acquired", "fence": 1, "document": None}
    assert [detail["deployment"] for detail in shop.world.bus.of("Deployment Started")] == [
        planned["deployment"]
    ]


def test_a_second_run_waits_and_is_woken_by_the_release(shop: Shop) -> None:
    first, second = shop.release(2), shop.release(3)
    fence = shop.acquire(first, "one")
    assert shop.acquire(second, "two") == 0
    assert "two" not in shop.world.executions.answers
    assert "behind" in str(shop.timeline(second)[-1].detail)

    shop.record(first, "Fail", fence, error={"name": "Test", "cause": "stop"})
    assert shop.world.executions.answers["two"] == {"outcome": "Acquired", "fence": 2}
    owner = _locks(shop).read(SYSTEM, ENVIRONMENT)
    assert owner.owner == second["deployment"]
    assert owner.token is None, "the owner has been told"


def test_acquiring_twice_gives_the_same_fence(shop: Shop) -> None:
    planned = shop.release(2)
    assert shop.acquire(planned, "t") == 1
    assert shop.acquire(planned, "t-of-the-retry") == 1


def test_the_token_of_an_older_attempt_does_not_take_the_place_of_a_newer_ones(shop: Shop) -> None:
    """An attempt that hung wakes up behind its retry: red without `attempt` in the rank, as the run waits for ever."""
    first, second = shop.release(2), shop.release(3)
    fence = shop.acquire(first, "one")
    for token, attempt in (("newer", "2026-03-02T09:00:20.000Z"), ("older", "2026-03-02T09:00:05.000Z")):
        shop.world.executions.wait(token)
        event = {"step": "Acquire", **shop.place(second), "token": token, "attempt": attempt}
        answer = lock.run({**event, "execution": shop.deployment(second).execution}, shop.world.ports)
        assert (answer["outcome"], answer["place"]) == ("Queued", 1)
    shop.record(first, "Fail", fence, error={"name": "Test", "cause": "stop"})
    assert shop.answers["newer"]["outcome"] == "Acquired"
    assert "older" not in shop.answers


def test_the_lock_is_given_back_while_a_person_thinks_about_another_plan(shop: Shop) -> None:
    first, second = shop.release(2), shop.release(3)
    shop.acquire(first, "one")
    shop.acquire(second, "two")
    event = {"step": "Release", **shop.place(first), "execution": shop.deployment(first).execution}
    for _ in range(2):
        assert lock.run(event, shop.world.ports) == {"outcome": "Released"}
    assert shop.owner == second["deployment"]
    assert shop.answers["two"]["outcome"] == "Acquired"
    assert "lock given back" in [line.what for line in shop.timeline(first)]


def test_a_lost_answer_of_the_table_is_read_back(shop: Shop) -> None:
    planned = shop.release(2)
    shop.world.store.loses("transact")
    with pytest.raises(TransientError):
        shop.acquire(planned, "t")
    assert shop.acquire(planned, "t2") == 1
    assert _locks(shop).waiters(SYSTEM, ENVIRONMENT) == []


def test_a_dead_waiter_is_passed_over(shop: Shop) -> None:
    first, second, third = shop.release(2), shop.release(3), shop.release(2)
    fence = shop.acquire(first, "one")
    shop.acquire(second, "two")
    shop.acquire(third, "three")
    shop.world.executions.waiting.discard("two")
    shop.world.executions.end(shop.deployment(second).execution, "ABORTED")

    shop.record(first, "Fail", fence, error=None)
    assert shop.world.executions.answers["three"]["outcome"] == "Acquired"
    assert _locks(shop).read(SYSTEM, ENVIRONMENT).owner == third["deployment"]


@pytest.mark.parametrize("step", ["Acquire", "AwaitApproval"])
def test_a_run_that_was_redriven_after_its_end_changes_nothing(shop: Shop, step: str) -> None:
    """Guards the look at the outcome in `run`: it would join the queue and push others out of it."""
    shop.register(approval="required")
    planned = shop.release(2)
    shop.record(planned, "Fail")
    before = dict(shop.world.store.items)
    (shop.acquire if step == "Acquire" else shop.await_approval)(planned, "redriven")
    assert shop.answers["redriven"]["outcome"] == "Ended"
    assert shop.world.store.items == before


class TestTakeOver:
    def test_waits_for_the_longest_function_after_the_owner_was_stopped(self, shop: Shop) -> None:
        planned = shop.release(2)
        shop.acquire(planned)
        shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
        shop.world.clock.advance(10)
        assert _take_over(shop, planned, "arn:recovery") == {"outcome": "Wait", "fence": -1, "seconds": 20}
        shop.world.clock.advance(20)
        assert _take_over(shop, planned, "arn:recovery") == {"outcome": "Taken", "fence": 2, "seconds": 0}

    @pytest.mark.parametrize("off", [-300, 300])
    def test_is_not_hurried_by_a_clock_that_is_off(self, shop: Shop, off: int) -> None:
        """Red where the function's own clock is compared with Step Functions' (`at`): a function of the owner could
        still change ECS."""
        planned = shop.release(2)
        shop.acquire(planned)
        shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
        at = iso(shop.world.clock.now() + timedelta(seconds=10))
        shop.world.clock.advance(off)
        assert _take_over(shop, planned, "arn:recovery", at)["seconds"] == 20

    def test_is_the_same_when_it_is_done_twice(self, shop: Shop) -> None:
        planned = shop.release(2)
        shop.acquire(planned)
        shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
        shop.world.clock.advance(60)
        assert _take_over(shop, planned, "arn:recovery")["fence"] == 2
        assert _take_over(shop, planned, "arn:recovery")["fence"] == 2

    def test_lets_a_child_that_outlived_its_parent_end_first(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        assert shop.roll(planned, "api", fence, token="orphan") is None
        shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
        shop.world.clock.advance(60)

        assert _take_over(shop, planned, "arn:recovery")["outcome"] == "Wait"
        assert shop.world.executions.answers["orphan"]["outcome"] == "Aborted"

    def test_of_one_that_only_waited_changes_nothing(self, shop: Shop) -> None:
        first, second = shop.release(2), shop.release(3)
        shop.acquire(first, "one")
        shop.acquire(second, "two")
        assert _take_over(shop, second, "arn:recovery")["outcome"] == "NotOwner"
        assert _locks(shop).waiters(SYSTEM, ENVIRONMENT) == []
        assert _locks(shop).read(SYSTEM, ENVIRONMENT).owner == first["deployment"]


class TestTakingOverARotation:
    """`rotate_secret` may run for a minute, and moves a secret's current value."""

    def test_waits_for_the_function_that_reaches_the_database(self) -> None:
        """Guards LONGEST_ROTATION."""
        shop = Rotating()
        planned, _ = shop.started()
        shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
        shop.world.clock.advance(30)
        assert _take_over(shop, planned, "arn:recovery")["seconds"] == 30
        shop.world.clock.advance(30)
        assert _take_over(shop, planned, "arn:recovery")["outcome"] == "Taken"

    def test_waits_no_longer_for_what_only_rolls_a_service(self) -> None:
        """A `roll` of it calls none of those."""
        shop = Rotating()
        planned, fence = shop.started()
        shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
        shop.world.clock.advance(110)
        shop.roll(planned, "worker", fence, token="rolls")
        shop.world.executions.end(shop.world.executions.arn("roll", "rolls"), "ABORTED")
        assert _take_over(shop, planned, "arn:recovery")["seconds"] == 30
