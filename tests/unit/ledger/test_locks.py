"""The lock of an environment: one owner, a fence that rises, a queue in which nobody is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tidegate.domain.errors import ConflictError, TransientError
from tidegate.domain.lock import Lock, Rank, Waiter
from tidegate.ledger import keys
from tidegate.ledger.locks import Acquired, Locks, Queued, fenced
from tidegate.ports import ConditionFailedError, Put

from tests.support.clock import FakeClock
from tests.unit.ledger.meddling import ENVIRONMENT, LOCK, SYSTEM, MeddledStore, assert_legal

PLACE = (SYSTEM, ENVIRONMENT)


class Shop:
    """Locks over a table that can be meddled with; `acquire("D2")` waits under the token `D2-1`, then `D2-2`, …"""

    def __init__(self) -> None:
        self.store = MeddledStore()
        self.clock = FakeClock()
        self.locks = Locks(self.store, self.clock)
        self.tokens: dict[str, int] = {}

    def acquire(self, deployment: str) -> Acquired | Queued:
        self.tokens[deployment] = self.tokens.get(deployment, 0) + 1
        token = f"{deployment}-{self.tokens[deployment]}"
        return self.locks.acquire(*PLACE, deployment, f"arn:{deployment}", token, f"reason of {deployment}")

    def release(self, deployment: str) -> Lock | None:
        return self.locks.release(*PLACE, deployment)

    def leave(self, deployment: str) -> bool:
        return self.locks.leave(*PLACE, deployment)

    def take_over(self, deployment: str) -> Lock | None:
        return self.locks.take_over(*PLACE, deployment, "arn:recovery")

    @property
    def lock(self) -> Lock:
        return self.locks.read(*PLACE)

    @property
    def queue(self) -> list[str]:
        return [waiter.deployment for waiter in self.locks.waiters(*PLACE)]


@pytest.fixture
def shop() -> Shop:
    return Shop()


class TestAcquire:
    def test_takes_a_free_lock(self, shop: Shop) -> None:
        assert shop.lock == Lock(*PLACE)
        assert shop.acquire("D1") == Acquired(1)
        now = "2026-03-02T09:00:00.000Z"
        expected = Lock(*PLACE, "D1", "arn:D1", 1, "reason of D1", now, None, 1, 1)
        assert shop.lock == expected

    def test_waits_behind_the_owner_in_the_order_of_coming(self, shop: Shop) -> None:
        shop.acquire("D1")
        assert shop.acquire("D3") == Queued(1, 1, "D1")
        shop.clock.advance(-300)  # a clock that is off by 5 minutes: the place decides, not the time
        assert shop.acquire("D2") == Queued(2, 2, "D1")
        assert shop.queue == ["D3", "D2"]
        shop.release("D1")
        assert (shop.lock.owner, shop.queue) == ("D3", ["D2"])

    def test_waits_after_more_than_nine_others(self, shop: Shop) -> None:
        """Sort keys are text: `keys.waiter` pads the place."""
        names = [f"D{number}" for number in range(12)]
        for name in names:
            shop.acquire(name)
        for name in names:
            assert shop.lock.owner == name
            shop.release(name)
        assert shop.lock.free

    def test_by_the_owner_gives_the_fence_it_has(self, shop: Shop) -> None:
        shop.acquire("D1")
        assert shop.acquire("D1") == Acquired(1)
        assert len(shop.store.changes) == 1

    def test_by_a_waiter_keeps_its_place_under_the_new_token(self, shop: Shop) -> None:
        for name in ("D1", "D2", "D3"):
            shop.acquire(name)
        since = shop.locks.waiters(*PLACE)[0].since
        shop.clock.advance(60)
        assert shop.acquire("D2") == Queued(1, 1, "D1")
        assert shop.queue == ["D2", "D3"]
        assert shop.locks.waiters(*PLACE)[0] == Waiter(1, "D2", "arn:D2", "D2-2", "reason of D2", since)

    @pytest.mark.parametrize("waiting", [False, True])
    def test_whose_answer_was_lost_is_read_back(self, shop: Shop, waiting: bool) -> None:
        """Fault 18: the owner or the waiter finds itself; a second write would take a second place."""
        if waiting:
            shop.acquire("D0")
        with pytest.raises(TransientError), shop.store.on_behalf_of("D1", lost="after"):
            shop.acquire("D1")
        again = shop.acquire("D1")
        assert again == (Queued(1, 1, "D0") if waiting else Acquired(1))
        assert shop.queue == (["D1"] if waiting else [])

    def test_of_an_attempt_that_a_later_one_overtakes_leaves_the_token_of_that_one(self, shop: Shop) -> None:
        """`acquire`, the waiter that comes back: the condition on the token it was read with."""

        def attempt(number: int) -> Acquired | Queued:
            rank = Rank(attempt=str(number))
            return shop.locks.acquire(*PLACE, "D2", "arn:D2", f"token-{number}", "", rank)

        shop.acquire("D1")
        attempt(1)
        with shop.store.on_behalf_of("D2", rival=lambda: attempt(3), before_call=2):
            attempt(2)
        assert [waiter.token for waiter in shop.locks.waiters(*PLACE)] == ["token-3"]

    def test_of_a_lock_that_is_free_although_others_wait_lets_them_go_first(self, shop: Shop) -> None:
        """No write of ours leaves it so; whoever mends the table by hand may."""
        orphan(shop, "D1")
        assert shop.acquire("D2") == Queued(2, 1, "D1")
        assert (shop.lock.owner, shop.lock.token) == ("D1", "D1-0")

    def test_of_a_free_lock_by_the_first_that_waits_leaves_the_queue(self, shop: Shop) -> None:
        orphan(shop, "D1")
        assert shop.acquire("D1") == Acquired(1)
        assert shop.queue == []

    def test_gives_up_for_a_moment_where_others_are_always_faster(self, shop: Shop) -> None:
        """ConflictError is transient: Step Functions backs off and comes back."""

        def always_fails(writes: object) -> None:
            raise ConditionFailedError(0)

        shop.store.transact = always_fails  # type: ignore[method-assign]
        with pytest.raises(ConflictError):
            shop.acquire("D1")


def orphan(shop: Shop, deployment: str) -> None:
    """A waiter before a free lock."""
    waiter = Waiter(1, deployment, f"arn:{deployment}", f"{deployment}-0", "", "2026-03-02T09:00:00.000Z")
    lock = {"system": SYSTEM, "environment": ENVIRONMENT, "version": 1, "next_seq": 2, "fence": 0}
    shop.store.transact([Put(LOCK, lock), Put(keys.waiter(*PLACE, 1), waiter.to_json())])
    shop.store.changes.clear()


class TestRelease:
    def test_frees_a_lock_that_nobody_waits_for_and_keeps_its_item(self, shop: Shop) -> None:
        shop.acquire("D1")
        assert shop.release("D1") == Lock(*PLACE, fence=1, version=2)
        assert shop.acquire("D2") == Acquired(2), "fault 17: the fence rises from where it was"

    def test_hands_over_in_one_transaction_with_the_next_fence(self, shop: Shop) -> None:
        shop.acquire("D1")
        shop.acquire("D2")
        before = len(shop.store.changes)
        handed = shop.release("D1")
        assert handed == shop.lock
        assert (handed.owner, handed.execution, handed.fence, handed.token) == ("D2", "arn:D2", 2, "D2-1")
        assert handed.reason == "reason of D2"
        assert shop.queue == []
        assert len(shop.store.changes) == before + 1

    @pytest.mark.parametrize("who", ["D2", "D3"])
    def test_by_anybody_but_the_owner_does_nothing(self, shop: Shop, who: str) -> None:
        shop.acquire("D1")
        shop.acquire("D2")
        assert shop.release(who) is None
        assert (shop.lock.owner, shop.queue) == ("D1", ["D2"])

    def test_whose_answer_was_lost_does_not_release_the_next_one(self, shop: Shop) -> None:
        shop.acquire("D1")
        shop.acquire("D2")
        with pytest.raises(TransientError), shop.store.on_behalf_of("D1", lost="after"):
            shop.release("D1")
        assert shop.release("D1") is None
        assert shop.lock.owner == "D2"


class TestLeave:
    def test_takes_only_the_one_that_leaves_off_the_queue(self, shop: Shop) -> None:
        for name in ("D1", "D2", "D3"):
            shop.acquire(name)
        assert shop.leave("D2")
        assert shop.queue == ["D3"]
        assert not shop.leave("D2")
        assert not shop.leave("D1"), "the owner does not wait"
        assert shop.lock.owner == "D1"

    def test_and_coming_back_waits_last(self, shop: Shop) -> None:
        for name in ("D1", "D2", "D3"):
            shop.acquire(name)
        shop.leave("D2")
        assert shop.acquire("D2") == Queued(3, 2, "D1"), "a place is given once"

    def test_takes_a_waiter_off_that_comes_back_meanwhile(self, shop: Shop) -> None:
        """The run ends; what a twin of its task still writes under another token ends with it (`_remove`)."""
        shop.acquire("D1")
        shop.acquire("D2")
        with shop.store.on_behalf_of("D2", rival=lambda: shop.acquire("D2"), before_call=1):
            assert shop.leave("D2")
        assert shop.queue == []


class TestTakeOver:
    def test_voids_the_fence_of_the_dead_execution(self, shop: Shop) -> None:
        """Fault 16, I2: nothing that it still writes lands."""
        shop.acquire("D1")
        taken = shop.take_over("D1")
        assert taken == shop.lock
        assert (taken.owner, taken.execution, taken.fence, taken.token) == ("D1", "arn:recovery", 2, None)
        assert not shop.locks.holds(*PLACE, "D1", 1)
        assert shop.locks.holds(*PLACE, "D1", 2)

    def test_twice_is_once(self, shop: Shop) -> None:
        shop.acquire("D1")
        with pytest.raises(TransientError), shop.store.on_behalf_of("D1", lost="after"):
            shop.take_over("D1")
        taken = shop.take_over("D1")
        assert taken is not None
        assert taken.fence == 2

    def test_of_a_lock_of_another_is_refused(self, shop: Shop) -> None:
        shop.acquire("D1")
        shop.acquire("D2")
        assert shop.take_over("D2") is None
        assert shop.take_over("D3") is None
        assert shop.lock.execution == "arn:D1"


class TestPassOver:
    def test_releases_for_an_owner_that_died(self, shop: Shop) -> None:
        for name in ("D1", "D2", "D3"):
            shop.acquire(name)
        shop.release("D1")
        given = shop.locks.pass_over(shop.lock)
        assert given is not None
        assert (given.owner, given.fence, shop.queue) == ("D3", 3, [])
        freed = shop.locks.pass_over(given)
        assert freed is not None
        assert freed.free

    def test_leaves_a_lock_alone_that_was_taken_over_since_it_was_read(self, shop: Shop) -> None:
        """By the deployment's name alone, it would take the lock from the recovery that undoes what was begun."""
        shop.acquire("D1")
        read = shop.lock
        shop.take_over("D1")
        assert shop.locks.pass_over(read) is None
        assert shop.lock.execution == "arn:recovery"


