"""The recipes for Alembic, from `git push` to a changed schema: built by the machine `build`, run by `migrate` as a
one-off task in a container, against a real PostgreSQL and a real MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tidegate.domain.build import BuildOutcome
from tidegate.domain.outcome import Outcome
from tidegate_local import engine

from tests.docker.migrating_system import Credential, MigratingSystem
from tests.docker.orchestrator import Orchestrator
from tests.recipes.recipe import PASSWORD
from tests.support import mariadb as mariadb_server
from tests.support.mariadb import MariaDB

pytestmark = [pytest.mark.emulator, pytest.mark.docker]

KEYS = {"HOST": "host", "PORT": "port", "USER": "username", "PASSWORD": "password"}
EXPANDED = ["id", "customer", "note", "delivery"]
HALF_WAY = """\
from alembic import op

revision = "{revision}"
down_revision = "{after}"


def upgrade() -> None:
    op.execute("ALTER TABLE orders ADD COLUMN half text")
    op.execute("SELECT nothing FROM orders")
"""


def failed_lines(shown: dict[str, Any]) -> list[str]:
    """The last ones of the task that failed."""
    [task] = shown["failure"]["tasks"]
    return list(task["logs"])


class Books:
    """The system `books`, whose database is the embedded cloud's PostgreSQL."""

    name = "books"

    def __init__(self, cloud: Orchestrator, host: str, folder: Path) -> None:
        access = cloud.cloud.postgres
        assert access is not None
        self._login: dict[str, Any] = {
            "host": access.host,
            "port": access.port,
            "user": access.user,
            "password": access.password,
        }
        user = sql.Identifier(self.name)
        self.rows("postgres", sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(user, PASSWORD))
        self.rows("postgres", sql.SQL("CREATE DATABASE {0} OWNER {0}").format(user))
        credential = Credential("postgres", access.host, access.port)
        variables = {f"PG{key}": part for key, part in KEYS.items()} | {"PGDATABASE": "dbname"}
        self.system = MigratingSystem.make(
            cloud, host, folder, "alembic-postgres", self.name, credential, variables, {}
        )

    def rows(self, database: str, statement: Any) -> list[Any]:
        with psycopg.connect(**self._login, dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []

    def head(self) -> list[Any]:
        return self.rows(self.name, "SELECT version_num FROM alembic_version")

    def columns(self) -> list[Any]:
        return self.rows(
            self.name,
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders'"
            " ORDER BY ordinal_position",
        )


@pytest.fixture(scope="module")
def books(orchestrator: Orchestrator, host: str, tmp_path_factory: pytest.TempPathFactory) -> Books:
    """Has been released once."""
    books = Books(orchestrator, host, tmp_path_factory.mktemp("books"))
    _, deployment = books.system.push("one", {"version": "1.1.0\n"})
    assert deployment.outcome is Outcome.SUCCEEDED, deployment.explanation
    return books


@pytest.fixture(scope="module")
def mariadb(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    bridge = engine.bridge(host)
    assert bridge is not None
    with mariadb_server.running(tmp_path_factory.mktemp("mariadb"), bridge.address) as server:
        yield server


def test_alembic_changes_the_schema_before_the_service_rolls(books: Books) -> None:
    assert (books.head(), books.columns()) == (["0003"], EXPANDED)
    assert books.system.health() == {"version": "1.1.0", "orders": 0}
    lines = books.system.lines()
    assert sum("Running upgrade" in line for line in lines) == 3


def test_one_that_fails_half_way_leaves_the_service_as_it_was(books: Books) -> None:
    digests = books.system.system.digests()
    name = "migrations/versions/0004_half.py"
    build, deployment = books.system.push("half", {name: HALF_WAY.format(revision="0004", after="0003")})
    assert (build.outcome, deployment.outcome) == (BuildOutcome.BUILT, Outcome.FAILED_CLEAN)
    shown = books.system.show(deployment.id)
    assert any('column "nothing" does not exist' in line for line in failed_lines(shown))
    assert (books.head(), books.columns()) == (["0003"], EXPANDED)
    assert books.system.system.digests() == digests
    mended = HALF_WAY.format(revision="0004", after="0003").replace("nothing", "half")
    _, deployment = books.system.push("mended", {name: mended})
    assert deployment.outcome is Outcome.SUCCEEDED, deployment.explanation
    assert (books.head(), books.columns()) == (["0004"], [*EXPANDED, "half"])
    books.system.lines()


def test_alembic_runs_against_mariadb(
    orchestrator: Orchestrator, host: str, mariadb: MariaDB, tmp_path: Path
) -> None:
    """A failed one leaves what it did: DDL commits by itself."""
    mariadb.make_database("tools", "tools", PASSWORD)
    variables = {f"DATABASE_{key}": part for key, part in KEYS.items()} | {"DATABASE_NAME": "dbname"}
    tools = MigratingSystem.make(
        orchestrator,
        host,
        tmp_path,
        "alembic-mariadb",
        "tools",
        Credential("mariadb", mariadb.hosts[-1], mariadb.port),
        variables,
        {"DATABASE_TLS": "off"},
    )

    def schema() -> tuple[str, list[str]]:
        [(head,)] = mariadb.rows("SELECT version_num FROM alembic_version", database="tools")
        return str(head), [row[0] for row in mariadb.rows("SHOW COLUMNS FROM orders", database="tools")]

    _, deployment = tools.push("one", {"version": "1.1.0\n"})
    assert deployment.outcome is Outcome.SUCCEEDED, deployment.explanation
    assert schema() == ("0002", EXPANDED)
    assert tools.health() == {"version": "1.1.0", "orders": 0}
    digests = tools.system.digests()
    half = HALF_WAY.format(revision="0003", after="0002")
    _, deployment = tools.push("half", {"migrations/versions/0003_half.py": half})
    assert deployment.outcome is Outcome.FAILED_CLEAN
    assert any("Unknown column 'nothing'" in line for line in failed_lines(tools.show(deployment.id)))
    assert schema() == ("0002", [*EXPANDED, "half"])
    assert tools.system.digests() == digests
    tools.lines()
