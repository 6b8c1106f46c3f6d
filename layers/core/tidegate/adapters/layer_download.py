"""Downloads a blob from the address that GetDownloadUrlForLayer gives: one that is signed, so it needs no credentials
and is never shown.

Only over TLS, verified; but for an address on loopback, where the embedded cloud's registry is.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from tidegate.adapters.image_layers import Readable
from tidegate.domain.errors import OutsideError, TidegateError, TransientError

SECONDS: Final = 10  # for each read
REDIRECTS: Final = 4
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class _Body:
    """What the network does wrong while a body is read, in our own words."""

    def __init__(self, response: HTTPResponse, what: str) -> None:
        self._response = response
        self._what = what

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._response.read(None if size < 0 else size)
        except (OSError, HTTPException) as error:
            raise _failed(self._what, error) from error


@contextmanager
def downloaded(address: str, what: str) -> Iterator[Readable]:
    """The body as it comes; `what` names it in errors. Raises TransientError where asking again may help, and
    OutsideError where the address is not https, or the answer is another than the blob."""
    for _ in range(REDIRECTS + 1):
        connection, response = _asked(address, what)
        try:
            if response.status == 200:
                yield _Body(response, what)
                return
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                raise _answered(what, response.status)
            address = urljoin(address, location)
        finally:
            connection.close()
    raise OutsideError(f"{what}: redirected more than {REDIRECTS} times")


def _asked(address: str, what: str) -> tuple[HTTPConnection, HTTPResponse]:
    connection: HTTPConnection | None = None
    try:
        parts = urlsplit(address)
        connection = _connection(parts, what)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("GET", target, headers={"User-Agent": "tidegate", "Accept-Encoding": "identity"})
        return connection, connection.getresponse()
    except (OSError, HTTPException, ValueError) as error:
        if connection is not None:
            connection.close()
        raise _failed(what, error) from error


def _connection(parts: SplitResult, what: str) -> HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https" and host:
        return HTTPSConnection(host, parts.port, timeout=SECONDS, context=ssl.create_default_context())
    if parts.scheme == "http" and host in _LOOPBACK:
        return HTTPConnection(host, parts.port, timeout=SECONDS)
    raise OutsideError(f"{what}: the registry names an address that is not https")


def _failed(what: str, error: Exception) -> TidegateError:
    """By the kind alone: the texts of these may quote the address, which is as good as a credential."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return OutsideError(f"{what}: the certificate of the registry's store is not trusted")
    if isinstance(error, ValueError):
        return OutsideError(f"{what}: the registry names an address that cannot be asked")
    return TransientError(f"{what}: {type(error).__name__}")


def _answered(what: str, status: int) -> TidegateError:
    if status == 429 or status >= 500:
        return TransientError(f"{what}: the registry's store answered {status}")
    hint = (
        "a policy of the network or of the organization may keep it from ECR's layers"
        if status == 403
        else None
    )
    return OutsideError(f"{what}: the registry's store answered {status}", hint=hint)
