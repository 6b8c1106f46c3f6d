"""Waking whoever owns the lock now: the dead are passed over, the living are robbed of nothing."""

from __future__ import annotations

import pytest
from tidegate.domain.deployment import Deployment, Machine, Rollout
from tidegate.domain.errors import TransientError
from tidegate.domain.lock import Lock
from tidegate.domain.rollout import Direction
from tidegate.ledger.handover import release, tell_owner
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger

from tests.support.fakes import World

PLACE = ("shop", "production")


class Shop:
    """`D1` owns the lock; `waits("D2")` queues a running execution under the token `token-D2`."""

    def __init__(self) -> None:
        self.world = World()
        self.ports = self.world.ports
        self.locks = Locks(self.world.store, self.world.clock)
        self.ledger = Ledger(self.world.store, self.world.clock)
        self.queue("D1")

    def queue(self, deployment: str) -> str:
        arn = self.world.executions.run("deploy", deployment)
        self.locks.acquire(*PLACE, deployment, arn, f"token-{deployment}", "")
        return arn

    def waits(self, deployment: str) -> str:
        arn = self.queue(deployment)
        self.world.executions.wait(f"token-{deployment}")
        return arn

    def dies(self, deployment: str) -> None:
        """Its execution was stopped, and its token with it."""
        self.world.executions.waiting.discard(f"token-{deployment}")
        self.world.executions.end(self.world.executions.arn("deploy", deployment), "ABORTED")

    def release(self, deployment: str = "D1") -> None:
        release(self.ports, *PLACE, deployment)

    @property
    def lock(self) -> Lock:
        return self.locks.read(*PLACE)

    @property
    def answers(self) -> dict[str, object]:
        return dict(self.world.executions.answers)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_the_next_is_told_its_fence_once(shop: Shop) -> None:
    shop.waits("D2")
    shop.waits("D3")
    shop.release()
    assert shop.answers == {"token-D2": {"outcome": "Acquired", "fence": 2}}
    assert (shop.lock.owner, shop.lock.token) == ("D2", None)
    assert shop.world.metrics.total("LockHandedOver") == 1
    tell_owner(shop.ports, shop.lock)
    assert shop.world.executions.called("succeed") == 1


def test_nobody_is_told_where_nobody_waits(shop: Shop) -> None:
    shop.release()
    assert shop.lock.free
    assert shop.world.executions.calls == []


def test_the_dead_are_passed_over_to_the_first_that_lives(shop: Shop) -> None:
    """`tell_owner`'s loop: each of them gets a fence, none an answer."""
    for name in ("D2", "D3", "D4", "D5"):
        shop.waits(name)
    shop.dies("D2")
    shop.dies("D3")
    shop.world.executions.forget(shop.world.executions.arn("deploy", "D3"))
    shop.release()
    assert shop.answers == {"token-D4": {"outcome": "Acquired", "fence": 4}}
    assert shop.lock.owner == "D4"
    assert [waiter.deployment for waiter in shop.locks.waiters(*PLACE)] == ["D5"]


def test_where_all_are_dead_the_lock_is_free(shop: Shop) -> None:
    """I5: no lock outlives its run."""
    for name in ("D2", "D3"):
        shop.waits(name)
        shop.dies(name)
    shop.release()
    assert shop.lock.free
    assert shop.lock.fence == 3, "each of them was an owner for a moment"
    assert shop.locks.waiters(*PLACE) == []


def told_but_not_noted(shop: Shop, deployment: str) -> Lock:
    """The lock as it is when whoever told its owner died before writing that down."""
    handed = shop.locks.release(*PLACE, "D1")
    assert handed is not None
    shop.world.executions.succeed(f"token-{deployment}", {"outcome": "Acquired", "fence": handed.fence})
    return handed


