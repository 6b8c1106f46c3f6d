"""The server's side of MySQL's protocol, as far as a login and plain statements go: a real MySQL is not to be had here.

What it answers is written down by hand after MySQL's manual ("Client/Server Protocol" and the statements' pages); it
keeps what a client sent before it was let in (`heard`) and every statement (`statements`). Each connection has a thread
of its own.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256

OK = "OK"
SALT = b"12345678901234567890"
NATIVE, SHA2, CLEAR = "mysql_native_password", "caching_sha2_password", "mysql_clear_password"
# LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH, its data with a length
_CAPABILITIES = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x80000 | 0x200000
_SSL = 0x800
AUTOCOMMIT, NO_BACKSLASH_ESCAPES = 0x2, 0x200


@dataclass(frozen=True)
class Refusal:
    code: int
    message: str = "a message of the tests"
    state: str = "HY000"


@dataclass(frozen=True)
class FileWanted:
    """The server's answer to a statement: it asks for a file of the client's (LOCAL INFILE)."""

    path: str


Rows = Sequence[Sequence[object]]
Answer = Rows | Refusal | FileWanted | str


@dataclass
class MysqlServer:
    """`passwords` are those that open each user; `cached` is false where caching_sha2_password wants the password
    itself. `greeting` takes the place of the first packet, `verdict` that of the last one of a login, `switch` is the
    plugin that the client is sent to. `answer` is asked for every statement but those that a session begins with."""

    answer: Callable[[str], Answer] = lambda statement: OK
    passwords: dict[str, list[str]] = field(default_factory=dict)
    plugin: str = SHA2
    cached: bool = True
    switch: str = ""
    greeting: Refusal | None = None
    verdict: Refusal | None = None
    status: int = AUTOCOMMIT
    tls: ssl.SSLContext | None = None
    host: str = "%"
    version: str = "8.0.36"
    statements: list[str] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    port: int = 0

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, EOFError, ssl.SSLError):
            _Conversation(self, connection).run()
        connection.close()


@contextmanager
def running(server: MysqlServer) -> Iterator[MysqlServer]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.port = listening.getsockname()[1]

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=server._serve, args=[connection], daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server
        # Closing alone wakes nobody who waits in accept.
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


class _Conversation:
    def __init__(self, server: MysqlServer, connection: socket.socket) -> None:
        self._server = server
        self._connection = connection
        self._sequence = 0

    def run(self) -> None:
        server = self._server
        if server.greeting is not None:
            self._refuse(server.greeting)
            return
        capabilities = _CAPABILITIES | (_SSL if server.tls else 0)
        self._send(
            b"\x0a" + server.version.encode() + b"\0" + struct.pack("<I", 7) + SALT[:8] + b"\0"
            + struct.pack("<HBHHB", capabilities & 0xFFFF, 45, server.status, capabilities >> 16, 21)
            + bytes(10) + SALT[8:] + b"\0" + server.plugin.encode() + b"\0"
        )  # fmt: skip
        hello = self._receive()
        if server.tls is not None and len(hello) == 32:
            self._connection = server.tls.wrap_socket(self._connection, server_side=True)
            hello = self._receive()
        server.heard.append(hello)
        user, _, rest = hello[32:].partition(b"\0")
        if not self._let_in(user.decode(), rest[1 : 1 + rest[0]]):
            return
        self._user = user.decode()
        while True:
            self._sequence = 0
            packet = self._receive()
            if packet[:1] == b"\x01":
                return
            self._answer(packet[1:].decode())

    def _let_in(self, user: str, proof: bytes) -> bool:
        server = self._server
        if server.switch:
            self._send(b"\xfe" + server.switch.encode() + b"\0" + SALT + b"\0")
            proof = self._receive()
            server.heard.append(proof)
        if server.verdict is not None:
            self._refuse(server.verdict)
            return False
        plugin = server.switch or server.plugin
        found = [text.encode() for text in server.passwords.get(user, [])]
        if plugin == SHA2 and server.cached:
            right = any(_scramble(text) == proof for text in found)
            if right:
                self._send(b"\x01\x03")
        elif plugin == SHA2:
            self._send(b"\x01\x04")
            proof = self._receive()
            server.heard.append(proof)
            right = proof.removesuffix(b"\0") in found
        else:
            right = True
        if not right:
            self._refuse(
                Refusal(1045, f"Access denied for user '{user}'@'127.0.0.1' (using password: YES)", "28000")
            )
            return False
        self._ok()
        return True

    def _answer(self, statement: str) -> None:
        server = self._server
        if statement.startswith(("SET NAMES", "SET SESSION sql_mode")):
            self._ok()
            return
        server.statements.append(statement)
        answer: Answer
        if statement.startswith("SELECT CURRENT_USER()"):
            answer = [[f"{self._user}@{server.host}", f"{self._user}@10.9.8.7", server.version]]
            server.statements.pop()
        else:
            answer = server.answer(statement)
        match answer:
            case Refusal():
                self._refuse(answer)
            case FileWanted():
                self._send(b"\xfb" + answer.path.encode())
                server.heard.append(self._receive())
                raise EOFError
            case str():
                self._ok()
            case _:
                self._rows(answer)

    def _rows(self, rows: Rows) -> None:
        width = len(rows[0]) if rows else 1
        end = b"\xfe" + struct.pack("<HH", 0, self._server.status)
        self._send(bytes([width]))
        for index in range(width):
            number = bool(rows) and isinstance(rows[0][index], int)
            self._send(
                b"".join(_text(part) for part in ("def", "", "", "", f"c{index}", ""))
                + b"\x0c" + struct.pack("<HIBHB", 63 if number else 45, 1024, 0x08 if number else 0xFD, 0, 0) + b"\0\0"
            )  # fmt: skip
        self._send(end)
        for row in rows:
            self._send(b"".join(b"\xfb" if value is None else _text(str(value)) for value in row))
        self._send(end)

    def _ok(self) -> None:
        self._send(b"\0\0\0" + struct.pack("<HH", self._server.status, 0))

    def _refuse(self, refusal: Refusal) -> None:
        self._send(
            b"\xff"
            + struct.pack("<H", refusal.code)
            + b"#"
            + refusal.state.encode()
            + refusal.message.encode()
        )

    def _send(self, payload: bytes) -> None:
        self._connection.sendall(struct.pack("<I", len(payload))[:3] + bytes([self._sequence]) + payload)
        self._sequence = (self._sequence + 1) % 256

    def _receive(self) -> bytes:
        header = self._exactly(4)
        self._sequence = (header[3] + 1) % 256
        return self._exactly(int.from_bytes(header[:3], "little"))

    def _exactly(self, size: int) -> bytes:
        read = b""
        while len(read) < size:
            more = self._connection.recv(size - len(read))
            if not more:
                raise EOFError
            read += more
        return read


def _text(value: str) -> bytes:
    encoded = value.encode()
    size = bytes([len(encoded)]) if len(encoded) < 251 else b"\xfc" + struct.pack("<H", len(encoded))
    return size + encoded


def _scramble(password: bytes) -> bytes:
    """MySQL, "Caching_sha2_password information": XOR(SHA256(password), SHA256(SHA256(SHA256(password)), nonce))."""
    once = sha256(password).digest()
    mask = sha256(sha256(once).digest() + SALT).digest()
    return bytes(one ^ other for one, other in zip(once, mask, strict=True))
