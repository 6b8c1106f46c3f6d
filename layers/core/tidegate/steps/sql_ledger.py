"""The table `tidegate_migrations` in the database itself: which files it has, and how far one is that was cut off.

A file's row is written in the transaction that runs it. Where a file has none, the row says how many of its statements
are done; `attempting` is set while one runs that PostgreSQL takes in no transaction: only of that one nobody can know
whether it took effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.domain.migration_files import MigrationFile, head_of
from tidegate.ports import Session, SqlError

TABLE = "tidegate_migrations"

_MAKE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
  name text PRIMARY KEY,
  checksum text NOT NULL,
  release text NOT NULL,
  deployment text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz,
  statements_done integer NOT NULL DEFAULT 0,
  attempting boolean NOT NULL DEFAULT false
)
"""
# Quoted by the server, since a file may change the search path.
_FIND = """
SELECT format('%I.%I', n.nspname, c.relname), c.oid = to_regclass(:name) IS TRUE
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = :name AND c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY 2 DESC, 1
"""
# A file may have changed the role as well. What SET LOCAL does ends with the transaction.
_AS_SIGNED_IN = "SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL ROLE NONE"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `statements_done` and `attempting` are of use where it is not `finished`."""

    name: str
    checksum: str
    release: str
    finished: bool
    statements_done: int
    attempting: bool


class SqlLedger:
    """Without a table it has no entries; `make` makes it."""

    def __init__(self, session: Session, release: str, deployment: str) -> None:
        self._session = session
        self._release = release
        self._deployment = deployment
        self._table: str | None = None
        self._elsewhere: list[str] = []
        self._look()

    def make(self) -> None:
        if self._table is None:
            self._session.run(_MAKE)
            self._look()

    def entries(self) -> list[Entry]:
        return [] if self._table is None else self._read(self._table)

    def elsewhere(self, files: tuple[MigrationFile, ...]) -> str | None:
        """A ledger out of the search path that has these very files: the schema is not as empty as it seems. Another
        system's, in a schema of its own, is none of ours."""
        ours = {(file.name, file.checksum) for file in files}
        for table in self._elsewhere if self._table is None else ():
            try:
                rows = self._read(table)
            except SqlError:
                continue
            if any((entry.name, entry.checksum) in ours for entry in rows):
                return table
        return None

    def add(self, file: MigrationFile) -> None:
        """Within the transaction that ran it: finished."""
        self._session.run(_AS_SIGNED_IN)
        self._insert(file, finished=True)

    def begin(self, file: MigrationFile) -> None:
        self._alone(lambda: self._insert(file, finished=False))

    def step(self, name: str, done: int) -> None:
        """Within the transaction that ran a statement: so many are done."""
        self._session.run(_AS_SIGNED_IN)
        self._set(name, done, attempting=False)

    def mark(self, name: str, done: int, *, attempting: bool) -> None:
        self._alone(lambda: self._set(name, done, attempting=attempting))

    def finish(self, name: str) -> None:
        self._alone(
            lambda: self._session.query(
                f"UPDATE {self._table} SET finished_at = clock_timestamp(), attempting = false WHERE name = :name",  # noqa: S608
                name=name,
            )
        )

    def forget(self, name: str) -> None:
        """Of a file of which nothing ran."""
        self._alone(
            lambda: self._session.query(f"DELETE FROM {self._table} WHERE name = :name", name=name)  # noqa: S608
        )

    def head(self) -> str | None:
        return head_of(entry.name for entry in self.entries() if entry.finished)

    def _look(self) -> None:
        rows = self._session.query(_FIND, name=TABLE)
        self._table = next((str(name) for name, visible in rows if visible), None)
        self._elsewhere = [str(name) for name, visible in rows if not visible]

    def _read(self, table: str) -> list[Entry]:
        # The name was quoted by the server.
        rows = self._session.run(
            f"SELECT name, checksum, release, finished_at IS NOT NULL, statements_done, attempting FROM {table}"  # noqa: S608
        )
        return [Entry(*row) for row in rows]

    def _insert(self, file: MigrationFile, *, finished: bool) -> Any:
        return self._session.query(
            f"INSERT INTO {self._table} (name, checksum, release, deployment, finished_at) VALUES "  # noqa: S608
            "(:name, :checksum, :release, :deployment, "
            "CASE WHEN CAST(:finished AS boolean) THEN clock_timestamp() END)",
            name=file.name,
            checksum=file.checksum,
            release=self._release,
            deployment=self._deployment,
            finished=finished,
        )

    def _set(self, name: str, done: int, *, attempting: bool) -> Any:
        return self._session.query(
            f"UPDATE {self._table} SET statements_done = CAST(:done AS integer), "  # noqa: S608
            "attempting = CAST(:attempting AS boolean) WHERE name = :name",
            name=name,
            done=done,
            attempting=attempting,
        )

    def _alone(self, write: Any) -> None:
        self._session.run(f"BEGIN; {_AS_SIGNED_IN}")
        try:
            write()
            self._session.run("COMMIT")
        except SqlError:
            self._session.run("ROLLBACK")
            raise
