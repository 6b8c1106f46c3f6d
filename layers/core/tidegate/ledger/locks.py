"""The lock of an environment and its queue: who may change it, who is next.

Three writes change an owner, each one transaction conditioned on the lock as it was read: acquiring a free lock,
releasing it when nobody waits, handing it to the next waiter while taking that waiter off the queue. Joining the
queue is conditioned on the lock being held, so nobody can join between the last look at the queue and a release.
An answer that got lost is read back: acquiring again as the owner, or as a waiter, finds itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.domain.errors import ConflictError
from tidegate.domain.lock import Lock, Rank, Waiter
from tidegate.ledger import keys
from tidegate.ledger.time import iso
from tidegate.ports import Check, Clock, ConditionFailedError, Delete, Item, Key, Put, Store, Write

# How often a writer reads again after losing to another before it lets Step Functions back off.
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Acquired:
    fence: int


@dataclass(frozen=True, slots=True)
class Queued:
    """`place` 1 is next; `behind` is the deployment that holds the lock."""

    seq: int
    place: int
    behind: str


class Locks:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def read(self, system: str, environment: str) -> Lock:
        item = self._store.get(keys.lock(system, environment))
        return Lock(system, environment) if item is None else Lock.from_json(item)

    def waiters(self, system: str, environment: str) -> list[Waiter]:
        """The queue, first comes first."""
        pk = keys.lock(system, environment).pk
        return [Waiter.from_json(item) for item in self._store.query(pk, "WAIT#")]

    def acquire(
        self,
        system: str,
        environment: str,
        deployment: str,
        execution: str,
        token: str,
        reason: str,
        rank: Rank | None = None,
    ) -> Acquired | Queued:
        """Take the lock, or a place in the queue under `token`. Doing it twice gives the same place; an attempt that
        comes behind a later one of the same task leaves that one's token where it is."""
        rank = rank or Rank()
        for _ in range(_ATTEMPTS):
            lock = self.read(system, environment)
            if lock.held_by(deployment):
                return Acquired(lock.fence)
            queue = self.waiters(system, environment)
            mine = next((waiter for waiter in queue if waiter.deployment == deployment), None)
            now = iso(self._clock.now())
            writes: list[Write]
            result: Acquired | Queued
            if mine is not None and rank.attempt < mine.rank.attempt:
                return Queued(mine.seq, queue.index(mine) + 1, lock.owner or "")
            if lock.free and (not queue or queue[0] is mine):
                taken = lock.acquired(deployment, execution, reason, now)
                writes = [self._put(taken, lock)]
                if mine is not None:
                    writes.append(self._remove(system, environment, mine))
                result = Acquired(taken.fence)
            elif mine is not None:
                # A retried task comes with a new token; the old one is void. Only that one: another attempt of the
                # task, a later one perhaps, may have come since it was read.
                again = Waiter(mine.seq, deployment, execution, token, reason, mine.since, rank)
                writes = [
                    self._enqueue(
                        system, environment, again, {"deployment": deployment, "token": mine.token}
                    ),
                    self._unchanged(lock),
                ]
                result = Queued(mine.seq, queue.index(mine) + 1, lock.owner or "")
            elif lock.free:
                # Others wait for a free lock: its last hand-over was lost. They come first.
                self._pass_on(lock, queue[0])
                continue
            else:
                waiter = Waiter(lock.next_seq, deployment, execution, token, reason, now, rank)
                writes = [
                    self._put(lock.joined(), lock),
                    self._enqueue(system, environment, waiter, {"pk": None}),
                ]
                before = [known for known in queue if known.rank.urgent or not rank.urgent]
                result = Queued(waiter.seq, len(before) + 1, lock.owner or "")
            if self._carried_out(writes):
                return result
        raise ConflictError(f"the lock of {system}/{environment} changes faster than it can be read")

    def release(self, system: str, environment: str, deployment: str) -> Lock | None:
        """Give the lock to the next waiter, or free it. None when `deployment` does not hold it.

        The answer is the lock as it is now; a new owner's `token` is still to be answered.
        """
        for _ in range(_ATTEMPTS):
            lock = self.read(system, environment)
            if not lock.held_by(deployment):
                return None
            given = self._give_up(lock)
            if given is not None:
                return given
        raise ConflictError(f"the lock of {system}/{environment} changes faster than it can be released")

    def pass_over(self, lock: Lock) -> Lock | None:
        """Release a lock for its owner, which has died, if it still is as it was read; None where it is not.

        `release` would do the same to an execution that has carried on the owner's deployment in the meantime.
        """
        for _ in range(_ATTEMPTS):
            given = self._give_up(lock)
            if given is not None:
                return given
            if self.read(lock.system, lock.environment) != lock:
                return None
        raise ConflictError(
            f"the queue of {lock.system}/{lock.environment} changes faster than it can be read"
        )

    def pass_on(self, system: str, environment: str) -> Lock | None:
        """Hand a free lock to its first waiter, if there is such a pair."""
        lock = self.read(system, environment)
        following = next(iter(self.waiters(system, environment)), None)
        return self._pass_on(lock, following) if lock.free and following is not None else None

    def told(self, lock: Lock) -> None:
        """The new owner knows. Losing this write only means that it is told once more."""
        self._carried_out([self._put(lock.told(), lock)])

    def take_over(self, system: str, environment: str, deployment: str, execution: str) -> Lock | None:
        """Void the fence of an owner that has died, for the execution that carries on its deployment."""
        for _ in range(_ATTEMPTS):
            lock = self.read(system, environment)
            if not lock.held_by(deployment):
                return None
            if lock.execution == execution:
                return lock
            taken = lock.taken_over(execution)
            if self._carried_out([self._put(taken, lock)]):
                return taken
        raise ConflictError(f"the lock of {system}/{environment} changes faster than it can be taken over")

    def leave(self, system: str, environment: str, deployment: str) -> bool:
        """Take a deployment off the queue; False when it was not in it."""
        left = False
        for waiter in self.waiters(system, environment):
            if waiter.deployment == deployment:
                left = self._carried_out([self._remove(system, environment, waiter)]) or left
        return left

    def holds(self, system: str, environment: str, deployment: str, fence: int) -> bool:
        lock = self.read(system, environment)
        return lock.held_by(deployment) and lock.fence == fence

    def _give_up(self, lock: Lock) -> Lock | None:
        """To the next waiter, or to nobody; None when the lock or that waiter is not as it was read."""
        following = next(iter(self.waiters(lock.system, lock.environment)), None)
        if following is not None:
            return self._pass_on(lock, following)
        free = lock.released()
        return free if self._carried_out([self._put(free, lock)]) else None

    def _pass_on(self, lock: Lock, waiter: Waiter) -> Lock | None:
        handed = lock.handed_to(waiter, iso(self._clock.now()))
        # With its token: a waiter that has come back with another one would be told where it no longer listens.
        still = {"deployment": waiter.deployment, "token": waiter.token}
        taken_off = Delete(_key(lock.system, lock.environment, waiter), still)
        return handed if self._carried_out([self._put(handed, lock), taken_off]) else None

    def _put(self, lock: Lock, read: Lock) -> Put:
        item = {name: value for name, value in lock.to_json().items() if value is not None}
        if not lock.free:
            item |= {"kind": keys.OPEN, "at": lock.since, "type": "lock"}
        expect = {"version": read.version} if read.version else {"pk": None}
        return Put(keys.lock(lock.system, lock.environment), item, expect)

    def _unchanged(self, lock: Lock) -> Check:
        return Check(keys.lock(lock.system, lock.environment), {"version": lock.version})

    def _enqueue(self, system: str, environment: str, waiter: Waiter, expect: Item) -> Put:
        item = {
            **waiter.to_json(),
            "kind": keys.OPEN,
            "at": waiter.since,
            "type": "waiter",
            "system": system,
            "environment": environment,
        }
        return Put(_key(system, environment, waiter), item, expect)

    def _remove(self, system: str, environment: str, waiter: Waiter) -> Delete:
        return Delete(_key(system, environment, waiter), {"deployment": waiter.deployment})

    def _carried_out(self, writes: list[Write]) -> bool:
        try:
            self._store.transact(writes)
        except ConditionFailedError:
            return False
        return True


def _key(system: str, environment: str, waiter: Waiter) -> Key:
    return keys.waiter(system, environment, waiter.seq, waiter.rank.urgent)


def fenced(system: str, environment: str, deployment: str, fence: int) -> Check:
    """The condition that every write of a run which holds the lock carries: an old fence is refused."""
    return Check(keys.lock(system, environment), {"owner": deployment, "fence": fence})
