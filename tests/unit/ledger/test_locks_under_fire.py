"""The lock under every order of writers: rivals between any two calls, crashes before and after a transaction.

Three faults were planted in `ledger/locks.py` by hand; each fails this test (and `test_locks.py`) within its
examples:

- releasing or handing over without the condition on the version (`_put`'s `expect`): a deployment that joins between
  the look at the queue and the write waits for a free lock ("nobody waits for a free lock"), or two own it in turn
  ("I1: the lock is taken from nobody");
- handing over in two transactions (`_pass_on`): a crash between them leaves the new owner in the queue ("it leaves
  the queue in the transaction that gives it the lock");
- joining without a condition on the lock (`acquire`'s last branch): a deployment joins a queue whose lock was freed
  since it was read ("nobody waits for a free lock").

A hand-over that does not check the waiter's token (`_pass_on`'s `still`) is found in most runs ("it is told at the
token it waits with"), and always by `test_locks.py`, which goes through the pairs of writers one by one, call by call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tidegate.domain.errors import TransientError
from tidegate.domain.lock import Rank
from tidegate.ledger.locks import Acquired, Locks, Queued

from tests.support.clock import FakeClock
from tests.unit.ledger.meddling import ENVIRONMENT, SYSTEM, MeddledStore, assert_legal

# The last one is a rollback's: it goes before all that waits.
DEPLOYMENTS = ["D1", "D2", "D3", "R4"]
deployments = st.sampled_from(DEPLOYMENTS)
ACTIONS = [
    "acquire",
    "acquire",
    "acquire_late",
    "release",
    "finish",
    "leave",
    "tell",
    "take_over",
    "pass_over",
    "pass_on",
]


@dataclass(frozen=True)
class Trouble:
    """`rival` is (action, deployment): it acts before call `before_call`. `lost` names a transaction's fate."""

    rival: tuple[str, str] | None = None
    before_call: int = 0
    lost: str | None = None
    lost_transaction: int = 0


troubles = st.builds(
    Trouble,
    st.none() | st.tuples(st.sampled_from(ACTIONS), deployments),
    st.integers(0, 3),
    st.sampled_from([None, None, "before", "after"]),
    st.integers(0, 1),
)


class LockMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = MeddledStore()
        self.locks = Locks(self.store, FakeClock())
        self.tokens = 0
        # Who was told that it owns the lock or waits, and the tokens under which it may be waiting.
        self.accepted: dict[str, set[str]] = {}
        self.attempts: dict[str, list[int]] = {}
        # Whose last call got no answer.
        self.uncertain: set[str] = set()
        self.owners_of_fences: dict[int, str] = {}
        self.checked = 0

    @rule(action=st.sampled_from(ACTIONS), deployment=deployments, trouble=troubles)
    def act(self, action: str, deployment: str, trouble: Trouble) -> None:
        self._act(action, deployment, trouble)

    @rule(trouble=troubles, meets=st.sampled_from(["the next", "a new one", "anybody"]))
    def hand_over(self, trouble: Trouble, meets: str) -> None:
        """The owner releases, and of all that may happen in between, the next one comes back with a new token, or a
        new one joins: what has to happen often is not left to chance."""
        view = self.store.view()
        if view.lock.owner is None:
            return
        waiting = [waiter.deployment for waiter in view.queue]
        new = [name for name in DEPLOYMENTS if name not in (view.lock.owner, *waiting)]
        comers = {"the next": waiting, "a new one": new, "anybody": []}[meets]
        if comers:
            trouble = replace(trouble, rival=("acquire", comers[0]))
        self._act("release", view.lock.owner, trouble)

    @rule(trouble=troubles, first=st.booleans())
    def come_back(self, trouble: Trouble, first: bool) -> None:
        """One that waits is tried again, and again while that attempt is under way: the last one's token counts."""
        waiting = [waiter.deployment for waiter in self.store.view().queue]
        if waiting:
            name = waiting[0 if first else -1]
            self._act("acquire", name, replace(trouble, rival=("acquire", name)))

    def _act(self, action: str, deployment: str, trouble: Trouble) -> None:
        rival = None
        if trouble.rival is not None:
            of, by = trouble.rival
            # A task that is retried has a twin; all else that is done for one deployment is done in turn.
            if by != deployment or {of, action} <= {"acquire", "acquire_late"}:
                rival = lambda: self._act(of, by, Trouble())  # noqa: E731
        actor = self._owner() if action in ("pass_over", "tell") else deployment
        doing: Callable[[str], None] = getattr(self, f"_{action}")
        try:
            with self.store.on_behalf_of(
                actor or deployment,
                rival=rival,
                before_call=trouble.before_call,
                lost=trouble.lost,
                lost_transaction=trouble.lost_transaction,
            ):
                doing(deployment)
        except TransientError:
            self.uncertain.add(deployment)
            if action in ("tell", "pass_over", "pass_on") and actor is not None:
                self.uncertain.add(actor)

    def _owner(self) -> str | None:
        return self.store.view().lock.owner

    def _acquire(self, deployment: str) -> None:
        self.tokens += 1
        self._acquire_with(deployment, self.tokens)

    def _acquire_late(self, deployment: str) -> None:
        """An attempt that the machine gave up long ago is carried out after all."""
        earlier = self.attempts.get(deployment, [])
        if len(earlier) > 1 and self._waits(deployment):
            self._acquire_with(deployment, earlier[-2])

    def _waits(self, deployment: str) -> bool:
        return deployment in [waiter.deployment for waiter in self.store.view().queue]

    def _acquire_with(self, deployment: str, attempt: int) -> None:
        token = f"token-{attempt}"
        attempts = self.attempts.setdefault(deployment, [])
        if attempt not in attempts:
            attempts.append(attempt)
            self.accepted.setdefault(deployment, set()).add(token)
        rank = Rank(urgent=deployment.startswith("R"), attempt=f"{attempt:06d}")
        result = self.locks.acquire(SYSTEM, ENVIRONMENT, deployment, f"arn:{deployment}", token, "why", rank)
        view = self.store.view()
        if isinstance(result, Acquired):
            assert (view.lock.owner, view.lock.fence) == (deployment, result.fence)
            assert self.owners_of_fences.setdefault(result.fence, deployment) == deployment, (
                "I1: one fence, one owner"
            )
        else:
            assert isinstance(result, Queued)
            place = [waiter.deployment for waiter in view.queue].index(deployment)
            waiter = view.queue[place]
            assert waiter.seq == result.seq
            assert waiter.token == token or waiter.rank.attempt > rank.attempt, (
                "only a later attempt may have left its token"
            )
            assert place < result.place, "one before it may have left since the queue was read, nobody came"
            if attempt == max(attempts):
                self.accepted[deployment] = {token}
        self.uncertain.discard(deployment)

    def _release(self, deployment: str) -> None:
        given = self.locks.release(SYSTEM, ENVIRONMENT, deployment)
        view = self.store.view()
        assert view.lock.owner != deployment
        if given is not None:
            assert given == view.lock
            self._is_done(deployment)

    def _leave(self, deployment: str) -> None:
        self.locks.leave(SYSTEM, ENVIRONMENT, deployment)
        view = self.store.view()
        assert deployment not in [waiter.deployment for waiter in view.queue]
        if view.lock.owner != deployment:
            self._is_done(deployment)

    def _finish(self, deployment: str) -> None:
        """As every run ends: it leaves the queue, and then it can own nothing that it does not release."""
        self._leave(deployment)
        self._release(deployment)
        self._is_done(deployment)

    def _tell(self, _: str) -> None:
        self.locks.told(self.locks.read(SYSTEM, ENVIRONMENT))

    def _take_over(self, deployment: str) -> None:
        self.tokens += 1
        execution = f"arn:recovery-{self.tokens}"
        taken = self.locks.take_over(SYSTEM, ENVIRONMENT, deployment, execution)
        if taken is not None:
            assert taken == self.store.view().lock
            assert (taken.owner, taken.execution, taken.token) == (deployment, execution, None)

    def _pass_over(self, _: str) -> None:
        lock = self.store.view().lock
        if lock.owner is not None:
            given = self.locks.pass_over(lock)
            if given is not None:
                assert given.owner != lock.owner
                self._is_done(lock.owner)

    def _pass_on(self, _: str) -> None:
        assert self.locks.pass_on(SYSTEM, ENVIRONMENT) is None, "nothing here leaves a free lock with waiters"

    def _is_done(self, deployment: str) -> None:
        self.accepted.pop(deployment, None)
        self.uncertain.discard(deployment)

    @invariant()
    def every_transaction_was_legal(self) -> None:
        for change in self.store.changes[self.checked :]:
            assert_legal(change)
        self.checked = len(self.store.changes)

    @invariant()
    def no_wake_up_is_lost(self) -> None:
        """Whoever was accepted owns the lock or waits, and is told at a token under which it listens."""
        view = self.store.view()
        tokens = {waiter.deployment: waiter.token for waiter in view.queue}
        if view.lock.owner is not None and view.lock.token is not None:
            tokens[view.lock.owner] = view.lock.token
        for deployment, known in self.accepted.items():
            if deployment not in self.uncertain:
                assert deployment in tokens or deployment == view.lock.owner
                assert tokens.get(deployment) in (*known, None)

    def teardown(self) -> None:
        """I5: when everybody who was accepted has ended, the lock is free and nobody waits."""
        for deployment in sorted(self.accepted.keys() | self.uncertain):
            self._act("finish", deployment, Trouble())
        self.every_transaction_was_legal()
        view = self.store.view()
        assert view.lock.free
        assert view.queue == ()


LockMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=25)
TestLocksUnderFire = LockMachine.TestCase
