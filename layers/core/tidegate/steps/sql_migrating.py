"""The step Migrate of `migrate_sql`: in line for the database, then file by file.

One migrates at a time: under an advisory lock of the session that runs the statements, and while no other connection
has a migrator's name (a task with Alembic takes no lock). The lock is asked for again and again, never waited for:
a statement that waits holds a snapshot, for which CREATE INDEX CONCURRENTLY of the holder waits in turn, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from tidegate.domain.errors import BadInputError
from tidegate.domain.migration_files import MigrationFile, compare, read_files
from tidegate.domain.sql_migration import SqlMigration
from tidegate.ports import Ports, Session
from tidegate.steps.database_state import GONE_SECONDS, DatabaseState, end_backends, listed
from tidegate.steps.sql_applying import Applying, StoppedError, Time
from tidegate.steps.sql_ledger import Entry, SqlLedger

PATIENCE_SECONDS: Final = 30.0
IN_LINE_SECONDS: Final = 60.0
POLL_SECONDS: Final = 1.0
# "tidegate" in ASCII. Advisory locks are of one database (PostgreSQL, "Advisory Locks").
LOCK: Final = 0x7469646567617465
_SUFFIX: Final = ".sql"

# The name changes with the lock, in one statement: no holder of the lock goes by a waiter's name.
_TAKE = """
SELECT CASE WHEN pg_try_advisory_lock(CAST(:key AS bigint))
THEN set_config('application_name', :migrator, false) IS NOT NULL ELSE false END
"""


def migrated(request: SqlMigration, ports: Ports) -> Mapping[str, Any]:
    """The answer of the step. Raises what `run` says."""
    began = ports.clock.now()
    files = release_files(request, ports)
    session = ports.databases.connect(
        request.secret, request.tls, request.waiter, PATIENCE_SECONDS, format=request.format
    )
    try:
        return _in_line(request, ports, session, files, began)
    finally:
        session.close()


def release_files(request: SqlMigration, ports: Ports) -> tuple[MigrationFile, ...]:
    """Raises BadInputError where the image is gone, or one of its files cannot be used."""
    image = request.image
    if image is None:
        raise BadInputError(
            "image is missing", field="image", hint="runner sql takes its files from an image"
        )
    folder = ports.images.folder(image.repository, image.digest, image.directory, _SUFFIX)
    if folder is None:
        raise BadInputError(
            f"repository {image.repository} has no image {image.digest}",
            field="migrations.image",
            hint="push it again; a lifecycle rule may have expired it",
        )
    return read_files(folder.files)


def _in_line(
    request: SqlMigration, ports: Ports, session: Session, files: tuple[MigrationFile, ...], began: datetime
) -> Mapping[str, Any]:
    state = DatabaseState(session)
    end_backends(session, ports, lambda: state.own_backends(request.migrator, request.waiter), GONE_SECONDS)
    holder = _wait(request, ports, session, state, began)
    if holder is not None:
        return {"outcome": "Failed", "reason": holder, "head": None, "applied": 0}
    ledger = SqlLedger(session, request.release, request.deployment)
    applying = Applying(request, ports, session, ledger, Time(ports, began, request.deadline))
    outcome, reason = _applied(applying, ledger, files)
    return {"outcome": outcome, "reason": reason, "head": ledger.head(), "applied": applying.applied}


def _wait(
    request: SqlMigration, ports: Ports, session: Session, state: DatabaseState, began: datetime
) -> str | None:
    """Until this run may migrate; else who is before it."""
    until = began + timedelta(seconds=IN_LINE_SECONDS)
    if request.deadline is not None:
        until = min(until, request.deadline)
    held = False
    while True:
        held = held or bool(session.query(_TAKE, key=LOCK, migrator=request.migrator)[0][0])
        others = state.migrators(request.migrator)
        if held and not others:
            return None
        if ports.clock.now() >= until:
            return f"another migration of this database is under way: {listed(others) or 'its lock is taken'}"
        ports.web.wait(POLL_SECONDS)


def _applied(applying: Applying, ledger: SqlLedger, files: tuple[MigrationFile, ...]) -> tuple[str, str]:
    """(outcome, reason)."""
    try:
        elsewhere = ledger.elsewhere(files)
        if elsewhere is not None:
            return "Failed", (
                f"these files ran before, says the table {elsewhere}, which is not on the role's search path any more: "
                "set it back"
            )
        applying.set_limits()
        ledger.make()
        pending, halfway = _pending(files, ledger.entries())
        for file in pending:
            applying.apply(file, halfway.get(file.name))
    except StoppedError as stopped:
        return ("More" if stopped.more else "Failed"), stopped.reason
    return "Migrated", ""


def _pending(
    files: tuple[MigrationFile, ...], entries: list[Entry]
) -> tuple[list[MigrationFile], dict[str, Entry]]:
    """What is to run, in order, and the entry of the one that was cut off. Raises StoppedError where nothing may."""
    checksums = {file.name: file.checksum for file in files}
    halfway = {entry.name: entry for entry in entries if not entry.finished}
    for entry in halfway.values():
        if checksums.get(entry.name, entry.checksum) != entry.checksum:
            raise StoppedError(
                f"{entry.name} changed, and the database has {entry.statements_done} statements of it as "
                f"{entry.release} had it: restore its text; or undo these by hand, and delete its row of "
                "tidegate_migrations"
            )
        if entry.name not in checksums:
            raise StoppedError(
                f"the database has a part of {entry.name}, by {entry.release}, which this release does not have: "
                "release a version that has it"
            )
    compared = compare(
        list(checksums.items()), {entry.name: entry.checksum for entry in entries if entry.finished}
    )
    if compared.refusal is not None:
        raise StoppedError(f"{compared.refusal}: {compared.hint}")
    wanted = set(compared.pending)
    return [file for file in files if file.name in wanted], halfway
