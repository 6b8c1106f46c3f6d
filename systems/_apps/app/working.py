"""The worker: does what is to do, one after the other, until it is asked to end."""

from __future__ import annotations

import signal
import threading

from app import items
from app.database import DatabaseError, session
from app.settings import Settings

PAUSE_SECONDS = 1.0


def work(settings: Settings, end: threading.Event | None = None) -> None:
    """With SIGTERM, which ECS sends first, it finishes what it has begun. A database that is away, or has no table yet,
    is asked again."""
    ends = end or threading.Event()
    if end is None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: ends.set())
    print(f"{settings.service} {settings.version} works")
    told = ""
    while not ends.is_set():
        try:
            _work_off(settings, ends)
            told = ""
        except DatabaseError as error:
            if str(error) != told:
                print(f"{settings.service}: {error}")
            told = str(error)
        ends.wait(PAUSE_SECONDS)


def _work_off(settings: Settings, ends: threading.Event) -> None:
    if settings.database is None:
        return
    with session(settings.database) as database:
        while not ends.is_set() and (name := items.take(database)) is not None:
            print(f"{settings.service}: did {name}")