def test_a_running_owner_that_was_told_before_is_not_robbed(shop: Shop) -> None:
    shop.waits("D2")
    shop.waits("D3")
    handed = told_but_not_noted(shop, "D2")
    tell_owner(shop.ports, handed)
    assert (shop.lock.owner, shop.lock.fence, shop.lock.token) == ("D2", 2, None)
    assert "token-D3" not in shop.answers
    assert shop.world.metrics.total("LockHandedOver") == 0, "it was counted by whoever told it"


def begins(shop: Shop, deployment: str, fence: int) -> None:
    """It has written what it is about to do to a service: from here on, ECS may be changed."""
    opened = Deployment(deployment, *PLACE, Machine.DEPLOY, "arn", shop.ledger.now())
    rollout = Rollout("api", Direction.ROLL, "arn:roll", shop.ledger.now())
    shop.ledger.save_rollout(opened, rollout, fence=fence)


def test_an_owner_that_died_half_way_keeps_the_lock_for_its_recovery(shop: Shop) -> None:
    """I1, I8, `tell_owner`'s look at the rollouts: its token is void as well, but it has begun to change services.

    Passed on, the next one would roll what a recovery has to take back first.
    """
    shop.waits("D2")
    shop.waits("D3")
    handed = told_but_not_noted(shop, "D2")
    begins(shop, "D2", handed.fence)
    shop.dies("D2")
    tell_owner(shop.ports, handed)
    assert (shop.lock.owner, shop.lock.fence) == ("D2", handed.fence)
    assert "token-D3" not in shop.answers
    assert shop.locks.take_over(*PLACE, "D2", "arn:recovery") is not None


def test_an_owner_that_was_taken_over_meanwhile_is_left_alone(shop: Shop) -> None:
    """`pass_over` insists on the lock as it was read: the sweep may hold an old one."""
    shop.waits("D2")
    shop.waits("D3")
    handed = shop.locks.release(*PLACE, "D1")
    assert handed is not None
    shop.dies("D2")
    shop.locks.take_over(*PLACE, "D2", "arn:recovery")
    tell_owner(shop.ports, handed)
    assert (shop.lock.owner, shop.lock.execution) == ("D2", "arn:recovery")
    assert shop.answers == {}


def test_a_retried_waiter_is_told_at_its_new_token(shop: Shop) -> None:
    arn = shop.waits("D2")
    shop.world.executions.waiting.discard("token-D2")
    shop.world.executions.wait("token-D2-again")
    shop.locks.acquire(*PLACE, "D2", arn, "token-D2-again", "")
    shop.release()
    assert shop.answers == {"token-D2-again": {"outcome": "Acquired", "fence": 2}}


@pytest.mark.parametrize("crash", ["the table", "Step Functions"])
def test_a_release_that_is_repeated_wakes_the_successor_of_the_first_attempt(shop: Shop, crash: str) -> None:
    """`release` with `locks.read`: the lock is not its own any more, and its successor has not heard of it."""
    shop.waits("D2")
    if crash == "the table":
        shop.world.store.loses("transact")
    else:
        shop.world.executions.fails("succeed")
    with pytest.raises(TransientError):
        shop.release()
    assert (shop.lock.owner, shop.answers) == ("D2", {})
    shop.release()
    assert shop.answers == {"token-D2": {"outcome": "Acquired", "fence": 2}}


def test_a_note_that_gets_lost_means_only_another_look(shop: Shop) -> None:
    shop.waits("D2")
    handed = shop.locks.release(*PLACE, "D1")
    assert handed is not None
    shop.world.store.loses("transact")
    with pytest.raises(TransientError):
        tell_owner(shop.ports, handed)
    tell_owner(shop.ports, shop.lock)
    assert shop.answers == {"token-D2": {"outcome": "Acquired", "fence": 2}}
    assert shop.lock.owner == "D2"


def test_a_run_that_does_not_hold_the_lock_releases_nothing(shop: Shop) -> None:
    """A refused run ends as every other: it releases a lock that it never had."""
    shop.waits("D2")
    shop.release("D2")
    assert (shop.lock.owner, shop.lock.fence) == ("D1", 1)
    assert shop.answers == {}