class TestTold:
    def test_forgets_the_token_and_keeps_the_fence(self, shop: Shop) -> None:
        shop.acquire("D1")
        shop.acquire("D2")
        handed = shop.release("D1")
        assert handed is not None
        shop.locks.told(handed)
        assert shop.lock == replace(handed, token=None, version=handed.version + 1)

    def test_too_late_changes_nothing(self, shop: Shop) -> None:
        shop.acquire("D1")
        shop.acquire("D2")
        handed = shop.release("D1")
        assert handed is not None
        shop.release("D2")
        shop.locks.told(handed)
        assert shop.lock.free


class TestPassOn:
    def test_gives_a_free_lock_to_the_first_that_waits(self, shop: Shop) -> None:
        orphan(shop, "D1")
        handed = shop.locks.pass_on(*PLACE)
        assert handed == shop.lock
        assert (handed.owner, handed.fence, handed.token, shop.queue) == ("D1", 1, "D1-0", [])

    def test_leaves_a_held_lock_and_an_empty_queue_alone(self, shop: Shop) -> None:
        assert shop.locks.pass_on(*PLACE) is None
        shop.acquire("D1")
        shop.acquire("D2")
        assert shop.locks.pass_on(*PLACE) is None
        assert shop.lock.owner == "D1"


class TestFenced:
    def test_lets_only_the_owner_write_and_only_under_its_fence(self, shop: Shop) -> None:
        shop.acquire("D1")
        item = Put(keys.seen("x"), {"by": "D1"})
        shop.store.transact([fenced(*PLACE, "D1", 1), item])
        for deployment, fence in (("D1", 0), ("D1", 2), ("D2", 1)):
            with pytest.raises(ConditionFailedError):
                shop.store.transact([fenced(*PLACE, deployment, fence), item])

    def test_refuses_everybody_before_the_lock_was_ever_taken(self, shop: Shop) -> None:
        with pytest.raises(ConditionFailedError):
            shop.store.transact([fenced(*PLACE, "D1", 0), Put(keys.seen("x"), {})])


