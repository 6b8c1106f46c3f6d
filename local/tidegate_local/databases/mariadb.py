"""A MariaDB server, where the programs of Debian's package are installed. It has TLS itself."""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tidegate_local.databases.authority import Authority
from tidegate_local.databases.program import StartError
from tidegate_local.lifecycle import processes

INSTALL_SECONDS = 60.0
END_SECONDS = 10.0
_PLACES = "/usr/sbin:/sbin"
_SMALL = (
    # Its data is thrown away.
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
)


@cache
def missing() -> str:
    """Why there is none; empty where it can be started."""
    try:
        for name in ("mariadbd", "mariadb-install-db"):
            program(name)
    except StartError as error:
        return str(error)
    return ""


def program(name: str) -> str:
    """Where it is. Raises `StartError`."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_PLACES}")
    if found is None:
        raise StartError(f"{name} is not installed (Debian and Ubuntu: .ci/databases install)")
    return found


def install(data: Path) -> None:
    """Make the folder of a server's data. Raises `StartError`."""
    words = [program("mariadb-install-db"), "--no-defaults", "--skip-test-db"]
    words += ["--auth-root-authentication-method=normal", *_own(data)]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(f"mariadb-install-db: {error}") from error
    if done.returncode != 0:
        raise StartError(f"mariadb-install-db: {(done.stderr or done.stdout).strip()[-1000:]}")


def command(data: Path, hosts: Sequence[str], port: int, first: Path, *options: str) -> list[str]:
    """The server on `data`, which listens there; it reads the statements of the file `first` when it starts. Raises
    `StartError`."""
    return [
        program("mariadbd"),
        "--no-defaults",
        *_own(data),
        # Of the data folder, wherever that is: an address of a socket has 107 bytes at most.
        "--socket=mariadb.sock",
        "--pid-file=mariadb.pid",
        f"--bind-address={','.join(hosts)}",
        f"--port={port}",
        f"--init-file={first}",
        "--skip-name-resolve",
        *_SMALL,
        *options,
    ]


def sweep(data: Path) -> None:
    """End the server of that folder. Nothing happens without one."""
    try:
        pid = int((data / "mariadb.pid").read_text())
    except (OSError, ValueError):
        return
    processes.stop(pid, str(data))


class MariaDB:
    """`Program`. `first` are the statements with which it starts, and each of them has to bear being run again."""

    name = "MariaDB"

    def __init__(
        self, folder: Path, hosts: Sequence[str], port: int, authority: Authority, first: Sequence[str]
    ) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._hosts = hosts
        self._port = port
        self._authority = authority
        self._first = first

    def prepare(self) -> None:
        self._folder.mkdir(parents=True, mode=0o700)
        install(self._data)

    def launch(self) -> subprocess.Popen[bytes]:
        first = self._folder / "first.sql"
        first.write_text("".join(f"{statement};\n" for statement in self._first))
        tls = [f"--ssl-cert={self._authority.certificate}", f"--ssl-key={self._authority.key}"]
        words = command(self._data, self._hosts, self._port, first, *tls)
        setpriv = shutil.which("setpriv")
        ended = [setpriv, "--pdeathsig=KILL"] if setpriv is not None else []
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*ended, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def is_up(self) -> bool:
        """It greets whoever connects; while it starts nobody listens."""
        with socket.socket() as probe:
            probe.settimeout(1)
            try:
                probe.connect((self._hosts[-1], self._port))
                return bool(probe.recv(5))
            except OSError:
                return False

    def end(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.wait()

    def sweep(self) -> None:
        sweep(self._data)
        shutil.rmtree(self._folder, ignore_errors=True)


def _own(data: Path) -> list[str]:
    return [f"--datadir={data}", *(["--user=root"] if os.geteuid() == 0 else [])]
