"""Only so many idle functions stay warm, the least recently used go first.

AWS: keeps idle execution environments for some minutes, on machines that are not ours.
MiniStack: keeps one process of some 50 to 80 MB for every function for ever; a dozen of them is more than
the rest of the embedded cloud together.
Mended by ending the least recently used idle ones; its next invocation starts it again in some 0.6 s.
"""

import threading

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from tidegate_local.seam import expect, graft

MOST_IDLE = 6


def install() -> None:
    """Raises `MendDoesNotFitError`."""

    def release(worker: lambda_runtime.Worker) -> None:
        original(worker)
        surplus = _take_surplus()
        if surplus:
            # Ending a process takes a moment that the invocation's caller should not wait.
            threading.Thread(target=lambda_runtime.kill_workers, args=(surplus,), daemon=True).start()

    original = graft(
        lambda_svc,  # which has taken the name over from lambda_runtime
        "release_worker",
        release,
        signature="(worker: ministack.core.lambda_runtime.Worker) -> None",
        shows="worker.in_use = False",
    )
    expect(lambda_runtime, "kill_workers", signature="(workers) -> None")


def _take_surplus() -> list[lambda_runtime.Worker]:
    with lambda_runtime._lock:
        idle = [worker for pool in lambda_runtime._workers.values() for worker in pool if not worker.in_use]
        idle.sort(key=lambda worker: worker.last_used, reverse=True)
        surplus = idle[MOST_IDLE:]
        for pool in lambda_runtime._workers.values():
            pool[:] = [worker for worker in pool if worker not in surplus]
    return surplus