class TestWhatTheSweepFinds:
    """One query over what is open: `_put` and `_enqueue` with `kind`."""

    def test_a_held_lock_and_who_waits_are_open_and_a_free_lock_is_not(self, shop: Shop) -> None:
        def found() -> list[tuple[str, str]]:
            return [(item["type"], item["sk"]) for item in shop.store.query_kind(keys.OPEN)]

        shop.acquire("D1")
        shop.clock.advance(1)
        shop.acquire("D2")
        assert found() == [("lock", "LOCK"), ("waiter", "WAIT#000000001")]
        shop.release("D1")
        assert found() == [("lock", "LOCK")]
        shop.release("D2")
        assert found() == []

    def test_each_names_its_place(self, shop: Shop) -> None:
        shop.acquire("D1")
        shop.acquire("D2")
        for item in shop.store.query_kind(keys.OPEN):
            assert (item["system"], item["environment"]) == PLACE


Act = Callable[[Shop], object]
# Each starts with D1 as the owner and D2 and D3 in the queue, or with D1 alone.
ACTS: dict[str, tuple[str, Act]] = {
    "the owner releases": ("D1", lambda shop: shop.release("D1")),
    "the owner is taken over": ("D1", lambda shop: shop.take_over("D1")),
    "the owner is passed over": ("D1", lambda shop: shop.locks.pass_over(shop.store.view().lock)),
    "the owner comes again": ("D1", lambda shop: shop.acquire("D1")),
    "the first comes again": ("D2", lambda shop: shop.acquire("D2")),
    "the first leaves": ("D2", lambda shop: shop.leave("D2")),
    "the last comes again": ("D3", lambda shop: shop.acquire("D3")),
    "the last leaves": ("D3", lambda shop: shop.leave("D3")),
    "a new one comes": ("D4", lambda shop: shop.acquire("D4")),
    "another new one comes": ("D5", lambda shop: shop.acquire("D5")),
    "a free lock is looked for": ("sweep", lambda shop: shop.locks.pass_on(*PLACE)),
}
LONGEST = 12  # more calls than any of them makes


