"""SQL files in the order of their numbers, each once, with a table of what ran: `0002_label.sql`.

PostgreSQL takes a file and its record in one transaction. MySQL commits each change of a schema by itself: a file
that fails half-way is begun anew, so each has one change. A file that has run does not change any more, and none may
come before one that has run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.database import Database, DatabaseError

TABLE = "app_migrations"
LOCK = "app_migrations"
_LOCK_NUMBER = 0x74696465
_NAME = re.compile(r"(\d+)[_-].+\.sql")


class MigrationError(Exception):
    """What is wrong with the files or with what they meet in the database."""


@dataclass(frozen=True)
class File:
    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self) -> list[str]:
        """Without comments; no statement of these files has a semicolon inside."""
        plain = re.sub(r"--[^\n]*", "", self.text)
        return [part.strip() for part in plain.split(";") if part.strip()]


def read(folder: Path) -> list[File]:
    """Raises `MigrationError`."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} does not begin with a number and an underscore")
        found.append(File(int(match[1]), path.name, path.read_text()))
    found.sort(key=lambda file: file.number)
    numbers = [file.number for file in found]
    if len(set(numbers)) < len(numbers):
        raise MigrationError("two files have one number")
    return found


def pending(database: Database, files: list[File]) -> list[File]:
    """Those that have not run. Raises `MigrationError` and `DatabaseError`."""
    ran = _ran(database)
    for file in files:
        if file.number in ran and ran[file.number] != file.checksum:
            raise MigrationError(f"{file.name} has changed since it ran")
    last = max(ran, default=0)
    left = [file for file in files if file.number not in ran]
    if late := [file.name for file in left if file.number < last]:
        raise MigrationError(f"{late[0]} comes before number {last}, which has run")
    return left


def migrate(database: Database, files: list[File], lock_seconds: int, statement_seconds: int) -> list[str]:
    """Run what has not run; the names. Raises `MigrationError` and `DatabaseError`."""
    _limit(database, lock_seconds, statement_seconds)
    with _alone(database):
        database.rows(
            f"CREATE TABLE IF NOT EXISTS {TABLE} (number integer PRIMARY KEY, name varchar(255) NOT NULL,"
            " checksum char(64) NOT NULL, ran_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        )
        done = []
        for file in pending(database, files):
            try:
                with database.transaction():
                    for statement in file.statements():
                        database.rows(statement)
                    database.rows(
                        f"INSERT INTO {TABLE} (number, name, checksum) VALUES (%s, %s, %s)",  # noqa: S608 -- a constant
                        file.number,
                        file.name,
                        file.checksum,
                    )
            except DatabaseError as error:
                raise MigrationError(f"{file.name}: {error}") from error
            done.append(file.name)
    return done


def _ran(database: Database) -> dict[int, str]:
    schema = "current_schema()" if database.engine == "postgres" else "database()"
    there = database.rows(
        f"SELECT 1 FROM information_schema.tables WHERE table_schema = {schema} AND table_name = %s",  # noqa: S608
        TABLE,
    )
    if not there:
        return {}
    return {
        int(number): str(checksum)
        for number, checksum in database.rows(f"SELECT number, checksum FROM {TABLE}")  # noqa: S608 -- a constant
    }


def _limit(database: Database, lock_seconds: int, statement_seconds: int) -> None:
    if database.engine == "postgres":
        database.rows(f"SET lock_timeout = '{lock_seconds}s'")
        database.rows(f"SET statement_timeout = '{statement_seconds}s'")
    else:
        database.rows(f"SET SESSION lock_wait_timeout = {lock_seconds}")


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    """One at a time; the lock ends with the connection, whatever becomes of this process."""
    if database.engine == "postgres":
        [[got]] = database.rows("SELECT pg_try_advisory_lock(%s)", _LOCK_NUMBER)
    else:
        [[got]] = database.rows("SELECT GET_LOCK(%s, 0)", LOCK)
    if not got:
        raise MigrationError("another migration of this database runs")
    try:
        yield
    finally:
        if database.engine == "postgres":
            database.rows("SELECT pg_advisory_unlock(%s)", _LOCK_NUMBER)
        else:
            database.rows("SELECT RELEASE_LOCK(%s)", LOCK)
