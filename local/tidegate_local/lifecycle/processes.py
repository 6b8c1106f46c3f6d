"""A server in a session of its own, and its end with everything it started."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PAUSE_SECONDS = 0.05
EXEC_SECONDS = 2.0
ORDERLY_SECONDS = 10.0
_PROC = Path("/proc")
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


def start(command: Sequence[str], *, environ: Mapping[str, str], log: Path, folder: Path) -> int:
    """Start `command` in the background, as leader of a new session; returns its process id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = _spawn(command, environ, output, folder)
    # It outlives us on purpose; Popen would warn of that when it is collected.
    process.returncode = 0
    return process.pid


def run(
    command: Sequence[str], *, environ: Mapping[str, str], log: Path, folder: Path, seconds: float
) -> int:
    """Run `command` to its end; returns its exit code. Whatever ends the wait ends it too, with all it started.

    Raises `subprocess.TimeoutExpired` after `seconds`, and `OSError` where it cannot be started.
    """
    with log.open("ab") as output, uninterrupted() as pending:
        process = _spawn(command, environ, output, folder)
        try:
            pending()
            return process.wait(seconds)
        finally:
            if process.poll() is None:
                _signal(os.killpg, process.pid, signal.SIGKILL)
                process.wait(ORDERLY_SECONDS)


@contextmanager
def uninterrupted() -> Iterator[Callable[[], None]]:
    """SIGINT and SIGTERM wait until the callable that is given, or the end of the block, lets them through.

    For the moment between a process being there and being known: one that comes just then would leave it behind.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    came: list[int] = []
    handlers = {
        number: signal.signal(number, lambda came_as, _: came.append(came_as)) for number in _INTERRUPTS
    }

    def let_through() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        while came:
            signal.raise_signal(signal.Signals(came.pop(0)))

    try:
        yield let_through
    finally:
        let_through()


def _spawn(
    command: Sequence[str], environ: Mapping[str, str], output: IO[bytes], folder: Path
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=dict(environ),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def runs(pid: int, marker: str) -> bool:
    """Whether process `pid` is alive and is the one whose command line holds `marker`.

    A process id that was written down may belong to somebody else by now.
    """
    _reap(pid)
    return marker in _command(pid)


def stop(pid: int, marker: str) -> None:
    """End the process and its whole group: politely, then not. Nothing happens if it is gone already."""
    if runs(pid, marker):
        _signal(os.kill, pid, signal.SIGTERM)
        wait_until(lambda: not runs(pid, marker), seconds=ORDERLY_SECONDS)
    elif runs_anything(pid):
        return  # the number was given to somebody else; a group of that number would be theirs
    _signal(os.killpg, pid, signal.SIGKILL)
    wait_until(lambda: not runs(pid, marker) and not group_lives(pid), seconds=ORDERLY_SECONDS)


def send(pid: int, which: signal.Signals) -> None:
    """A signal to one process; nothing happens if it is gone."""
    _signal(os.kill, pid, which)


def runs_anything(pid: int) -> bool:
    """Whether there is a process of that number."""
    return bool(_command(pid))


def group_lives(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not _PROC.is_dir():
        return True
    return any(_group_of(entry) == group for entry in _PROC.iterdir() if entry.name.isdigit())


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Whether `condition` came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(PAUSE_SECONDS)
    return True


def _signal(send: Callable[[int, int], None], number: int, which: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        send(number, which)


def _reap(pid: int) -> None:
    """A child of ours that ended stays in the process table until somebody asks for it."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _command(pid: int) -> str:
    """The command line of a live process; empty for none, and for a zombie."""
    if _PROC.is_dir():
        # One that has just begun has none yet: exec lets its caller go on a moment before it is written.
        wait_until(lambda: bool(_written(pid)) or _group_of(_PROC / str(pid)) is None, seconds=EXEC_SECONDS)
        return _written(pid)
    listed = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()


def _written(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _group_of(entry: Path) -> int | None:
    """The process group of a live process by its folder of /proc; None for a zombie."""
    try:
        state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else int(group)
