"""What a service can answer to a GET, and all that is no answer, from real servers on loopback."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tidegate.adapters.http import BODY_BYTES, HttpWeb
from tidegate.domain.errors import TransientError

from tests.support.waiting import wait_until

SECRET = "canary-7f3a"  # in the query and in bodies: no reason may have it
WEB = HttpWeb()


class Service(BaseHTTPRequestHandler):
    """`seen` are the requests: target and headers."""

    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        path = self.path.partition("?")[0]
        status = int(path[1:4]) if path[1:4].isdigit() else 200
        body = b"x" * 2 * BODY_BYTES if path == "/large" else f"said {SECRET}".encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        if path != "/unsized":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return None


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """The server's address without a path, and the requests it has seen."""
    seen: list[tuple[str, dict[str, str]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Recording", (Service,), {"seen": seen}))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that says whatever it likes to each that connects, and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with closing(peer), suppress(OSError):
                peer.recv(65_536)
                talk(peer)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/?token={SECRET}"
    finally:
        # Closing alone does not wake the thread that accepts.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def refused(url: str, timeout: float = 5) -> str:
    with pytest.raises(TransientError) as raised:
        WEB.get(url, timeout)
    assert SECRET not in raised.value.message
    return raised.value.message


@pytest.mark.parametrize("status", [200, 204, 404, 429, 500, 503])
def test_any_status_is_an_answer(status: int) -> None:
    with serving() as (address, _):
        answer = WEB.get(f"{address}/{status}", 5)
    assert answer.status == status
    assert 0 < answer.seconds < 5


def test_a_redirect_is_an_answer_like_any_other() -> None:
    with serving() as (address, seen):
        assert WEB.get(f"{address}/302", 5).status == 302
    assert [path for path, _ in seen] == ["/302"]


def test_the_request_is_a_plain_get_of_the_address() -> None:
    with serving() as (address, seen):
        WEB.get(f"{address}/a/b%20c/ü?token={SECRET}&x=1,2#part", 5)
        WEB.get(address, 5)
    (path, headers), (root, _) = seen
    assert path == f"/a/b%20c/%C3%BC?token={SECRET}&x=1,2"
    assert root == "/"
    assert headers["user-agent"] == "tidegate-smoke"
    assert headers["host"] == address.removeprefix("http://")
    assert not {"authorization", "cookie", "proxy-authorization"} & set(headers)


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving() as (address, _):
        assert WEB.get(f"{address}/200", 5).status == 200


@pytest.mark.parametrize("path", ["/200", "/unsized"])
def test_the_body_is_given(path: str) -> None:
    with serving() as (address, _):
        assert WEB.get(f"{address}{path}", 5).body == f"said {SECRET}".encode()


def test_no_more_of_a_body_than_64_kib_is_read() -> None:
    with serving() as (address, _):
        assert WEB.get(f"{address}/large", 5).body == b"x" * 65_536


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert refused(f"http://127.0.0.1:{port}/?token={SECRET}") == "connection refused"


def test_a_name_that_nobody_has() -> None:
    """RFC 6761: no name below `invalid` exists."""
    assert refused(f"http://tidegate.invalid/?token={SECRET}") == "its name cannot be resolved"


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_name_that_is_none(host: str) -> None:
    assert "the address cannot be asked" in refused(f"http://{host}/?token={SECRET}")


@pytest.mark.parametrize(
    "said",
    [b"", f"SSH-2.0-{SECRET}\r\n".encode(), f"{SECRET}".encode(), f"HTTP/1.1 {SECRET}\r\n\r\n".encode()],
)
def test_what_answers_is_not_http(said: bytes) -> None:
    with raw(lambda peer: peer.sendall(said)) as url:
        assert refused(url) in (
            "what it answered is not HTTP",
            "the connection was closed before an answer was complete",
        )


def test_headers_without_end_are_not_http() -> None:
    with raw(lambda peer: peer.sendall(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n")) as url:
        assert refused(url) == "what it answered is not HTTP"


def test_a_connection_that_is_reset() -> None:
    def reset(peer: socket.socket) -> None:
        # SO_LINGER with 0 s: close() sends RST.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    with raw(reset) as url:
        assert refused(url) == "the connection was closed before an answer was complete"


def test_a_body_that_breaks_off() -> None:
    chunk = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{SECRET}".encode()
    with raw(lambda peer: peer.sendall(chunk)) as url:
        assert refused(url) == "the answer broke off"


def slowly(first: bytes, byte: bytes) -> Callable[[socket.socket], None]:
    """Sends a byte now and then until the other side has had enough: no read ever waits long."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(first)
        peer.settimeout(0.02)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                if peer.recv(1) == b"":
                    return
            peer.sendall(byte)

    return talk


SLOW = {
    "nothing": lambda peer: peer.recv(1),
    "status": slowly(b"", b"H"),
    "headers": slowly(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
    "body": slowly(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
}


@pytest.mark.parametrize("what", SLOW)
def test_an_answer_that_comes_by_the_byte_is_none(what: str) -> None:
    """Guards `attempt.join(timeout)`: a time-out of the socket alone would never come."""
    with raw(SLOW[what]) as url:
        began = time.monotonic()
        assert refused(url, 0.3) in ("no answer within 0.3 s", "what it answered is not HTTP")
        assert time.monotonic() - began < 3


def test_a_server_that_was_given_up_is_hung_up_on() -> None:
    """Guards `_hang_up`: ninety attempts of a quarter of an hour must not leave ninety connections."""
    ended = threading.Event()
    dribble = SLOW["body"]

    def talk(peer: socket.socket) -> None:
        with suppress(OSError):
            dribble(peer)
        ended.set()

    with raw(talk) as url:
        refused(url, 0.3)
        wait_until(ended.is_set, what="the connection to be closed", seconds=5)


def certificate(folder: Path, name: str, *, days: int = 1) -> ssl.SSLContext:
    """A server's context with a certificate that signs itself, kept in `cert.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    hour = dt.timedelta(hours=1)
    alternative: x509.GeneralName = (
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 48 * hour)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_certificate_that_is_trusted_and_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(certificate(tmp_path, "127.0.0.1")) as (address, _):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert WEB.get(f"{address}/200", 5).status == 200


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    with serving(certificate(tmp_path, "127.0.0.1")) as (address, seen):
        assert "its certificate is not trusted: self" in refused(f"{address}/?token={SECRET}")
    assert seen == []


@pytest.mark.parametrize(
    ("name", "days", "said"), [("other.example", 1, "IP address mismatch"), ("127.0.0.1", -1, "expired")]
)
def test_a_certificate_that_does_not_fit(
    name: str, days: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(certificate(tmp_path, name, days=days)) as (address, seen):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert said in refused(f"{address}/?token={SECRET}")
    assert seen == []


def test_a_server_that_speaks_no_tls() -> None:
    with raw(lambda peer: peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        assert refused(url.replace("http:", "https:")).startswith("TLS failed: ")


def test_time_passes_while_it_waits() -> None:
    began = time.monotonic()
    WEB.wait(0.01)
    assert time.monotonic() - began >= 0.01
