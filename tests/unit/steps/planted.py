"""Bugs of the lock, planted in `ledger.locks`, for `test_runs_under_fire` to find."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.lock import Lock, Waiter
from tidegate.ledger import keys, locks, records
from tidegate.ledger.time import iso
from tidegate.ports import Check, Delete, Write

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM


def no_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write of a run that holds the lock goes without the condition on its fence."""
    monkeypatch.setattr(
        records,
        "fenced",
        lambda system, environment, *_: Check(keys.lock(system, environment), {"fence!": None}),
    )


def two_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is handed over, and then its new owner is taken off the queue."""

    def pass_on(self: Any, lock: Lock, waiter: Waiter) -> Lock | None:
        handed = lock.handed_to(waiter, iso(self._clock.now()))
        taken_off = Delete(locks._key(lock.system, lock.environment, waiter), {"token": waiter.token})
        return (
            handed
            if self._carried_out([self._put(handed, lock)]) and self._carried_out([taken_off])
            else None
        )

    monkeypatch.setattr(locks.Locks, "_pass_on", pass_on)


def unconditional_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever joins the queue takes the next place, and does not look whether the lock is still held."""
    carry_out = locks.Locks._carried_out

    def carried_out(self: Any, writes: list[Write]) -> bool:
        if len(writes) == 2 and writes[1].expect == {"pk": None}:
            lock = self.read(SYSTEM, ENVIRONMENT)
            writes = [self._put(lock.joined(), lock), writes[1]]
        return carry_out(self, writes)

    monkeypatch.setattr(locks.Locks, "_carried_out", carried_out)
