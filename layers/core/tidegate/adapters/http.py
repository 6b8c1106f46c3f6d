"""Asks a service by HTTP as a monitor does: one GET, no redirect, no proxy, no credentials, TLS verified.

Made of `http.client`: `urllib.request` would follow redirects and take proxies from the environment.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from tidegate.domain.errors import TransientError
from tidegate.ports import Answer

BODY_BYTES: Final = 65_536
_HEADERS: Final = {"User-Agent": "tidegate-smoke", "Accept": "*/*", "Connection": "close"}
# What RFC 3986 lets stand in a path and a query; all else is sent as the percent-encoded bytes of its UTF-8.
_AS_IT_IS: Final = "%/?:@!$&'()*+,;=~-._[]"


class HttpWeb:
    """`get` and `wait` of `ports.Web`."""

    def get(self, url: str, timeout: float) -> Answer:
        attempt = _Attempt(url, timeout)
        attempt.start()
        attempt.join(timeout)
        return attempt.result()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


class _Attempt(threading.Thread):
    """One request, in a thread of its own: a socket's time-out is for each read, so that a server which sends a byte
    now and then would hold us for ever, and the look-up of a name has none at all."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._ended: Answer | Exception | None = None

    def run(self) -> None:
        try:
            self._ended = self._ask()
        except Exception as error:  # noqa: BLE001 -- it is raised where the answer is waited for
            self._ended = error

    def result(self) -> Answer:
        """Once it was given its time. Raises TransientError where there is no answer of HTTP."""
        match self._ended:
            case Answer() as answer:
                return answer
            case None:
                self._hang_up()
                raise TransientError(self._late)
            case error:
                raise TransientError(self._said(error)) from error

    def _ask(self) -> Answer:
        began = time.monotonic()
        parts = urlsplit(self._url)
        connection = _connection(parts, self._timeout)
        try:
            connection.connect()
            # The connection forgets its socket when the response takes it over.
            self._socket = connection.sock
            connection.request("GET", _target(parts), headers=_HEADERS)
            response = connection.getresponse()
            body = response.read(BODY_BYTES)
        finally:
            connection.close()
        return Answer(response.status, body, time.monotonic() - began)

    def _hang_up(self) -> None:
        """Ends the thread, if it reads or writes; one that connects ends with its own time-out."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def _late(self) -> str:
        return f"no answer within {round(self._timeout, 1):g} s"

    def _said(self, error: Exception) -> str:
        """Never the error's own text where the server has a part in it: that is its body, or half a header."""
        match error:
            case TimeoutError():
                return self._late
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {error.verify_message}"
            case ssl.SSLError():
                return f"TLS failed: {error.reason or 'no reason given'}"
            case socket.gaierror():
                return "its name cannot be resolved"
            case ConnectionRefusedError():
                return "connection refused"
            case ConnectionError():
                return "the connection was closed before an answer was complete"
            case IncompleteRead():
                return "the answer broke off"
            case HTTPException():
                return "what it answered is not HTTP"
            case OSError():
                return error.strerror or "the network failed"
            case _:
                return f"the address cannot be asked: {type(error).__name__}"


def _connection(parts: SplitResult, timeout: float) -> HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return HTTPSConnection(host, parts.port, timeout=timeout, context=ssl.create_default_context())
    return HTTPConnection(host, parts.port, timeout=timeout)


def _target(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe=_AS_IT_IS)
    return f"{path}?{quote(parts.query, safe=_AS_IT_IS)}" if parts.query else path
