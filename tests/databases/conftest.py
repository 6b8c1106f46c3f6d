"""A PostgreSQL of each version for all tests of this folder, and a database of its own for each test; a MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.databases.stage import Shop
from tests.support import mariadb as mariadb_server
from tests.support import postgres
from tests.support.mariadb import MariaDB
from tests.support.postgres import Server


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    postgres.pytest_collection_modifyitems(config, items)
    mariadb_server.pytest_collection_modifyitems(config, items)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    postgres.pytest_terminal_summary(terminalreporter)
    mariadb_server.pytest_terminal_summary(terminalreporter)


@pytest.fixture(scope="session", params=postgres.VERSIONS, ids=lambda version: f"postgresql-{version}")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with postgres.running(request.param) as running:
        yield running


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    with Shop.opened(server) as shop:
        yield shop


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    with mariadb_server.running(tmp_path_factory.mktemp("mariadb")) as running:
        yield running
