"""Tests that need a Docker engine: marked `docker`, and left out where none answers.

TIDEGATE_TESTS_DOCKER=require makes a missing engine an error, as continuous integration wants it.
"""

import os
from functools import cache
from typing import Any

import pytest
from tidegate_local import engine

REQUIRE = "TIDEGATE_TESTS_DOCKER"
_LEFT_OUT = "tidegate_left_out"


@cache
def missing() -> str:
    """Why no engine can be used; empty where one answers."""
    try:
        engine.find()
    except engine.NoEngineError as error:
        return str(error)
    return ""


def pytest_sessionstart() -> None:
    if os.environ.get(REQUIRE) == "require" and missing():
        raise pytest.UsageError(f"{REQUIRE}=require, and {missing()}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    need = [item for item in items if item.get_closest_marker("docker")]
    if not need or not missing():
        return
    items[:] = [item for item in items if item not in need]
    config.hook.pytest_deselected(items=need)
    config.stash[_COUNT] = len(need)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells how many it left out; all of them collect the same."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_LEFT_OUT] = session.config.stash.get(_COUNT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    told = getattr(node, "workeroutput", {}).get(_LEFT_OUT, 0)
    node.config.stash[_COUNT] = max(told, node.config.stash.get(_COUNT, 0))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if count := config.stash.get(_COUNT, 0):
        terminalreporter.write_line(
            f"{count} tests left out: they need a Docker engine ({missing()}); .ci/run installs one",
            yellow=True,
        )


_COUNT = pytest.StashKey[int]()
