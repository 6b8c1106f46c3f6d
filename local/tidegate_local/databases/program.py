"""What a database server's program has to say to whoever keeps it."""

import subprocess
from typing import Protocol


class StartError(Exception):
    """A server cannot be started; the message says why."""


class Program(Protocol):
    """One server with its own folder."""

    name: str
    """As a person calls it, e.g. `PostgreSQL`."""

    def prepare(self) -> None:
        """Make its folder, and nothing of what was there is left. Raises `StartError`, `OSError`."""

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it, as a child that ends with the thread that calls this (Linux). Raises `StartError`, `OSError`."""

    def is_up(self) -> bool:
        """Whether the one that was launched last takes connections."""

    def end(self, child: subprocess.Popen[bytes]) -> None:
        """End it at once, with every connection."""

    def sweep(self) -> None:
        """End whatever works in its folder, and remove that."""
