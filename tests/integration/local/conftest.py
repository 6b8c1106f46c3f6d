"""One embedded cloud for all tests of this folder."""

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.support.embedded import Cloud, running_cloud
from tests.support.mariadb import (  # noqa: F401 -- hooks of pytest
    pytest_collection_modifyitems,
    pytest_terminal_summary,
)

WITHOUT = "TIDEGATE_WITHOUT_MENDS"
"""Names of mends to leave out, e.g. to see which of them a newer MiniStack still needs: its tests fail."""


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    arguments = [f"--without={name}" for name in os.environ.get(WITHOUT, "").split(",") if name]
    with running_cloud(tmp_path_factory.mktemp("cloud"), arguments) as running:
        yield running


@pytest.fixture
def queue(cloud: Cloud) -> tuple[str, str]:
    """URL and ARN of a queue of the test's own."""
    return cloud.queue(f"queue-{uuid.uuid4().hex[:8]}")
