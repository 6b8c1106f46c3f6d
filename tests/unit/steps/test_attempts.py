"""Two attempts of one task: Step Functions gave up the first and started another, and the first is carried out late."""

from __future__ import annotations

from tidegate.ledger.locks import Locks
from tidegate.steps import control, lock

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Shop


def test_a_late_attempt_that_finds_an_abort_tells_the_later_one(shop: Shop) -> None:
    """`lock._acquire`: `in_the_queue`, which tells the token that waits before it takes it off the queue.

    Whoever aborted died before it told anybody.
    """
    shop.acquire(shop.release(2), "first")
    waiting = shop.release(3)
    event = {"step": "Acquire", **shop.place(waiting), "execution": shop.deployment(waiting).execution}
    given_up = {**event, "token": "given up", "attempt": "2026-03-02T09:00:00.000Z#0"}
    later = {**event, "token": shop.world.executions.wait("later"), "attempt": "2026-03-02T09:00:00.000Z#1"}
    for attempt in (given_up, later):
        lock.run(attempt, shop.world.ports)
    body = f'{{"command": "abort", "deployment": "{waiting["deployment"]}", "reason": "why"}}'
    identity = {"authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:user/bob"}}}
    shop.world.executions.fails("succeed")
    control.run({"requestContext": identity, "body": body}, shop.world.ports)
    assert "later" not in shop.world.executions.answers

    lock.run(given_up, shop.world.ports)
    assert shop.world.executions.answers["later"]["outcome"] == "Aborted"
    assert Locks(shop.world.store, shop.world.clock).waiters(SYSTEM, ENVIRONMENT) == []
