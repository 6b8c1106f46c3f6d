"""Where a Docker engine is looked for, and how its absence is told."""

import socket
import time
from pathlib import Path

import pytest
from tidegate_local import engine


def test_the_caller_s_engine_comes_first() -> None:
    assert engine.address({"DOCKER_HOST": "unix:///run/user/docker.sock"}) == "unix:///run/user/docker.sock"
    assert engine.address({"DOCKER_HOST": ""}) == engine.address({}) == "unix:///var/run/docker.sock"


@pytest.mark.parametrize("host", ["tcp://192.0.2.1:2375", "ssh://build@example.com"])
def test_one_on_another_machine_is_refused_without_a_call(host: str) -> None:
    with pytest.raises(engine.NoEngineError, match="not on this machine"):
        engine.find({"DOCKER_HOST": host})


def test_none_is_told_with_its_address(tmp_path: Path) -> None:
    for host in (f"unix://{tmp_path}/docker.sock", "tcp://127.0.0.1:9", "unix://"):
        with pytest.raises(engine.NoEngineError, match=f"no Docker engine answers at {host}"):
            engine.find({"DOCKER_HOST": host})


def test_one_that_does_not_answer_is_waited_for_only_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(engine.NoEngineError):
            engine.find({"DOCKER_HOST": f"unix://{path}"})
        assert time.monotonic() - began < 3 * engine.PING_SECONDS
