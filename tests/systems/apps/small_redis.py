"""As much of a Redis server as the application's cache asks for: RESP 3 on a socket, keys in a dictionary."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase


class SmallRedis(socketserver.ThreadingTCPServer):
    """`keys` is what it keeps; nothing expires."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.keys: dict[bytes, bytes] = {}

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}/0"

    def answer(self, name: bytes, *words: bytes) -> bytes:
        match name.upper():
            case b"PING":
                return b"+PONG\r\n"
            case b"GET":
                return _bulk(self.keys.get(words[0]))
            case b"SET":
                self.keys[words[0]] = words[1]
                return b"+OK\r\n"
            case b"DEL":
                return b":%d\r\n" % (self.keys.pop(words[0], None) is not None)
            case b"HELLO":
                return b"%1\r\n" + _bulk(b"proto") + b":3\r\n"
            case _:
                return b"+OK\r\n"


@contextmanager
def running() -> Iterator[SmallRedis]:
    with SmallRedis() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, SmallRedis)
        while words := _command(self.rfile):
            self.wfile.write(self.server.answer(*words))


def _command(stream: BufferedIOBase) -> list[bytes]:
    """`*<count>` and that many `$<length>` texts; empty at the end."""
    first = stream.readline()
    words = []
    for _ in range(int(first[1:]) if first else 0):
        size = int(stream.readline()[1:])
        words.append(stream.read(size))
        stream.readline()
    return words


def _bulk(value: bytes | None) -> bytes:
    return b"_\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)
