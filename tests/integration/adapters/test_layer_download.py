"""Downloading a layer from a signed address: what is followed, what is sent, what is said when it fails."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tidegate.adapters.layer_download import REDIRECTS, downloaded
from tidegate.domain.errors import OutsideError, TidegateError, TransientError

from tests.integration.adapters.test_http import certificate, serving

SIGNATURE = "X-Amz-Signature=abc123"
BODY = bytes(range(256)) * 1000


class Store(BaseHTTPRequestHandler):
    """`/<status>` answers it; `/again/<n>` redirects n times, `/away` elsewhere."""

    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        first, _, rest = self.path.partition("?")[0].strip("/").partition("/")
        match first:
            case "again":
                left = int(rest)
                self.answer(307, f"/again/{left - 1}?{SIGNATURE}" if left else f"/200?{SIGNATURE}")
            case "away":
                self.answer(302, "http://example.com/layer")
            case "302":
                self.answer(302)
            case status:
                self.answer(int(status))

    def answer(self, status: int, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def store() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Its address, and the requests it has seen."""
    seen: list[tuple[str, dict[str, str]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Seeing", (Store,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def raw(said: bytes) -> Iterator[str]:
    """The address of a server that says this to the first that connects, and closes."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def accept() -> None:
            with suppress(OSError):
                peer, _ = listener.accept()
                with closing(peer):
                    peer.recv(65_536)
                    peer.sendall(said)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/?{SIGNATURE}"
        thread.join(5)


def got(address: str) -> bytes:
    with downloaded(address, "downloading it") as body:
        return b"".join(iter(lambda: body.read(10_000), b""))


def failing(address: str) -> TidegateError:
    with pytest.raises(TidegateError) as raised:
        got(address)
    assert "abc123" not in f"{raised.value.message} {raised.value.hint}"
    assert raised.value.message.startswith("downloading it: ")
    return raised.value


def test_the_address_is_asked_as_it_is_and_nothing_else_is_sent(
    store: tuple[str, list[tuple[str, dict[str, str]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    address, seen = store
    assert got(f"{address}/200?{SIGNATURE}&b=%2F") == BODY
    ((path, headers),) = seen
    assert path == f"/200?{SIGNATURE}&b=%2F"
    assert headers.keys() == {"host", "user-agent", "accept-encoding"}


def test_redirects_are_followed_but_not_for_ever(
    store: tuple[str, list[tuple[str, dict[str, str]]]],
) -> None:
    address, _ = store
    assert got(f"{address}/again/{REDIRECTS - 1}") == BODY
    assert "redirected more than" in failing(f"{address}/again/{REDIRECTS}").message


@pytest.mark.parametrize(
    "address",
    [
        f"http://example.com/?{SIGNATURE}",
        f"ftp://127.0.0.1/?{SIGNATURE}",
        f"http://127.0.0.1.example.com/?{SIGNATURE}",
        f"https:///layer?{SIGNATURE}",
        f"https://127.0.0.1:port/?{SIGNATURE}",
        f"http://[127/?{SIGNATURE}",
    ],
)
def test_another_address_than_https_is_not_asked(address: str) -> None:
    assert isinstance(failing(address), OutsideError)


def test_nor_is_one_that_a_redirect_leads_to(store: tuple[str, list[tuple[str, dict[str, str]]]]) -> None:
    assert "not https" in failing(f"{store[0]}/away").message


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_store_that_is_busy_may_be_asked_again(
    store: tuple[str, list[tuple[str, dict[str, str]]]], status: int
) -> None:
    assert isinstance(failing(f"{store[0]}/{status}?{SIGNATURE}"), TransientError)


@pytest.mark.parametrize("status", [204, 302, 400, 403, 404])
def test_a_store_that_refuses_may_not(
    store: tuple[str, list[tuple[str, dict[str, str]]]], status: int
) -> None:
    error = failing(f"{store[0]}/{status}?{SIGNATURE}")
    assert isinstance(error, OutsideError)
    assert (error.hint is not None) == (status == 403)


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]
)
def test_a_connection_that_breaks_may_be_tried_again(said: bytes) -> None:
    with raw(said) as address:
        assert isinstance(failing(address), TransientError)


def test_a_certificate_that_nobody_vouches_for_is_not_tried_again(tmp_path: Path) -> None:
    """Guards the order of `_failed`: such an error is an OSError and a ValueError as well."""
    with serving(certificate(tmp_path, "127.0.0.1")) as (address, seen):
        error = failing(f"{address}/200?{SIGNATURE}")
    assert isinstance(error, OutsideError)
    assert "is not trusted" in error.message
    assert seen == []


def test_one_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(certificate(tmp_path, "127.0.0.1")) as (address, _):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert got(f"{address}/200").startswith(b"said ")
