"""For all tests."""

import signal
from pathlib import Path

import pytest

from tests.support import docker_engine
from tests.support.docker_engine import (  # noqa: F401 -- hooks of pytest
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_terminal_summary,
    pytest_testnodedown,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--systems", action="store_true", help="carry the five systems end to end (an hour)")


# A shell that starts a test run in the background lets it ignore Ctrl-C, and so would every command that a test
# starts and interrupts; a handler, unlike that, is not inherited.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_TESTS = Path(__file__).parent
# Workers take whole files, in this order: a long one that came last would be waited for by the others.
_SLOW_FIRST = ("docker", "faults", "e2e", "databases", "integration", "recipes", "machines")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    docker_engine.pytest_collection_modifyitems(config, items)
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    folder = item.path.relative_to(_TESTS).parts[0]
    return _SLOW_FIRST.index(folder) if folder in _SLOW_FIRST else len(_SLOW_FIRST)
