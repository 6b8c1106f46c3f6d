"""TLS before a PostgreSQL that has none, by the protocol's own request for it (PostgreSQL, "Message Flow": SSL Session
Encryption), and then bytes both ways. Whoever does not ask for TLS passes through without.

A front has its port before its server is there, and keeps it while the server is started again.
"""

import asyncio
import contextlib
import shutil
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from tidegate_local import engine
from tidegate_local.databases.authority import TRUSTED, Authority
from tidegate_local.settings import Settings

T = TypeVar("T")
Backend = Callable[[], int | None]
"""The port on loopback where the server listens now; None while there is none."""

LOOPBACK = "127.0.0.1"
FOLDER = "tls"
CALL_SECONDS = 10.0
HANDSHAKE_SECONDS = 30.0
_CHUNK = 65536
_STARTUP = struct.Struct("!ii")
# PostgreSQL, "Message Formats": SSLRequest and GSSENCRequest, each of eight bytes.
_SSL_REQUEST = _STARTUP.pack(8, 80877103)
_GSS_REQUEST = _STARTUP.pack(8, 80877104)


def trusted_in(state_dir: Path) -> Path:
    """The file with the authorities that this machine trusts, and that of the databases."""
    return state_dir / FOLDER / TRUSTED


class Fronts:
    """One thread for all of them. They listen on every one of `hosts`; the last is reached from this machine and,
    where tasks are containers, from those too. The certificate has them all, and `localhost`."""

    def __init__(self, settings: Settings) -> None:
        self.bridge = engine.bridge(settings.docker_host) if settings.docker else None
        self.hosts = [LOOPBACK, *([self.bridge.address] if self.bridge else [])]
        self._folder = settings.state_dir / FOLDER
        shutil.rmtree(self._folder, ignore_errors=True)  # of a cloud that was killed
        self.authority = Authority(self._folder, [*self.hosts, "localhost"])
        self._context = self.authority.context()
        self._open: dict[int, tuple[asyncio.Server, set[asyncio.Task[None]]]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tidegate-fronts", daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        """Where they are reached from everywhere."""
        return self.hosts[-1]

    def open(self, backend: Backend, *, preferred: int | None = None) -> int:
        """The port of a new one: `preferred`, unless somebody else has it. Raises `OSError`."""
        if preferred is not None:
            with contextlib.suppress(OSError):
                return self._call(self._listen(preferred, backend))
        return self._call(self._listen(free_port(self.hosts), backend))

    def close(self, port: int) -> None:
        """End it and its connections. Nothing happens if there is none."""
        self._call(self._close(port))

    def stop(self) -> None:
        """End them all, for good."""
        for port in [*self._open]:
            self.close(port)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(CALL_SECONDS)

    async def _listen(self, port: int, backend: Backend) -> int:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_served(reader, writer, self._context, backend))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, self.hosts, port)
        self._open[port] = server, tasks
        return port

    async def _close(self, port: int) -> None:
        if port not in self._open:
            return
        server, tasks = self._open.pop(port)
        server.close()
        ending = [*tasks]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


def free_port(hosts: list[str]) -> int:
    """A port that nobody has on any of them. Raises `OSError` where there is none."""
    for _ in range(100):
        with contextlib.ExitStack() as kept:
            first = kept.enter_context(socket.socket())
            first.bind((hosts[0], 0))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError):
                for host in hosts[1:]:
                    kept.enter_context(socket.socket()).bind((host, port))
                return port
    raise OSError("no port is free")


async def _served(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, backend: Backend
) -> None:
    # Whoever goes away in between is nobody's concern.
    with contextlib.suppress(OSError, EOFError, ssl.SSLError, asyncio.TimeoutError):
        try:
            begun = await _begun(reader, writer, context)
            port = backend()
            if port is not None:
                await _joined(begun, reader, writer, port)
        finally:
            writer.transport.abort()


async def _begun(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext
) -> bytes:
    """The first bytes that are the server's, after TLS where the client asks for it."""
    while True:
        first = await reader.readexactly(_STARTUP.size)
        if first == _SSL_REQUEST and writer.get_extra_info("sslcontext") is None:
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context, ssl_handshake_timeout=HANDSHAKE_SECONDS)
        elif first == _GSS_REQUEST:
            writer.write(b"N")
            await writer.drain()
        else:
            return first


async def _joined(
    begun: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
) -> None:
    """Until either end has gone; what that one said last still arrives."""
    from_server, to_server = await asyncio.open_connection(LOOPBACK, port)
    to_server.write(begun)
    ways = [
        asyncio.create_task(_pass_on(reader, to_server)),
        asyncio.create_task(_pass_on(from_server, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        to_server.close()
    with contextlib.suppress(asyncio.TimeoutError):
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), CALL_SECONDS)


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()
