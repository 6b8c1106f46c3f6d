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
from functools import cache
from pathlib import Path
from typing import Any

import pymysql
import pytest

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
    own = [f"--datadir={data}", *(["--user=root"] if os.geteuid() == 0 else [])]
    subprocess.run(
        [
            _program("mariadb-install-db"),
            "--no-defaults",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
            *own,
        ],
        check=True,
        capture_output=True,
    )
    server = MariaDB(["127.0.0.1", *more_hosts], free_port())
    grants = folder / "grants.sql"
    grants.write_text(
        f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{_quoted(PASSWORD)}';\n"
        f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
    )
    with log.open("wb") as written:
        process = subprocess.Popen(
            [
                _program("mariadbd"),
                "--no-defaults",
                *own,
                f"--socket={folder / 'mariadb.sock'}",
                f"--pid-file={folder / 'mariadb.pid'}",
                f"--bind-address={','.join(server.hosts)}",
                f"--port={server.port}",
                f"--init-file={grants}",
                "--skip-name-resolve",
                # Its data is thrown away.
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-buffer-pool-size=32M",
                "--innodb-log-file-size=16M",
                *options,
            ],
            stdout=written,
            stderr=written,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_until(lambda: _answers(server, process, log), what="MariaDB to answer", seconds=STARTS_SECONDS)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(data, ignore_errors=True)


@cache
def missing() -> str:
    """Why there is none; empty where it can be started."""
    try:
        for name in ("mariadbd", "mariadb-install-db"):
            _program(name)
    except LookupError as error:
        return str(error)
    return ""


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


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise LookupError(f"{name} is not installed (Debian and Ubuntu: .ci/databases install)")
    return found


def _answers(server: MariaDB, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"MariaDB has ended with {process.returncode}:\n{log.read_text()[-4000:]}")
    try:
        return bool(server.rows("SELECT 1"))
    except pymysql.err.OperationalError:
        return False


def _quoted(text: str) -> str:
    return text.replace("'", "''")
