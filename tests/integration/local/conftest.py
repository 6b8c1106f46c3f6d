"""One embedded cloud for all tests of this folder."""

import uuid
from collections.abc import Iterator

import pytest

from tests.support.embedded import Cloud, running_cloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def queue(cloud: Cloud) -> tuple[str, str]:
    """URL and ARN of a queue of the test's own."""
    return cloud.queue(f"queue-{uuid.uuid4().hex[:8]}")
