"""Telling a waiter that the lock is its own now. The lock was handed over in the table before; this may be
repeated, and the sweep repeats it for whoever died in between."""

from __future__ import annotations

from tidegate.domain.lock import Lock
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports


def release(ports: Ports, system: str, environment: str, deployment: str) -> None:
    """Release the lock of a deployment and wake the one that owns it now.

    Where an attempt before released it and got no further, its successor is woken by this one.
    """
    locks = Locks(ports.store, ports.clock)
    lock = locks.release(system, environment, deployment)
    tell_owner(ports, locks.read(system, environment) if lock is None else lock)


def tell_owner(ports: Ports, lock: Lock) -> None:
    """Answer the task token of an owner that got the lock by hand-over.

    The lock passes on from an owner whose execution has ended and that never began to change anything. One that did
    was told before, by somebody whose note of it got lost, and died since: it keeps the lock for its recovery.
    """
    locks = Locks(ports.store, ports.clock)
    while lock.owner is not None and lock.token is not None and lock.execution is not None:
        if ports.executions.succeed(lock.token, {"outcome": "Acquired", "fence": lock.fence}):
            locks.told(lock)
            ports.metrics.count("LockHandedOver")
            return
        if _runs(ports, lock.execution) or Ledger(ports.store, ports.clock).rollouts(lock.owner):
            locks.told(lock)
            return
        following = locks.pass_over(lock)
        if following is None:
            # Somebody wrote the lock since it was read: the rest is theirs, or the next sweep's.
            return
        lock = following


def _runs(ports: Ports, execution: str) -> bool:
    known = ports.executions.describe(execution)
    return known is not None and known.running
