"""What PostgreSQL says about itself: who is connected, how old transactions are, which indexes are broken, and where a
schema stands.

Connections are known by their `application_name`, which every role may see of every other one
(PostgreSQL, "The Statistics Collector": pg_stat_activity).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tidegate.domain.errors import OutsideError, TransientError
from tidegate.domain.redaction import redacted
from tidegate.domain.sql_migration import MIGRATOR
from tidegate.ports import Ports, Session, SqlError

GONE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.5
SHOWN: Final = 3
INSUFFICIENT_PRIVILEGE: Final = "42501"

_OWN = """
SELECT pid FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND application_name IN (:migrator, :waiter) AND pid <> pg_backend_pid()
"""
_MIGRATORS = """
SELECT DISTINCT application_name FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND starts_with(application_name, :prefix) AND application_name <> :own
  AND pid <> pg_backend_pid()
ORDER BY 1
"""
_OLD = """
SELECT 'process ' || pid, extract(epoch FROM clock_timestamp() - xact_start)::float8,
       coalesce(nullif(application_name, ''), 'no application name') || ', ' || coalesce(state, 'unknown'),
       'SELECT pg_terminate_backend(' || pid || ')'
FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
  AND xact_start < clock_timestamp() - make_interval(secs => CAST(:age AS float8))
UNION ALL
SELECT 'prepared transaction', extract(epoch FROM clock_timestamp() - prepared)::float8, gid,
       'ROLLBACK PREPARED ' || quote_literal(gid)
FROM pg_catalog.pg_prepared_xacts
WHERE database = current_database() AND prepared < clock_timestamp() - make_interval(secs => CAST(:age AS float8))
ORDER BY 2 DESC
"""
_HIDDEN = """
SELECT count(*) FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL AND backend_start IS NULL
"""
# A partitioned index is invalid until each part has its own, which is no fault; a build that goes on is none either.
_INVALID = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
ORDER BY 1
"""


class DatabaseState:
    """Each method asks anew. Raises SqlError and TransientError as the session does."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def own_backends(self, migrator: str, waiter: str) -> list[int]:
        """Process ids of a deployment's other connections."""
        return [int(row[0]) for row in self._session.query(_OWN, migrator=migrator, waiter=waiter)]

    def migrators(self, own: str) -> list[str]:
        """Names of connections by which another deployment migrates."""
        return [redacted(str(row[0])) for row in self._session.query(_MIGRATORS, prefix=MIGRATOR, own=own)]

    def old_transactions(self, age: float) -> list[str]:
        """What has been open for longer than these seconds, the oldest first, in words."""
        rows = self._session.query(_OLD, age=age)
        return [
            redacted(f"a transaction has been open for {seconds:.0f} s ({what}, {who}); to end it: {mend}")
            for what, seconds, who, mend in rows
        ]

    def hidden_backends(self) -> int:
        """Connections of which this role does not see whether they have a transaction."""
        return int(_first(self._session.run(_HIDDEN)) or 0)

    def invalid_indexes(self) -> list[str]:
        """Names with their schema, quoted."""
        return [str(row[0]) for row in self._session.run(_INVALID)]

    def tool_head(self) -> str | None:
        """Where Alembic or Django says that the schema stands; None without a table of theirs on the search path."""
        for table, question in (
            ("alembic_version", "SELECT version_num FROM alembic_version ORDER BY 1"),
            (
                "django_migrations",
                "SELECT app || '.' || name FROM django_migrations ORDER BY id DESC LIMIT 1",
            ),
        ):
            if _first(self._session.query("SELECT to_regclass(:name)::text", name=table)) is None:
                continue
            try:
                rows = self._session.run(question)
            except SqlError:
                # A table of somebody else, or one that this role may not read.
                continue
            if rows:
                return redacted(", ".join(str(row[0]) for row in rows))
        return None


def end_backends(session: Session, ports: Ports, find: Callable[[], Sequence[int]], seconds: float) -> int:
    """Ends connections, and waits until they are gone: a backend in the middle of a statement takes its time. Gives
    how many there were. Raises TransientError where one is still there after these seconds."""
    ended: set[int] = set()
    until = ports.clock.now().timestamp() + seconds
    while pids := find():
        for pid in pids:
            _end(session, pid)
        ended.update(pids)
        if ports.clock.now().timestamp() >= until:
            raise TransientError(f"{len(pids)} connections of an earlier run do not end")
        ports.web.wait(POLL_SECONDS)
    return len(ended)


def _end(session: Session, pid: int) -> None:
    try:
        session.query("SELECT pg_terminate_backend(CAST(:pid AS integer))", pid=pid)
    except SqlError as error:
        if error.code != INSUFFICIENT_PRIVILEGE:
            raise
        raise OutsideError(
            "the secret's role may not end the connections that an earlier run left",
            field="migrations.secret",
            hint="use the role that migrates, or GRANT pg_signal_backend to it",
        ) from None


def listed(items: Sequence[str]) -> str:
    """The first few."""
    shown = "; ".join(items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown}; and {len(items) - SHOWN} more"


def _first(rows: list[list[Any]]) -> Any:
    return rows[0][0] if rows else None
