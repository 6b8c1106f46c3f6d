"""The PostgreSQL server beside the embedded cloud."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tidegate_local.databases.fronts import Fronts
from tidegate_local.postgres import access, process
from tidegate_local.postgres.access import Access
from tidegate_local.postgres.server import PORT_DISTANCE, Server
from tidegate_local.settings import Settings

from tests.support.embedded import Cloud, running_cloud
from tests.support.leftovers import free_port, listens, processes_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

BUSY = "DO $$ BEGIN LOOP END LOOP; END $$"
"""It looks at nothing while it runs, not even whether its server is still there."""

Statement = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), ["--postgres"]) as cloud:
        yield cloud


def connect(given: Access, **other: Any) -> Statement:
    settings = {"host": given.host, "port": given.port, "user": given.user, "password": given.password}
    return psycopg.connect(**{**settings, "dbname": "postgres", "autocommit": True, **other})


def server_of(cloud: Cloud) -> int:
    return int((access.data_of(cloud.state_dir) / "postmaster.pid").read_text().split()[0])


def test_it_is_postgresql_18_with_a_password(running: Cloud) -> None:
    with connect(running.postgres) as connection:
        version, encoding, superuser = connection.execute(
            "SELECT current_setting('server_version'), current_setting('server_encoding'), "
            "current_setting('is_superuser')"
        ).fetchone() or ("", "", "")
    assert (version.partition(".")[0], encoding, superuser) == ("18", "UTF8", "on")
    for wrong in ("", "postgres", running.postgres.password.swapcase()):
        with pytest.raises(psycopg.OperationalError):
            connect(running.postgres, password=wrong)


def test_it_listens_on_loopback_only(running: Cloud) -> None:
    wanted = f":{running.postgres.port:04X}"
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, address, _, state, *_ = line.split()
            if state == "0A" and address.endswith(wanted):
                found.add(address)
    assert found == {f"0100007F{wanted}"}


def test_the_password_is_in_one_file_that_only_its_owner_reads(running: Cloud) -> None:
    given = running.postgres
    with connect(given) as connection, contextlib.suppress(psycopg.Error):
        connection.execute(f"ALTER ROLE nobody_of_that_name PASSWORD '{given.password}'")
    holding = [
        path
        for path in running.state_dir.rglob("*")
        if path.is_file() and given.password.encode() in path.read_bytes()
    ]
    assert holding == [access.file_of(running.state_dir)]
    assert holding[0].stat().st_mode & 0o777 == 0o600
    assert given.password not in repr(given)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                assert given.password.encode() not in (entry / "cmdline").read_bytes()


def test_one_that_died_is_started_again_with_its_data(running: Cloud) -> None:
    """Also guards that a commit is written before it is answered (synchronous_commit)."""
    given = running.postgres
    with connect(given) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    died = server_of(running)
    os.kill(died, signal.SIGKILL)

    def value() -> Any:
        with contextlib.suppress(psycopg.OperationalError), connect(given) as connection:
            return connection.execute("SELECT value FROM kept").fetchone()
        return None

    assert wait_until(value, what="PostgreSQL", seconds=30) == (7,)
    assert server_of(running) != died
    assert running.postgres == given


def test_nothing_of_it_outlives_the_cloud(tmp_path: Path) -> None:
    with running_cloud(tmp_path, ["--postgres"]) as cloud:
        given = cloud.postgres
        kept = connect(given)
    kept.close()
    assert cloud.process.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["server.log"]
    assert not listens(given.port)
    assert processes_of(tmp_path) == []


def test_it_ends_with_a_cloud_that_was_killed(tmp_path: Path) -> None:
    with (
        running_cloud(tmp_path, ["--postgres"]) as cloud,
        contextlib.closing(connect(cloud.postgres)) as connection,
        busy(connection),
    ):
        cloud.process.send_signal(signal.SIGKILL)
        cloud.process.wait(timeout=10)
        wait_until(lambda: not processes_of(tmp_path), what="PostgreSQL to end")


def test_its_port_follows_the_cloud_s_unless_somebody_has_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = int(other.getsockname()[1])
        with beside(taken - PORT_DISTANCE, tmp_path / "first") as first:
            assert first.port != taken
    free = free_port()
    with beside(free - PORT_DISTANCE, tmp_path / "second") as second:
        assert second.port == free


def test_a_server_that_cannot_be_started_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "PACKAGE", "no_such_package")
    told = threading.Event()
    settings = Settings(4566, "us-east-1", tmp_path)
    fronts = Fronts(settings)
    server = Server(settings, fronts, failed=told.set)
    try:
        server.start()
        assert told.wait(10)
    finally:
        fronts.stop()
    assert "PostgreSQL cannot be started: the package no_such_package is not installed" in caplog.text


@pytest.mark.parametrize("killed", [False, True], ids=["running", "killed"])
def test_a_sweep_ends_a_server_and_what_is_left_of_it(tmp_path: Path, killed: bool) -> None:
    """Guards the sweep of `local down`: where no parent's death is told, nothing else ends the server."""
    data = tmp_path / "data"
    with (
        left_behind(data) as (server, given),
        contextlib.closing(connect(given)) as connection,
        busy(connection),
    ):
        if killed:
            server.kill()
            server.wait(10)
        assert process._working_in(data)
        process.sweep(data)
        server.wait(10)
        assert process._working_in(data) == []


@contextlib.contextmanager
def beside(port: int, state_dir: Path) -> Iterator[Access]:
    """A server beside a cloud of that port, which is not there itself."""
    failed = threading.Event()
    settings = Settings(port, "us-east-1", state_dir)
    fronts = Fronts(settings)
    server = Server(settings, fronts, failed=failed.set)
    server.start()
    try:
        yield wait_until(lambda: access.read(state_dir), what="PostgreSQL", seconds=30)
    finally:
        server.stop()
        fronts.stop()
    assert not failed.is_set()


@contextlib.contextmanager
def left_behind(data: Path) -> Iterator[tuple[subprocess.Popen[bytes], Access]]:
    process.make_folder(data)
    process.run(*process.command("initdb", "-D", str(data), "-U", "postgres", "--no-sync"), seconds=60)
    given = Access("127.0.0.1", free_port(), "postgres", "")
    options = ["-c", "unix_socket_directories=", "-c", "dynamic_shared_memory_type=mmap"]
    words = process.command("postgres", "-D", str(data), "-p", str(given.port), *options)
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True) as server:
        try:
            wait_until(lambda: process.is_ready(data) and listens(given.port), what="PostgreSQL", seconds=30)
            yield server, given
        finally:
            process.sweep(data)


@contextlib.contextmanager
def busy(connection: Statement) -> Iterator[None]:
    """The connection computes for ever; what it is told at its end is nobody's concern."""
    pid = connection.info.backend_pid
    connection.pgconn.send_query(BUSY.encode())
    wait_until(lambda: state_of(pid) == "R", what="the statement to run")
    yield


def state_of(pid: int) -> str:
    return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
