"""`tidegate demo` with a Docker engine: its services are containers."""

from pathlib import Path

import pytest
from tidegate_local import engine

from tests.support.command_line import CommandLine
from tests.support.demo import told
from tests.support.leftovers import processes_of

pytestmark = [pytest.mark.emulator, pytest.mark.docker]


def test_the_demos_containers_answer_with_their_version(tmp_path: Path, host: str) -> None:
    state = tmp_path / "state"
    tidegate = CommandLine({"TIDEGATE_STATE_DIR": str(state), "DOCKER_HOST": host}, tmp_path)
    ended = tidegate.run("demo", "--docker", "require", "--json", seconds=300)
    story = told(ended)
    assert story["docker"] is True
    assert [run["answers"] for run in story["runs"]] == [[run["version"]] * 2 for run in story["runs"]]
    assert story["runs"][2]["failure"]["tasks"][0]["logs"][-1] == "worker: QUEUE_URL is not set"

    assert not state.exists()
    assert processes_of(state) == []
    with engine.connected(host) as docker:
        containers = docker.api.containers(all=True, filters={"label": engine.CLOUD_LABEL})
    families = {entry["Labels"].get("com.amazonaws.ecs.task-definition-family") for entry in containers}
    assert not {"sample-api", "sample-worker"} & families
