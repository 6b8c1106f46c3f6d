"""A PostgreSQL and a MariaDB for all tests of this folder, and databases of their own for each."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import mariadb as mariadb_server
from tests.support import postgres as postgres_server
from tests.support.mariadb import (  # noqa: F401 -- hooks of pytest
    MariaDB,
    pytest_collection_modifyitems,
    pytest_terminal_summary,
)

PASSWORD = "canary-Wk3@:/%25'x;="
"""No output has it; the characters are those that a URL and a connection string have to quote."""


@dataclass(frozen=True)
class Database:
    """`credential` is what a secret has; its user owns the database."""

    credential: Mapping[str, str]
    rows: Callable[[str], list[tuple[Any, ...]]]

    @property
    def parts(self) -> dict[str, str]:
        """The same as variables, one for each key."""
        names = {"host": "HOST", "port": "PORT", "username": "USER", "password": "PASSWORD", "dbname": "NAME"}
        variables = {f"DATABASE_{name}": self.credential[key] for key, name in names.items()}
        return {**variables, "DATABASE_ENGINE": self.credential["engine"], "DATABASE_TLS": "off"}

    def columns(self, table: str) -> list[str]:
        return [
            str(name)
            for (name,) in self.rows(
                f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"  # noqa: S608
                f" AND table_schema IN ('public', '{self.credential['dbname']}') ORDER BY ordinal_position"
            )
        ]


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Server]:
    """The newest, which comes with a wheel."""
    with postgres_server.running(postgres_server.VERSIONS[-1]) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    with mariadb_server.running(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def postgres_database(postgres: postgres_server.Server) -> Database:
    name = f"items_{uuid.uuid4().hex[:12]}"
    with postgres.session("postgres") as admin:
        admin.run(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'")
        admin.run(f"CREATE DATABASE {name} OWNER {name}")

    def rows(statement: str) -> list[tuple[Any, ...]]:
        with postgres.session(name) as admin:
            return [tuple(row) for row in admin.run(statement) or []]

    return Database(_credential("postgres", postgres_server.HOST, postgres.port, name), rows)


@pytest.fixture
def maria_database(mariadb: MariaDB) -> Database:
    name = f"items_{uuid.uuid4().hex[:12]}"
    mariadb.make_database(name, name, PASSWORD)
    return Database(
        _credential("mysql", mariadb.host, mariadb.port, name),
        lambda statement: mariadb.rows(statement, database=name),
    )


@pytest.fixture(params=["postgres_database", "maria_database"], ids=["PostgreSQL", "MariaDB"])
def database(request: pytest.FixtureRequest) -> Database:
    """Of each kind."""
    found: Database = request.getfixturevalue(request.param)
    return found


def _credential(engine: str, host: str, port: int, name: str) -> dict[str, str]:
    return {
        "engine": engine,
        "host": host,
        "port": str(port),
        "username": name,
        "password": PASSWORD,
        "dbname": name,
    }
