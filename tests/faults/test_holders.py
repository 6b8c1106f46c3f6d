"""Rows 16, 17 and 18: who holds an environment's lock, who thinks so, and answers that were lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.lock import Lock
from tidegate.domain.outcome import Outcome
from tidegate.ledger import keys

from tests.e2e.scenarios import sweep
from tests.e2e.support import SampleCloud
from tests.e2e.waiting_machine import Waiter, waiter
from tests.faults.people import Person
from tests.faults.releases import ENVIRONMENT, SECONDS, Releases, fresh_ulid, invoke
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

# What a take-over waits for: the longest time-out of a function, and a slow machine.
TAKEN_OVER = 90.0


def test_row_16_a_stale_holder_that_wakes_up_changes_nothing(cloud: SampleCloud) -> None:
    """A stale lock holder wakes up: the fence refuses its write, ECS is untouched. Once after its deployment was taken
    over, so that it still is the owner by name; once after a person broke the lock that it had left behind.

    Red where `_write` (ledger/records.py) does not put `fenced` before what a run writes.
    """
    orphan, mess = Releases.of(cloud, "orphan"), Releases.of(cloud, "mess")
    before = orphan.system.digests()["api"]
    with orphan.hanging():
        lost = orphan.by_push(cloud.push("its execution is stopped"), fresh_ulid())
        orphan.rolling(lost)
        stale = orphan.deployment(lost)
        cloud.control.hold("deploy", "BeginCompensation", orphan.name)
        try:
            cloud.client("stepfunctions").stop_execution(executionArn=stale.execution)
            sweep(cloud)
            # It takes half a minute until nothing that it called can run any more.
            _a_mess_is_left_and_unlocked(cloud, mess)
            wait_until(lambda: _stands(cloud, orphan), what="the take-over", seconds=TAKEN_OVER)
            lock = orphan.lock()
            assert (lock.owner, lock.fence) == (lost, stale.fence + 1)
            _nothing_it_does_counts(orphan, lost, stale.fence)
        finally:
            cloud.control.release("deploy", "BeginCompensation", orphan.name)
    done = orphan.ended(lost)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert orphan.path(lost)[:3] == ["PlanRelease", "Planned?", "TakeOverLock"]
    orphan.at_rest(before)


def _a_mess_is_left_and_unlocked(cloud: SampleCloud, shop: Releases) -> None:
    service = shop.system.services["api"]
    cloud.control.set_fault(service, "crash", all=True)
    try:
        dirty = shop.ended(shop.by_push(cloud.push("does not come back"), fresh_ulid()))
    finally:
        cloud.control.clear_fault(service)
    assert dirty.outcome is Outcome.FAILED_DIRTY, dirty.explanation
    assert shop.lock().owner == dirty.id
    Person.named(cloud, "grace").unlock(shop.name, ENVIRONMENT, "looked at it").done()
    assert shop.lock().free
    _nothing_it_does_counts(shop, dirty.id, dirty.fence)
    good = cloud.push("after the mess")
    with shop.hanging():
        following = shop.by_person(good)
        shop.rolling(following)
        assert (shop.lock().owner, shop.lock().fence) == (following, dirty.fence + 1)
        _nothing_it_does_counts(shop, dirty.id, dirty.fence)
    assert shop.ended(following).outcome is Outcome.SUCCEEDED
    shop.at_rest(good.digest)


def test_row_17_the_fence_rises_and_the_lock_is_never_deleted(cloud: SampleCloud) -> None:
    """Lock released and taken again: ten times, five of them by hand-over. The fence rises; the item is never deleted.

    Red where `handed_to` (domain/lock.py) leaves the fence as it is.
    """
    shop = Releases.of(cloud, "turns", settings={"queue": "fifo"})
    builds = [cloud.push("one"), cloud.push("two")]
    assert shop.lock().fence == 0
    seen: list[int] = []

    def followed(identities: list[str]) -> list[int]:
        def over() -> bool:
            # From the first one that takes it on: there is no item before.
            if seen or shop.lock().fence:
                seen.append(int(_lock_item(shop)["fence"]))
            return all(shop.deployment(one).outcome for one in identities if cloud.ledger.find(one))

        wait_until(lambda: all(map(cloud.ledger.find, identities)), what="all to arrive", seconds=SECONDS)
        wait_until(over, what="all to end", seconds=2 * SECONDS)
        ended = [shop.ended(one) for one in identities]
        assert [one.outcome for one in ended] == [Outcome.SUCCEEDED] * len(ended), ended
        return [one.fence for one in ended]

    fences = [followed([shop.by_person(builds[number % 2])])[0] for number in range(4)]
    with shop.hanging():
        together = [shop.by_person(builds[0])]
        shop.rolling(together[0])
        for number in range(1, 6):
            together.append(shop.by_person(builds[number % 2]))
            shop.queued(together[-1])
    fences += followed(together)
    assert fences == list(range(1, 11)), "each change of owner raises it by one"
    assert seen == sorted(seen), "it never falls"
    assert int(_lock_item(shop)["fence"]) == 10, "nor is it forgotten when the lock is free"
    shop.at_rest(builds[1].digest)


def test_row_18_a_lost_answer_of_the_lock_is_read_back(cloud: SampleCloud) -> None:
    """Ambiguous lock write: the owner is read back; never orphaned. The answer of AcquireLock is lost as the owner, and
    in the queue, where an attempt that comes behind a later one does not put its void token in that one's place.

    Red where `acquire` (ledger/locks.py) does not compare `rank.attempt`.
    """
    shop = Releases.of(cloud, "lostanswer")
    one, two = cloud.push("holds the lock"), cloud.push("waits for it")
    with waiter(cloud) as retry, waiter(cloud) as again:
        with shop.hanging():
            first = shop.by_push(one, fresh_ulid())
            shop.rolling(first)
            held = shop.lock()
            assert _acquire(shop, first, retry, "9") == ({"outcome": "Acquired", "fence": held.fence}, False)
            assert retry.answer(SECONDS)["fence"] == held.fence
            assert shop.lock() == held, "nothing was written"

            second = shop.by_push(two, fresh_ulid())
            place = shop.queued(second)
            late = place.rank.attempt
            assert late
            assert _acquire(shop, second, again, "9")[0]["place"] == 1
            # The attempt before, whose answer was lost, is carried out only now.
            old = {"token": place.token, "execution": place.execution, "attempt": late}
            answer, failed = invoke(cloud, "lock", {**_acquires(shop, second), **old})
            assert (answer["outcome"], answer["place"], failed) == ("Queued", 1, False)
            (known,) = shop.waiters()
            assert (known.deployment, known.seq, known.token) == (second, place.seq, again.token)
        # The owner ends; whoever came last of the second's attempts is told, and it owns the lock.
        told = again.answer(SECONDS)
        assert (told["outcome"], told["fence"]) == ("Acquired", held.fence + 1)
        lock = wait_until(lambda: _owned(shop, second), what="the second to own the lock", seconds=SECONDS)
        assert (lock.fence, shop.waiters()) == (held.fence + 1, [])
        # Its execution is a task that was never retried: it asks once more, and finds itself.
        answer, failed = invoke(cloud, "lock", {**_acquires(shop, second), **old, "attempt": "99"})
        assert (answer["outcome"], answer["fence"], failed) == ("Acquired", lock.fence, False)
    ended = [shop.ended(identity) for identity in (first, second)]
    assert [done.outcome for done in ended] == [Outcome.SUCCEEDED] * 2, [done.explanation for done in ended]
    shop.at_rest(two.digest)


# --- how they are told


def _nothing_it_does_counts(shop: Releases, identity: str, fence: int) -> None:
    """What functions that woke up under an old fence are answered; nothing has changed."""
    shop.system.described()
    before = (shop.ecs_deployments(), shop.lock(), shop.cloud.ledger.rollouts(identity))
    ended = shop.deployment(identity).outcome
    under = {
        "system": shop.name,
        "environment": ENVIRONMENT,
        "deployment": identity,
        "fence": fence,
        "execution": shop.deployment(identity).execution,
        "token": "of a task that nobody waits for",
    }
    wrote = [
        ("roll_service", {"step": "Start", "service": "api", "direction": way}) for way in ("Roll", "Revert")
    ]
    if ended is None:
        wrote.append(("record", {"step": "BeginCompensation"}))
    for function, event in wrote:
        answer, failed = invoke(shop.cloud, function, {**under, **event})
        assert failed, f"{function} {event}: {answer}"
        assert answer["errorType"] == "LostLockError", answer
        assert f"fence {fence}" in answer["errorMessage"], answer
    assert (shop.ecs_deployments(), shop.lock(), shop.cloud.ledger.rollouts(identity)) == before
    assert shop.deployment(identity).outcome is ended


def _stands(cloud: SampleCloud, shop: Releases) -> bool:
    return any(
        (one["state"], one["system"]) == ("BeginCompensation", shop.name) for one in cloud.control.held()
    )


def _lock_item(shop: Releases) -> dict[str, Any]:
    """As the table has it; an AssertionError where it is gone."""
    item = shop.cloud.ports.store.get(keys.lock(shop.name, ENVIRONMENT))
    assert item is not None, "the lock was deleted"
    return dict(item)


def _owned(shop: Releases, identity: str) -> Lock | None:
    lock = shop.lock()
    return lock if lock.owner == identity else None


def _acquires(shop: Releases, identity: str) -> dict[str, Any]:
    return {"step": "Acquire", "system": shop.name, "environment": ENVIRONMENT, "deployment": identity}


def _acquire(shop: Releases, identity: str, by: Waiter, attempt: str) -> tuple[dict[str, Any], bool]:
    """Another attempt at AcquireLock of a deployment, whose answer goes to `by`."""
    event = {**_acquires(shop, identity), "token": by.token, "attempt": attempt}
    event["execution"] = shop.deployment(identity).execution
    answer, failed = invoke(shop.cloud, "lock", event)
    return {name: answer[name] for name in ("outcome", "fence", "place") if name in answer}, failed
