"""What a stopped embedded cloud must not leave: processes, a port, files."""

import os
import socket
from pathlib import Path


def processes_of(folder: Path) -> list[str]:
    """Command lines of live processes that were started from, or with, something in `folder` (Linux)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in said:
            found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def listens(port: int) -> bool:
    """Whether somebody takes connections on loopback."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def files_in(folder: Path) -> set[str]:
    """Every file, relative to `folder`."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
