"""A table in which others act between any two calls of a writer, and answers get lost.

Every transaction that touches the lock is kept as a `Change`; `assert_legal` says what any of them may do.
`assert_sound` says as much where it is not known on whose behalf a transaction was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tidegate.domain.errors import TransientError
from tidegate.domain.lock import Lock, Waiter
from tidegate.ledger import keys
from tidegate.ports import Item, Key, Write

from tests.support.store import FakeStore

SYSTEM, ENVIRONMENT = "shop", "production"
LOCK = keys.lock(SYSTEM, ENVIRONMENT)


@dataclass(frozen=True)
class View:
    lock: Lock
    queue: tuple[Waiter, ...]


def seen(store: FakeStore) -> View:
    """The lock and its queue as they are, without a call of the table."""
    item = store.items.get((LOCK.pk, LOCK.sk))
    lock = Lock(SYSTEM, ENVIRONMENT) if item is None else Lock.from_json(item)
    waiting = sorted(key for key in store.items if key[0] == LOCK.pk and key[1].startswith("WAIT#"))
    return View(lock, tuple(Waiter.from_json(store.items[key]) for key in waiting))


@dataclass(frozen=True)
class Change:
    """`actor` is the deployment on whose behalf the transaction was made."""

    actor: str
    before: View
    after: View


@dataclass
class _Interruption:
    rival: Callable[[], object] | None
    before_call: int
    lost: str | None
    lost_transaction: int
    calls: int = 0
    transactions: int = 0


class MeddledStore(FakeStore):
    def __init__(self) -> None:
        super().__init__()
        self.actor = ""
        self.changes: list[Change] = []
        self._interruption: _Interruption | None = None

    @contextmanager
    def on_behalf_of(
        self,
        actor: str,
        *,
        rival: Callable[[], object] | None = None,
        before_call: int = 0,
        lost: str | None = None,
        lost_transaction: int = 0,
    ) -> Iterator[None]:
        """Run a writer: `rival` acts before its call number `before_call`; its transaction number `lost_transaction`
        raises TransientError, carried out (`lost="after"`) or not (`lost="before"`)."""
        kept = self.actor, self._interruption
        self.actor = actor
        self._interruption = _Interruption(rival, before_call, lost, lost_transaction)
        try:
            yield
        finally:
            self.actor, self._interruption = kept

    def view(self) -> View:
        return seen(self)

    def get(self, key: Key) -> Item | None:
        self._let_the_rival_act()
        return super().get(key)

    def query(
        self, pk: str, prefix: str = "", *, newest_first: bool = False, limit: int | None = None
    ) -> Iterator[Item]:
        self._let_the_rival_act()
        return super().query(pk, prefix, newest_first=newest_first, limit=limit)

    def transact(self, writes: Sequence[Write]) -> None:
        self._let_the_rival_act()
        lost = self._is_lost()
        if lost == "before":
            raise TransientError("the table was away")
        before = self.view()
        super().transact(writes)
        after = self.view()
        if before != after:
            self.changes.append(Change(self.actor, before, after))
        if lost == "after":
            raise TransientError("the table's answer was lost")

    def _let_the_rival_act(self) -> None:
        now = self._interruption
        if now is None:
            return
        if now.rival is not None and now.calls == now.before_call:
            rival, now.rival = now.rival, None
            self._interruption = None
            rival()
            self._interruption = now
        now.calls += 1

    def _is_lost(self) -> str | None:
        now = self._interruption
        if now is None:
            return None
        now.transactions += 1
        return now.lost if now.transactions - 1 == now.lost_transaction else None


def assert_legal(change: Change) -> None:
    """What one transaction may do to the lock and its queue: I1, I2 and the order of the queue."""
    before, after = change.before.lock, change.after.lock
    waiting, still = change.before.queue, change.after.queue
    assert_sound(change.before, change.after)

    if after.owner != before.owner:
        if before.owner is not None:
            assert change.actor == before.owner, "I1: the lock is taken from nobody"
        if waiting and change.actor != waiting[0].deployment:
            assert after.token == waiting[0].token, "it is told at the token it waits with"
        if not waiting and after.owner is not None:
            assert change.actor == after.owner, "a free lock is taken by whoever asked for it"

    known = {waiter.deployment: waiter for waiter in waiting}
    for waiter in still:
        if waiter.deployment not in known:
            assert waiter.deployment == change.actor, "nobody is put into the queue by another"
    for waiter in waiting:
        if waiter.deployment not in {kept.deployment for kept in still}:
            assert waiter.deployment in (change.actor, after.owner), (
                "nobody is taken off the queue by another"
            )


def assert_sound(was: View, now: View) -> None:
    before, after = was.lock, now.lock
    waiting, still = was.queue, now.queue
    names = [waiter.deployment for waiter in still]
    assert after.version - before.version in (0, 1), "a lock is written on top of what was read"
    assert after.version >= 1 or not still, "the lock's item is never deleted, and nobody waits without one"
    assert len(set(names)) == len(names), "nobody waits twice"
    assert after.owner not in names, "I5: the owner does not wait"
    assert not (after.free and still), "I5: nobody waits for a free lock"
    assert after.fence >= before.fence, "I2: the fence never falls"

    if after.owner != before.owner:
        if after.owner is not None:
            assert after.fence == before.fence + 1, "I2: the fence rises with every owner"
        if waiting:
            assert after.owner == waiting[0].deployment, "the first in the queue is next"
            assert still == waiting[1:], "it leaves the queue in the transaction that gives it the lock"
    elif after.execution != before.execution:
        assert after.fence == before.fence + 1, (
            "I2: another execution of the owner voids the fence of the first"
        )
    else:
        assert after.fence == before.fence, "a fence means one owner"

    known = {waiter.deployment: waiter for waiter in waiting}
    for waiter in still:
        if waiter.deployment in known:
            before_it = known[waiter.deployment].rank.attempt
            assert waiter.rank.attempt >= before_it, "an attempt takes no later one's place"
        else:
            alike = [other for other in still if other.rank.urgent == waiter.rank.urgent]
            assert waiter == alike[-1], "who comes last waits last, among its like"
            assert (waiter.seq, after.next_seq) == (before.next_seq, before.next_seq + 1), (
                "I5: places are given once"
            )
    urgent = [waiter.rank.urgent for waiter in still]
    assert urgent == sorted(urgent, reverse=True), "what is urgent goes first"
    assert [name for name in names if name in known] == [name for name in known if name in names], (
        "the order of the queue never changes"
    )
