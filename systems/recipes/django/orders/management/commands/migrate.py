"""Django's own `migrate`, one at a time: Django takes no lock itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# Any number, the same for everything that migrates this database.
LOCK = 7_201_842_660_153
LOCK_SECONDS = 60.0


class Command(migrate.Command):
    def handle(self, *arguments: Any, **options: Any) -> None:
        if options["check_unapplied"] or options["plan"]:
            return super().handle(*arguments, **options)
        with alone(connections[options["database"]]):
            return super().handle(*arguments, **options)


@contextmanager
def alone(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Asked again and again, not waited for: a session that waits in pg_advisory_lock has a snapshot, for which CREATE
    INDEX CONCURRENTLY of the other one waits in turn. The server frees the lock when this session ends, however it
    ends; one whose client was killed ends after its statement."""
    deadline = time.monotonic() + LOCK_SECONDS
    with connection.cursor() as cursor:
        while not _taken(cursor):
            if time.monotonic() > deadline:
                raise CommandError(
                    f"another migration of this database has run for {LOCK_SECONDS:g} s; nothing was done"
                )
            time.sleep(0.5)
    yield
    # A failure ends the process, and with it the session.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _taken(cursor: Any) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
    return bool(cursor.fetchone()[0])
