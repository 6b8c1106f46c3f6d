"""For all tests."""

import signal

from tests.support.docker_engine import (  # noqa: F401 -- hooks of pytest
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_terminal_summary,
    pytest_testnodedown,
)

# A shell that starts a test run in the background lets it ignore Ctrl-C, and so would every command that a test
# starts and interrupts; a handler, unlike that, is not inherited.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
