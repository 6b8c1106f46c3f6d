"""Which engines can run the containers of an embedded cloud."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate_local import engine


@pytest.mark.parametrize(
    ("version", "wall"),
    [
        ({"Version": "28.2.2", "Platform": {"Name": "Docker Desktop 4.41.2 (191736)"}}, True),
        ({"Version": "28.2.2", "Platform": {"Name": "Docker Engine - Community"}}, False),
        ({"Version": "20.10.24+dfsg1", "Platform": {"Name": ""}}, False),
        ({"Version": "20.10.24+dfsg1"}, False),
    ],
)
def test_docker_desktop_is_told_from_an_engine_of_this_machine(version: dict[str, Any], wall: bool) -> None:
    assert engine.is_behind_a_wall(version) is wall


def test_an_engine_elsewhere_is_refused() -> None:
    with pytest.raises(engine.NoEngineError, match="not on this machine"):
        engine.find({"DOCKER_HOST": "tcp://build.example.com:2375"})