@contextmanager
def settled(waiting: bool) -> Iterator[Shop]:
    shop = Shop()
    for name in ("D1", "D2", "D3") if waiting else ("D1",):
        with shop.store.on_behalf_of(name):
            shop.acquire(name)
    yield shop
    for change in shop.store.changes:
        assert_legal(change)


@pytest.mark.parametrize("waiting", [True, False], ids=["with a queue", "without"])
@pytest.mark.parametrize("rival", ACTS)
@pytest.mark.parametrize("first", ACTS)
def test_two_writers_meet_at_every_call(first: str, rival: str, waiting: bool) -> None:
    """The rival acts as a whole between any two calls of the first.

    Whatever comes of it: each transaction is legal, the answers are true, nobody who was accepted is forgotten or
    will be told at a token that it has given up, and the lock is free once all have ended (I1, I2, I5).
    """
    for before_call in range(LONGEST):
        with settled(waiting) as shop:
            answers: dict[str, object] = {}
            meet(shop, ACTS[first], ACTS[rival], before_call, answers)
            assert_nobody_is_forgotten(shop, answers)
            for name in ("D1", "D2", "D3", "D4", "D5"):
                with shop.store.on_behalf_of(name):
                    shop.leave(name)
                    shop.release(name)
            assert shop.lock.free
            assert shop.queue == []


def meet(
    shop: Shop, first: tuple[str, Act], rival: tuple[str, Act], before_call: int, answers: dict[str, object]
) -> None:
    (actor, act), (other, meanwhile) = first, rival

    def interfere() -> None:
        with shop.store.on_behalf_of(other):
            answers[other] = meanwhile(shop)

    with shop.store.on_behalf_of(actor, rival=interfere, before_call=before_call):
        answers[actor] = act(shop)
    answer = answers[actor]
    if isinstance(answer, Queued):
        assert answer.behind == shop.lock.owner
    if actor == other:
        # Two attempts of one task at once: which of their tokens is the newer one nobody can tell.
        shop.tokens.pop(actor, None)


def assert_nobody_is_forgotten(shop: Shop, answers: dict[str, object]) -> None:
    lock, waiters = shop.lock, shop.locks.waiters(*PLACE)
    listening = {waiter.deployment: waiter.token for waiter in waiters}
    if lock.owner is not None and lock.token is not None:
        listening[lock.owner] = lock.token
    for name, answer in answers.items():
        if isinstance(answer, Acquired | Queued):
            assert lock.owner == name or name in listening, "whoever was accepted owns the lock or waits"
    for name, last in shop.tokens.items():
        assert lock.owner == name or name in listening or name in answers, "nobody is forgotten"
        # Who is told by the answer of its own call listens to that.
        if name in listening and not isinstance(answers.get(name), Acquired):
            assert listening[name] == f"{name}-{last}", "it is told where it listens"


def test_no_act_makes_more_calls_than_the_test_above_interrupts() -> None:
    for actor, act in ACTS.values():
        with settled(waiting=True) as shop:
            shop.store.calls.clear()
            with shop.store.on_behalf_of(actor):
                act(shop)
            assert len(shop.store.calls) < LONGEST - 4, "some calls are left for a second attempt"
