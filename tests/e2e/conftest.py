"""One embedded cloud, with IAM enforced, for all end-to-end tests."""

from collections.abc import Iterator

import pytest

from tests.e2e.support import SampleCloud, sample_cloud


@pytest.fixture(scope="session")
def shared_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleCloud]:
    with sample_cloud(tmp_path_factory.mktemp("e2e") / "state") as running:
        yield running


@pytest.fixture
def cloud(shared_cloud: SampleCloud) -> Iterator[SampleCloud]:
    """The shared cloud, without a fault and with nothing under way, before the test and after it."""
    shared_cloud.calm()
    yield shared_cloud
    shared_cloud.calm()
