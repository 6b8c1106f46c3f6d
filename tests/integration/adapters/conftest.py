from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws
from tidegate.adapters.clients import Clients
from tidegate.ports import Ports
from tidegate.runtime.composition import compose
from tidegate.runtime.settings import Settings

from tests.integration.adapters.cloud import ACCOUNT, REGION, TABLE, create_table
from tests.support.fakes import FakeMetrics


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    """Clients as a function has them, with credentials that open nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return Clients(REGION, arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:tidegate")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's pauses between its retries take no time."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)


@pytest.fixture
def moto(clients: Clients) -> Iterator[Clients]:
    """AWS in this process, empty but for the table."""
    with mock_aws():
        create_table(clients)
        yield clients


@pytest.fixture
def on_moto(moto: Clients) -> Ports:
    """The ports as a function composes them."""
    return compose(Settings(table=TABLE, region=REGION), FakeMetrics(), moto)
