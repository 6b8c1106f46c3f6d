"""A server of each version for all tests of this folder, and a database of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databases.stage import Shop
from tests.support import postgres
from tests.support.postgres import (  # noqa: F401 -- hooks of pytest
    Server,
    pytest_collection_modifyitems,
    pytest_terminal_summary,
)


@pytest.fixture(scope="session", params=postgres.VERSIONS, ids=lambda version: f"postgresql-{version}")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with postgres.running(request.param) as running:
        yield running


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    with Shop.opened(server) as shop:
        yield shop
