"""PostgreSQL beside the cloud: started with it, started again with its data when it dies, gone when the cloud goes."""

import contextlib
import logging
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable

from tidegate_local import engine
from tidegate_local.postgres import access, process
from tidegate_local.postgres.access import USER, Access
from tidegate_local.postgres.process import StartError
from tidegate_local.settings import Settings

logger = logging.getLogger("tidegate.postgres")

LOOPBACK = "127.0.0.1"
PORT_DISTANCE = 10_000
"""From the cloud's port to PostgreSQL's, where that one is free: 4566 and 14566."""
INITDB_SECONDS = 60.0
START_SECONDS = 30.0
TRIES = 3
PAUSE_SECONDS = 0.02
AGAIN_SECONDS = 0.5
_SETTINGS = (
    # What is lost when the machine stops is worth nothing; what a killed process wrote, the system still has.
    "fsync=off",
    "full_page_writes=off",
    # Files in the data folder, which go with it; the default leaves memory behind when it is killed.
    "dynamic_shared_memory_type=mmap",
    "unix_socket_directories=",
    # A statement that fails may hold a password.
    "log_min_error_statement=panic",
    "log_line_prefix=postgres: ",
)


class Server:
    """A thread and its child. `failed` is called if there is none to begin with."""

    def __init__(self, settings: Settings, failed: Callable[[], None]) -> None:
        self._settings = settings
        self._failed = failed
        self._data = access.data_of(settings.state_dir)
        self._folder = self._data.parent
        self._password = secrets.token_urlsafe(24)
        self._bridge = engine.bridge(settings.docker_host) if settings.docker else None
        self._over = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        # The child is told when the thread that started it ends: this one lives as long as the cloud.
        self._thread = threading.Thread(target=self._keep, name="tidegate-postgres", daemon=True)

    def start(self) -> None:
        """Begin; returns at once. Where it listens is in the access file when it does."""
        self._thread.start()

    def stop(self) -> None:
        """End it and all its connections, and remove its data; returns when that is done."""
        self._over.set()
        process.sweep(self._data)
        self._thread.join(timeout=process.END_SECONDS)
        process.sweep(self._data)  # one that was just starting
        shutil.rmtree(self._folder, ignore_errors=True)

    def _keep(self) -> None:
        try:
            self._prepare()
            port = self._first_start()
        except (StartError, OSError, KeyError) as error:
            if not self._over.is_set():
                logger.error("PostgreSQL cannot be started: %s", error)  # noqa: TRY400 -- the message is enough
                self._failed()
            return
        host = self._bridge.address if self._bridge else LOOPBACK
        access.write(self._settings.state_dir, Access(host, port, USER, self._password))
        while not self._over.is_set():
            code = self._child.wait() if self._child else None
            if self._over.is_set():
                break
            logger.warning("PostgreSQL ended with exit code %s: it is started again", code)
            try:
                self._launch(port)
            except (StartError, OSError) as error:
                logger.warning("PostgreSQL is still down: %s", error)
                self._over.wait(AGAIN_SECONDS)

    def _prepare(self) -> None:
        process.sweep(self._data)  # of a cloud that was killed
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, mode=0o700)
        process.make_folder(self._data)
        password = self._folder / "password"
        access.write_private(password, self._password)
        words = process.command("initdb", "-D", str(self._data), "-U", USER, f"--pwfile={password}")
        words += ["--auth=scram-sha-256", "--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"]
        words += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        for setting in _SETTINGS:
            words += ["-c", setting]
        process.run(*words, seconds=INITDB_SECONDS)
        password.unlink()
        # This machine, which may speak to the bridge from any address of its own, and the containers on it.
        own = ["samehost", *([self._bridge.subnet] if self._bridge else [])]
        lines = [f"host all all {network} scram-sha-256\n" for network in own]
        (self._data / "pg_hba.conf").write_text("".join(lines))

    def _first_start(self) -> int:
        for attempt in range(1, TRIES + 1):
            port = self._free_port(preferred=attempt == 1)
            try:
                self._launch(port)
            except StartError:
                # Somebody may have taken the port since it was looked at.
                if attempt == TRIES or self._over.is_set():
                    raise
            else:
                return port
        raise StartError("no port")

    def _launch(self, port: int) -> None:
        """Raises `StartError` unless it takes connections in the end."""
        addresses = [LOOPBACK, *([self._bridge.address] if self._bridge else [])]
        listening = ["-c", f"listen_addresses={','.join(addresses)}", "-p", str(port)]
        words = process.command("postgres", "-D", str(self._data), *listening)
        # In a session of its own: a signal for the cloud's group would leave its connections behind.
        self._child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, cwd=self._folder, start_new_session=True
        )
        deadline = time.monotonic() + START_SECONDS
        while not process.is_ready(self._data) or not self._listens(port):
            if self._child.poll() is not None:
                raise StartError(f"it ended with exit code {self._child.returncode}")
            if self._over.is_set() or time.monotonic() > deadline:
                self._end()
                raise StartError("it was not ready in time")
            self._over.wait(PAUSE_SECONDS)

    def _end(self) -> None:
        child = self._child
        if child is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.send_signal(signal.SIGQUIT)
            child.wait(process.END_SECONDS)
            return
        child.kill()
        child.wait()

    def _listens(self, port: int) -> bool:
        """postmaster.pid may be of the server before, which said `ready` and was killed."""
        host = self._bridge.address if self._bridge else LOOPBACK
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((host, port)) == 0

    def _free_port(self, *, preferred: bool) -> int:
        derived = self._settings.port + PORT_DISTANCE
        if preferred and derived <= 65535 and _is_free(derived):
            return derived
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return True
    return False
