"""Runs SQL files on one connection: each in a transaction with its row of the ledger, or statement by statement.

A statement that waits for a lock makes all that come after it wait as well, readers too: `lock_timeout` bounds that,
and between two tries there is at least as long a pause in which they get through.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tidegate.domain.migration_files import MigrationFile
from tidegate.domain.redaction import redacted
from tidegate.domain.sql_migration import SqlMigration
from tidegate.domain.sql_statements import ConcurrentIndex, Statement, concurrent_index, split
from tidegate.ports import Ports, Session, SqlError
from tidegate.steps.sql_ledger import Entry, SqlLedger

# Of an invocation's 900 s, with some left to say how it went.
LONGEST_SECONDS: Final = 840.0
# With less than this left, no file is begun: the next invocation has all of its time for it.
REST_SECONDS: Final = 60.0
TRIES: Final = 8
IDLE_SECONDS: Final = 60
CHECK_SECONDS: Final = 10

LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"
QUERY_CANCELED: Final = "57014"
# "cannot run inside a transaction block"; and what a procedure's COMMIT says there.
_NO_TRANSACTION = frozenset({"25001", "2D000"})
_UNKNOWN_SETTING = frozenset({"42704", "22023"})
# PostgreSQL, appendix A: duplicate column, table, object, function, schema, database.
_THERE_ALREADY = frozenset({"42701", "42P07", "42710", "42723", "42P06", "42P04"})
# Undefined table, object, column, function, schema, database.
_GONE_ALREADY = frozenset({"42P01", "42704", "42703", "42883", "3F000", "3D000"})

_INDEX = """
SELECT i.indisvalid, format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = to_regclass(:table) AND c.relname = CAST(CAST(:name AS name) AS text)
"""


class StoppedError(Exception):
    """No file after this one runs. `more`: not for a fault, but for the invocation's time."""

    def __init__(self, reason: str, *, more: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.more = more


@dataclass(frozen=True, slots=True)
class Time:
    """`ends` is the invocation's end, or the deadline where that is earlier."""

    ports: Ports
    began: datetime
    deadline: datetime | None

    @property
    def left(self) -> float:
        ends = self.began + timedelta(seconds=LONGEST_SECONDS)
        if self.deadline is not None:
            ends = min(ends, self.deadline)
        return (ends - self.ports.clock.now()).total_seconds()

    @property
    def goes_on(self) -> bool:
        """Whether the deadline is behind what this invocation has."""
        return self.deadline is None or self.deadline > self.began + timedelta(seconds=LONGEST_SECONDS)


class Applying:
    """Raises StoppedError where a file does not run to its end, and TransientError where the connection is lost."""

    def __init__(
        self, request: SqlMigration, ports: Ports, session: Session, ledger: SqlLedger, time: Time
    ) -> None:
        self._request = request
        self._ports = ports
        self._session = session
        self._ledger = ledger
        self._time = time
        self.applied = 0
        # Whether anything was run by this invocation, so that the next one has more time for what is left.
        self._ran = False

    def apply(self, file: MigrationFile, entry: Entry | None) -> None:
        """`entry` is of a file without a transaction that was cut off."""
        if self._time.left < REST_SECONDS and self._time.goes_on and self._ran:
            raise StoppedError("", more=True)
        if self._time.left <= 0:
            raise StoppedError(f"the time for migrations is over before {file.name}")
        if file.transactional:
            self._in_transaction(file)
        else:
            self._by_statement(file, entry)
        self.applied += 1
        self._ran = True

    def set_limits(self) -> None:
        """Back to what the role has, and its limits on top: a file may have set anything for the session."""
        self._session.run("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL")
        # It has a waiter's name again; the lock, by which other runs know it, is not lost with a setting.
        self._set("application_name", self._request.migrator)
        statement = min(self._request.statement_timeout, max(1.0, self._time.left))
        for name, seconds in (
            ("lock_timeout", self._request.lock_timeout),
            ("statement_timeout", statement),
            ("idle_in_transaction_session_timeout", float(IDLE_SECONDS)),
            ("client_connection_check_interval", float(CHECK_SECONDS)),
        ):
            self._set(name, f"{max(1, round(seconds * 1000))}ms")

    def _set(self, name: str, value: str) -> None:
        try:
            self._session.query("SELECT set_config(:name, :value, false)", name=name, value=value)
        except SqlError as error:
            # PostgreSQL 13 and systems without the means have no client_connection_check_interval; all have the rest.
            if name != "client_connection_check_interval" or error.code not in _UNKNOWN_SETTING:
                raise

    # --- a file in a transaction

    def _in_transaction(self, file: MigrationFile) -> None:
        def once() -> None:
            self.set_limits()
            self._session.run("BEGIN")
            begun = self._transaction()
            self._session.run(file.text)
            if self._transaction() != begun:
                raise StoppedError(
                    f"{file.name} ended the transaction it ran in: what it did stands, and is not recorded"
                )
            self._ledger.add(file)
            self._session.run("COMMIT")

        self._tried(file.name, once)

    def _transaction(self) -> object:
        return self._session.run("SELECT txid_current()")[0][0]

    # --- a file without one

    def _by_statement(self, file: MigrationFile, entry: Entry | None) -> None:
        statements = split(file.text)
        done = 0 if entry is None else entry.statements_done
        in_doubt = entry is not None and entry.attempting
        if entry is None:
            self._ledger.begin(file)
        self.set_limits()
        for statement in statements[:done]:
            # What was set for the session is not there any more.
            if statement.first == "set":
                self._tried(file.name, lambda statement=statement: self._plain(statement))  # type: ignore[misc]
        for index, statement in enumerate(statements[done:], done):
            if self._time.left < REST_SECONDS and self._time.goes_on and self._ran:
                raise StoppedError("", more=True)
            one = _One(file.name, statement, index)
            try:
                self._statement(one, in_doubt=in_doubt and index == done)
            except StoppedError:
                # Nothing of it is there: its next text may be another one.
                if index == 0 and not self._attempting(file.name):
                    self._ledger.forget(file.name)
                raise
            self._ran = True
        self._ledger.finish(file.name)

    def _attempting(self, name: str) -> bool:
        return any(entry.attempting for entry in self._ledger.entries() if entry.name == name)

    def _plain(self, statement: Statement) -> None:
        self._session.run(statement.text)

    def _statement(self, one: _One, *, in_doubt: bool) -> None:
        built = concurrent_index(one.statement)
        if built is not None:
            self._tried(one.shown, lambda: self._build(one, built, in_doubt=in_doubt))
        elif one.statement.needs_no_transaction:
            self._tried(one.shown, lambda: self._bare(one, in_doubt=in_doubt))
        else:
            self._tried(one.shown, lambda: self._recorded(one, in_doubt=in_doubt))

    def _recorded(self, one: _One, *, in_doubt: bool) -> None:
        """In a transaction with its record, where PostgreSQL lets it: nothing of it is in doubt afterwards."""
        self._session.run("BEGIN")
        try:
            self._session.run(one.statement.text)
        except SqlError as error:
            if error.code not in _NO_TRANSACTION:
                raise
            self._session.run("ROLLBACK")
            self._bare(one, in_doubt=in_doubt)
            return
        self._ledger.step(one.file, one.index + 1)
        self._session.run("COMMIT")

    def _bare(self, one: _One, *, in_doubt: bool) -> None:
        self._ledger.mark(one.file, one.index, attempting=True)
        try:
            self._session.run(one.statement.text)
        except SqlError as error:
            if not in_doubt:
                self._ledger.mark(one.file, one.index, attempting=False)
                raise
            if not _took_effect(one.statement, error.code):
                raise
        self._ledger.mark(one.file, one.index + 1, attempting=False)

    def _build(self, one: _One, built: ConcurrentIndex, *, in_doubt: bool) -> None:
        """A build that fails leaves an index that costs each write and serves no read, and over which IF NOT EXISTS
        succeeds: it goes, before and after."""
        valid = self._valid(built)
        if valid is False:
            self._drop(built)
        elif valid is True and in_doubt:
            self._ledger.mark(one.file, one.index + 1, attempting=False)
            return
        self._ledger.mark(one.file, one.index, attempting=True)
        try:
            self._session.run(one.statement.text)
        except SqlError as error:
            self._clear(one, built, error)
            self._ledger.mark(one.file, one.index, attempting=False)
            raise
        if self._valid(built) is not True:
            self._clear(one, built, SqlError("", "the index is not valid"))
            raise StoppedError(f"{one.shown}: the index is not valid")
        self._ledger.mark(one.file, one.index + 1, attempting=False)

    def _clear(self, one: _One, built: ConcurrentIndex, error: SqlError) -> None:
        """After a build that failed."""
        if self._valid(built) is not False:
            return
        try:
            self._again(lambda: self._drop(built))
        except SqlError as second:
            raise StoppedError(
                redacted(
                    f"{one.shown}: {error}; the invalid index it left could not be dropped: {second}; the next run "
                    "does that first"
                )
            ) from None

    def _valid(self, built: ConcurrentIndex) -> bool | None:
        """None where there is no such index."""
        rows = self._index(built)
        return bool(rows[0][0]) if rows else None

    def _drop(self, built: ConcurrentIndex) -> None:
        for _, drop in self._index(built):
            self._session.run(str(drop))

    def _index(self, built: ConcurrentIndex) -> list[list[object]]:
        name = built.name or ""
        plain = name[1:-1].replace('""', '"') if name.startswith('"') else name
        return self._session.query(_INDEX, table=built.table, name=plain)

    # --- tries

    def _tried(self, shown: str, once: Callable[[], None]) -> None:
        """With what the database refuses as the reason."""
        try:
            self._again(once)
        except SqlError as error:
            raise self._stopped(shown, error) from None
        except StoppedError:
            self._roll_back()
            raise

    def _again(self, once: Callable[[], None]) -> None:
        """Again after a lock that could not be had, while there is time: nothing of it took effect."""
        for pause in self._pauses():
            try:
                once()
            except SqlError as error:
                self._roll_back()
                if (
                    error.code not in (LOCK_NOT_AVAILABLE, DEADLOCK)
                    or pause is None
                    or pause >= self._time.left
                ):
                    raise
                self._ports.web.wait(pause)
            else:
                return

    def _roll_back(self) -> None:
        self._session.run("ROLLBACK")

    def _pauses(self) -> Iterator[float | None]:
        """Between tries; None after the last. Two migrators that met do not meet again."""
        for _ in range(TRIES - 1):
            yield self._request.lock_timeout * random.uniform(1.05, 1.5)  # noqa: S311
        yield None

    def _stopped(self, shown: str, error: SqlError) -> StoppedError:
        late = error.code == QUERY_CANCELED and self._time.left < REST_SECONDS
        if late and self._time.goes_on and self._ran:
            return StoppedError("", more=True)
        reason = redacted(f"{shown}: {error}")
        if late and self._time.goes_on:
            reason += (
                f"; runner sql has {LONGEST_SECONDS:.0f} s for a statement, runner task as long as it takes"
            )
        if error.code == LOCK_NOT_AVAILABLE:
            reason += f"; tried {TRIES} times at most, {self._request.lock_timeout:g} s each"
        return StoppedError(reason)


@dataclass(frozen=True, slots=True)
class _One:
    """A statement of a file, and its place there."""

    file: str
    statement: Statement
    index: int

    @property
    def shown(self) -> str:
        return f"{self.file}, statement {self.index + 1} ({self.statement.line})"


def _took_effect(statement: Statement, code: str) -> bool:
    """Whether this error says that the statement had been carried out before, though nobody heard of it."""
    if statement.first == "drop":
        return code in _GONE_ALREADY
    return statement.first == "create" and code in _THERE_ALREADY
