"""One embedded cloud with the stage built in it."""

from collections.abc import Iterator

import pytest

from tests.machines.stage import Stage, build
from tests.support.embedded import running_cloud


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with pytest.MonkeyPatch.context() as patch:
        # MiniStack's factor for what Wait and Retry wait; time-outs keep their seconds.
        patch.setenv("SFN_WAIT_SCALE", "0")
        with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
            yield build(cloud)
