"""One process at a time, across processes; the kernel lets go when the holder dies."""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate_local.lifecycle.errors import LocalError

PAUSE_SECONDS = 0.1


@contextmanager
def exclusive(path: Path, *, what: str, seconds: float, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file at `path`; `waiting` is called once if somebody else has it.

    Raises `LocalError` if it is still held after `seconds`.
    """
    deadline = time.monotonic() + seconds
    told = False
    while (descriptor := _try(path)) is None:
        if not told:
            waiting()
            told = True
        if time.monotonic() > deadline:
            raise LocalError(f"{what} is still busy after {seconds:g} s", hint=f"see who holds {path}")
        threading.Event().wait(PAUSE_SECONDS)
    try:
        yield
    finally:
        os.close(descriptor)


def _try(path: Path) -> int | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before us may have removed the file with its folder: then this is a lock on nothing.
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
