"""Servers for the recipes: one of each kind for all tests of this folder, a database of its own for each test."""

from collections.abc import Iterator

import pytest

from tests.recipes.databases import MariaDatabase, PostgresDatabase
from tests.support import mariadb as mariadb_server
from tests.support import postgres as postgres_server
from tests.support.mariadb import (  # noqa: F401 -- hooks of pytest
    MariaDB,
    pytest_collection_modifyitems,
    pytest_terminal_summary,
)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[postgres_server.Server]:
    """The newest, which comes with a wheel, unless a test names its version."""
    version = getattr(request, "param", postgres_server.VERSIONS[-1])
    with postgres_server.running(version) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    with mariadb_server.running(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def database(postgres: postgres_server.Server) -> PostgresDatabase:
    return PostgresDatabase.make(postgres)


@pytest.fixture
def maria_database(mariadb: MariaDB) -> MariaDatabase:
    return MariaDatabase.make(mariadb)
