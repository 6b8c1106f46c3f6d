"""What is started is ended, whenever the signal comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tidegate_local.lifecycle import processes

from tests.support.leftovers import processes_of
from tests.support.waiting import wait_until

# A child that has a child of its own, and outlives nothing.
PARENT = """
import subprocess, sys, pathlib
subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait(60)", sys.argv[1]])
pathlib.Path(sys.argv[1], "there").touch()
import threading; threading.Event().wait(60)
"""


def _run(folder: Path, code: str, seconds: float = 20) -> int:
    command = [sys.executable, "-c", code, str(folder)]
    return processes.run(command, environ=os.environ, log=folder / "log", folder=folder, seconds=seconds)


def test_gives_the_exit_code_and_keeps_the_output(tmp_path: Path) -> None:
    assert _run(tmp_path, "print('said'); raise SystemExit(3)") == 3
    assert (tmp_path / "log").read_text() == "said\n"


def test_what_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        _run(tmp_path, PARENT, seconds=1)
    # A killed process is gone a moment after the signal.
    wait_until(lambda: processes_of(tmp_path) == [], what="no process to be left")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_is_answered_when_it_can_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Guards `uninterrupted`: without it the signal raises inside Popen, and the process is nobody's."""

    def unwind(_: int, __: object) -> None:
        raise KeyboardInterrupt

    spawn = processes._spawn

    def interrupted(*arguments: object) -> object:
        process = spawn(*arguments)  # type: ignore[arg-type]
        wait_until((tmp_path / "there").exists, what="the child's child")
        signal.raise_signal(number)
        return process

    monkeypatch.setattr(processes, "_spawn", interrupted)
    before = signal.signal(number, unwind)
    try:
        with pytest.raises(KeyboardInterrupt):
            _run(tmp_path, PARENT)
        assert signal.getsignal(number) is unwind
    finally:
        signal.signal(number, before)
    # A killed process is gone a moment after the signal.
    wait_until(lambda: processes_of(tmp_path) == [], what="no process to be left")
