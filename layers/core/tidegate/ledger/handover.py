"""Telling a waiter that the lock is its own now. The lock was handed over in the table before; this may be
repeated, and the sweep repeats it for whoever died in between."""

from __future__ import annotations

from tidegate.domain.lock import Lock
from tidegate.ledger.locks import Locks
from tidegate.ports import Ports


def release(ports: Ports, system: str, environment: str, deployment: str) -> None:
    """Release the lock of a deployment and wake the one that owns it now."""
    locks = Locks(ports.store, ports.clock)
    lock = locks.release(system, environment, deployment)
    if lock is not None:
        tell_owner(ports, lock)


def tell_owner(ports: Ports, lock: Lock) -> None:
    """Answer the task token of an owner that got the lock by hand-over.

    An owner whose execution has ended in the meantime never changed anything: the lock passes on.
    """
    locks = Locks(ports.store, ports.clock)
    while lock.owner is not None and lock.token is not None and lock.execution is not None:
        if ports.executions.succeed(lock.token, {"outcome": "Acquired", "fence": lock.fence}):
            locks.told(lock)
            ports.metrics.count("LockHandedOver")
            return
        execution = ports.executions.describe(lock.execution)
        if execution is not None and execution.running:
            # It was told before, by somebody whose note of it got lost.
            locks.told(lock)
            return
        following = locks.release(lock.system, lock.environment, lock.owner)
        if following is None:
            return
        lock = following
