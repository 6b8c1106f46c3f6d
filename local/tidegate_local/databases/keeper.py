"""A server in a thread of its own: started, started again with its data when it dies, gone at the end."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable

from tidegate_local.databases.program import Program, StartError

logger = logging.getLogger("tidegate.databases")

START_SECONDS = 60.0
END_SECONDS = 10.0
TRIES = 3
PAUSE_SECONDS = 0.02
AGAIN_SECONDS = 0.5


class Keeper:
    """`up` is called when the server takes connections for the first time, `failed` with the reason if it never does;
    both in the thread."""

    def __init__(self, program: Program, *, up: Callable[[], None], failed: Callable[[str], None]) -> None:
        self._program = program
        self._up = up
        self._failed = failed
        self._over = threading.Event()
        # The child is told when the thread that started it ends: this one lives as long as the server.
        self._thread = threading.Thread(target=self._keep, name=f"tidegate-{program.name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End it, and remove its folder; returns when that is done."""
        self._over.set()
        self._program.sweep()
        self._thread.join(timeout=END_SECONDS)
        self._program.sweep()  # one that was just starting

    def _keep(self) -> None:
        try:
            self._program.sweep()  # of a cloud that was killed
            self._program.prepare()
            child = self._first()
            self._up()
        except Exception as error:  # noqa: BLE001 -- whoever waits for it has to hear of it
            if not self._over.is_set():
                logger.error("%s cannot be started: %s", self._program.name, error)  # noqa: TRY400 -- no trace
                self._failed(str(error))
            return
        while not self._over.is_set():
            code = child.wait()
            if self._over.is_set():
                break
            logger.warning("%s ended with exit code %s: it is started again", self._program.name, code)
            try:
                child = self._launch()
            except (StartError, OSError) as error:
                logger.warning("%s is still down: %s", self._program.name, error)
                self._over.wait(AGAIN_SECONDS)

    def _first(self) -> subprocess.Popen[bytes]:
        for attempt in range(1, TRIES + 1):
            try:
                return self._launch()
            except StartError:
                # Somebody may have taken its port since that was looked at.
                if attempt == TRIES or self._over.is_set():
                    raise
        raise StartError("it was never tried")

    def _launch(self) -> subprocess.Popen[bytes]:
        """Raises `StartError` unless it takes connections in the end."""
        child = self._program.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self._program.is_up():
            if child.poll() is not None:
                raise StartError(f"it ended with exit code {child.returncode}")
            if self._over.is_set() or time.monotonic() > deadline:
                self._program.end(child)
                raise StartError("it was not ready in time")
            self._over.wait(PAUSE_SECONDS)
        return child
