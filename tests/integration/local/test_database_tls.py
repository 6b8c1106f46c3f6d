"""TLS of the databases that the embedded cloud runs."""

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tidegate.adapters.postgres_connection import Connecting
from tidegate.domain.credentials import POSTGRES, Credential
from tidegate.domain.sql_migration import VERIFY_FULL
from tidegate_local.databases.fronts import FOLDER, Fronts
from tidegate_local.settings import Settings

from tests.support.embedded import Cloud, running_cloud
from tests.support.leftovers import free_port, listens

pytestmark = pytest.mark.emulator

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSS_REQUEST = struct.pack("!ii", 8, 80877104)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), ["--postgres"]) as cloud:
        yield cloud


@pytest.fixture
def fronts(tmp_path: Path) -> Iterator[Fronts]:
    made = Fronts(Settings(4566, "us-east-1", tmp_path))
    yield made
    made.stop()
    assert not [*tmp_path.iterdir()]


def connect(cloud: Cloud, **other: Any) -> psycopg.Connection[Any]:
    given = cloud.postgres
    trusted = {"sslmode": "verify-full", "sslrootcert": str(cloud.state_dir / FOLDER / "authority.pem")}
    settings: dict[str, Any] = {"host": given.host, "port": given.port, "user": given.user}
    return psycopg.connect(**settings | {"password": given.password, "dbname": "postgres"} | trusted | other)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_server_proves_who_it_is(running: Cloud, host: str) -> None:
    with connect(running, host=host) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_it_proves_nothing_to_whom_trusts_another(running: Cloud) -> None:
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        connect(running, sslrootcert="system")


def test_tls_is_not_required(running: Cloud) -> None:
    with connect(running, sslmode="disable") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_our_own_connections_ask_for_it(running: Cloud) -> None:
    given = running.postgres
    pem = (running.state_dir / FOLDER / "authority.pem").read_text()
    credential = Credential(POSTGRES, given.host, given.port, "postgres", given.user, given.password, pem)
    session = Connecting("test").open(credential, VERIFY_FULL, "test", until=0.0)
    assert session.run("SELECT 1") == [[1]]
    session.close()


def test_much_passes_both_ways(running: Cloud) -> None:
    """More than any buffer on the way holds."""
    much = "x" * 30_000_000
    with connect(running) as connection:
        found = connection.execute("SELECT %s || 'y'", (much,)).fetchone()
    assert found == (much + "y",)


def test_a_statement_is_cancelled(running: Cloud) -> None:
    """The request to cancel comes by a connection of its own, and says so in its first bytes."""
    with connect(running) as connection:
        timer = threading.Timer(0.2, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(60)")
        timer.join()


def test_a_function_trusts_it(running: Cloud) -> None:
    """Without a PEM: a secret whose value a stack builds itself has no room for one."""
    given = running.postgres
    function = running.function(
        """
        import socket, ssl, struct

        def handler(event, context):
            opened = socket.create_connection((event["host"], event["port"]))
            opened.sendall(struct.pack("!ii", 8, 80877103))
            assert opened.recv(1) == b"S"
            secured = ssl.create_default_context().wrap_socket(opened, server_hostname=event["host"])
            return secured.version()
        """,
        Timeout=30,
    )
    answer = running.client("lambda").invoke(
        FunctionName=function, Payload=json.dumps({"host": given.host, "port": given.port})
    )
    assert json.loads(answer["Payload"].read()) == "TLSv1.3"


def test_a_front_is_there_before_its_server(fronts: Fronts) -> None:
    port = fronts.open(lambda: None)
    with socket.create_connection(("127.0.0.1", port)) as opened:
        opened.sendall(SSL_REQUEST)
        assert opened.recv(1) == b"S"
        context = ssl.create_default_context(cadata=fronts.authority.pem)
        with context.wrap_socket(opened, server_hostname="localhost") as secured:
            secured.sendall(b"\0" * 8)
            with contextlib.suppress(ssl.SSLError, OSError):
                assert secured.recv(1) == b""


def test_a_front_refuses_gssapi_and_goes_on(fronts: Fronts) -> None:
    port = fronts.open(lambda: None)
    with socket.create_connection(("127.0.0.1", port)) as opened:
        opened.sendall(GSS_REQUEST)
        assert opened.recv(1) == b"N"
        opened.sendall(SSL_REQUEST)
        assert opened.recv(1) == b"S"


def test_closing_a_front_ends_its_connections(fronts: Fronts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = fronts.open(lambda: int(server.getsockname()[1]))
        with socket.create_connection(("127.0.0.1", port)) as opened:
            opened.sendall(b"12345678")
            behind, _ = server.accept()
            assert behind.recv(8) == b"12345678"
            fronts.close(port)
            opened.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                assert opened.recv(1) == b""
            with contextlib.suppress(ConnectionResetError):
                assert behind.recv(1) == b""
            behind.close()
    assert not listens(port)


def test_a_port_that_is_taken_is_not_preferred(fronts: Fronts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = int(other.getsockname()[1])
        assert fronts.open(lambda: None, preferred=taken) != taken
    free = free_port()
    assert fronts.open(lambda: None, preferred=free) == free


def test_what_the_client_said_last_arrives(fronts: Fronts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = fronts.open(lambda: int(server.getsockname()[1]))
        with socket.create_connection(("127.0.0.1", port)) as opened:
            opened.sendall(b"12345678" + b"x" * 100_000)
        behind, _ = server.accept()
        got = 0
        while chunk := behind.recv(65536):
            got += len(chunk)
        behind.close()
    assert got == 100_008


def test_the_key_is_nobody_else_s(running: Cloud) -> None:
    folder = running.state_dir / FOLDER
    assert (folder / "server.key").stat().st_mode & 0o777 == 0o600
    assert (folder / "trusted.pem").read_text().endswith((folder / "authority.pem").read_text())
