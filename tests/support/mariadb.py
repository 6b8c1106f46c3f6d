"""A MariaDB server for the tests: its own data, its own port, gone at the end.

Debian's package brings it (`.ci/databases install`). Tests whose fixtures need `mariadb` are left out where it is not
installed; TIDEGATE_TESTS_DATABASES=require makes that an error, as continuous integration wants it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from tidegate_local.databases import mariadb as process
from tidegate_local.databases.mariadb import missing

from tests.support.leftovers import free_port
from tests.support.waiting import wait_until

REQUIRE = "TIDEGATE_TESTS_DATABASES"
FIXTURE = "mariadb"
USER, PASSWORD = "admin", "an admin's password of the tests"
STARTS_SECONDS = 60.0


@dataclass(frozen=True)
class MariaDB:
    """`hosts` are the addresses that it listens on, the first is loopback; USER may come from anywhere."""

    hosts: Sequence[str]
    port: int

    @property
    def host(self) -> str:
        return self.hosts[0]

    @contextmanager
    def connected(
        self, database: str | None = None, **settings: Any
    ) -> Iterator[pymysql.connections.Connection]:
        """As the administrator, every statement on its own."""
        connection = pymysql.connect(
            host=self.host,
            port=self.port,
            user=USER,
            password=PASSWORD,
            database=database,
            autocommit=True,
            **settings,
        )
        try:
            yield connection
        finally:
            connection.close()

    def rows(self, statement: str, *values: object, database: str | None = None) -> list[tuple[Any, ...]]:
        with self.connected(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def make_database(self, name: str, user: str, password: str) -> None:
        """With a user of its own, who may do everything in it and nothing elsewhere."""
        self.rows(f"CREATE DATABASE `{name}`")
        self.rows(f"CREATE USER `{user}`@'%%' IDENTIFIED BY %s", password)
        self.rows(f"GRANT ALL ON `{name}`.* TO `{user}`@'%'")

    def sessions(self, user: str) -> list[tuple[int, str]]:
        """The connections of a user: their ids and the statements that they run."""
        found = self.rows("SELECT ID, INFO FROM information_schema.PROCESSLIST WHERE USER = %s", user)
        return [(int(identity), str(statement or "")) for identity, statement in found]


@contextmanager
def running(folder: Path, *more_hosts: str, options: Sequence[str] = ()) -> Iterator[MariaDB]:
    """Start one with its data under `folder`, on loopback and `more_hosts` (that of Docker's bridge, say), with these
    more options of mariadbd; stop it."""
    data, log = folder / "data", folder / "mariadb.log"
    folder.mkdir(parents=True, exist_ok=True)
    process.install(data)
    server = MariaDB(["127.0.0.1", *more_hosts], free_port())
    grants = folder / "grants.sql"
    grants.write_text(
        f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{_quoted(PASSWORD)}';\n"
        f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
    )
    with log.open("wb") as written:
        started = subprocess.Popen(
            process.command(data, server.hosts, server.port, grants, *options),
            stdout=written,
            stderr=written,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_until(lambda: _answers(server, started, log), what="MariaDB to answer", seconds=STARTS_SECONDS)
        yield server
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
        shutil.rmtree(data, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    need = [item for item in items if FIXTURE in getattr(item, "fixturenames", ())]
    if not need or not missing():
        return
    if os.environ.get(REQUIRE) == "require":
        raise pytest.UsageError(f"{REQUIRE}=require, and {missing()}")
    items[:] = [item for item in items if item not in need]
    config.hook.pytest_deselected(items=need)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if missing():
        terminalreporter.write_line(f"tests of MariaDB are left out: {missing()}", yellow=True)


def _answers(server: MariaDB, started: subprocess.Popen[bytes], log: Path) -> bool:
    if started.poll() is not None:
        raise AssertionError(f"MariaDB has ended with {started.returncode}:\n{log.read_text()[-4000:]}")
    try:
        return bool(server.rows("SELECT 1"))
    except pymysql.err.OperationalError:
        return False


def _quoted(text: str) -> str:
    return text.replace("'", "''")
