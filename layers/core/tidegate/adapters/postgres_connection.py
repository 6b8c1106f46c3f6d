"""A connection to PostgreSQL by pg8000 (pure Python: the layer is one for every architecture): the server proves who it
is, and an error tells no host, name or password. A server's own words are not passed on before the session stands.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from tidegate.adapters.database_network import (
    ANSWER_SECONDS,
    OTHER_NAME,
    RDS_AUTHORITIES,
    NotReadyError,
    connected,
    reason_of,
)
from tidegate.domain.credentials import Credential
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.domain.sql_migration import VERIFY_FULL
from tidegate.ports import SqlError, WrongPasswordError

if TYPE_CHECKING:
    from pg8000.native import Connection

PAUSE_SECONDS: Final = 2.0

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL, "Message Formats": SSLRequest
# SQLSTATEs (PostgreSQL, appendix A) of a server that is not ready: starting or stopping, out of connections or of
# memory, the connection failed.
_NOT_READY = ("57P", "53", "08")
_WRONG_CREDENTIAL = frozenset({"28P01", "28000"})


class Connecting:
    """`part` is the manifest's that an error's field begins with. `wait` and `now` are of the tests."""

    def __init__(
        self,
        part: str,
        wait: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._part = part
        self._wait = wait
        self.now = now

    def open(self, credential: Credential, tls: str, application: str, until: float) -> PostgresSession:
        """A server that does not answer, or says that it is starting, is asked again until then (`now`). Raises
        WrongPasswordError, TransientError when it never answered, and OutsideError for one that does not prove who it
        is, or refuses for another reason."""
        while True:
            try:
                return PostgresSession(_connection(credential, tls, application, self._part))
            except NotReadyError as error:
                if self.now() + PAUSE_SECONDS > until:
                    raise TransientError(f"the database cannot be reached: {error}") from None
                self._wait(PAUSE_SECONDS)


class PostgresSession:
    """`Session` of the ports."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, sql: str) -> list[list[Any]]:
        return self._answer(lambda: self._connection.run(sql))

    def query(self, sql: str, **values: Any) -> list[list[Any]]:
        return self._answer(lambda: self._connection.run(sql, **values))

    def warnings(self) -> list[str]:
        """SQLSTATEs of what the server has remarked since this was last asked."""
        notices = self._connection.notices
        said = [notice.get(b"C", b"").decode("ascii", "replace") for notice in notices]
        notices.clear()
        return said

    def close(self) -> None:
        from pg8000.exceptions import InterfaceError  # noqa: PLC0415 - see _connection

        with suppress(InterfaceError, OSError):
            self._connection.close()

    def _answer(self, ask: Callable[[], Any]) -> list[list[Any]]:
        from pg8000.exceptions import DatabaseError, InterfaceError  # noqa: PLC0415 - see _connection

        try:
            return ask() or []
        except DatabaseError as error:
            said = _said(error)
            raise SqlError(said.get("C", ""), said.get("M", "")) from None
        # A broken socket is either, and a file object over a socket that once timed out is a ValueError from then on.
        except (InterfaceError, OSError, ValueError, struct.error):
            raise TransientError("the connection to the database was lost") from None


def _connection(credential: Credential, tls: str, application: str, part: str) -> Connection:
    # A fifth of the function's cold start, and most functions of the layer never connect.
    from pg8000.exceptions import DatabaseError, InterfaceError  # noqa: PLC0415
    from pg8000.native import Connection  # noqa: PLC0415
    from scramp import ScramException  # noqa: PLC0415

    context = _context(credential.ca, part) if tls == VERIFY_FULL else None
    opened = connected(credential)
    try:
        if context is not None:
            opened = _secured(opened, context, credential.host, part)
        connection = Connection(
            credential.username,
            database=credential.database,
            password=credential.password,
            sock=opened,
            # pg8000 would take a server without TLS, or one that proves nothing: TLS stands already, or is not wanted.
            ssl_context=False,
            application_name=application,
            startup_params={"client_encoding": "UTF8"},
        )
        opened.settimeout(ANSWER_SECONDS)
    except DatabaseError as error:
        opened.close()
        raise _refused(_said(error).get("C", ""), credential, part) from None
    except ScramException:
        opened.close()
        raise _not_proved(credential, part) from None
    except (InterfaceError, OSError, ValueError, struct.error, KeyError) as error:
        opened.close()
        raise NotReadyError(_network(error)) from None
    except BaseException:
        opened.close()
        raise
    return connection


def _secured(opened: socket.socket, context: ssl.SSLContext, host: str, part: str) -> ssl.SSLSocket:
    opened.sendall(_SSL_REQUEST)
    # One byte, and no more: what somebody in between appended to it must not be read as if it came by TLS.
    answer = opened.recv(1)
    if answer == b"N":
        raise OutsideError(
            "the database offers no TLS",
            field=f"{part}.tls",
            hint="let it offer TLS, or say `tls: off` where nobody can listen on the way to it",
        )
    if answer != b"S":
        raise NotReadyError("it closed the connection")
    try:
        return context.wrap_socket(opened, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        told = "it is for another host" if error.verify_code in OTHER_NAME else error.verify_message
        raise OutsideError(
            f"the database's certificate is not trusted: {told}",
            field=f"{part}.tls",
            hint="connect by the host name that is in the certificate; the PEM of a private authority goes into the "
            "key `ca` of the secret",
        ) from None
    except ssl.SSLEOFError:
        raise NotReadyError("it closed the connection") from None
    except ssl.SSLError as error:
        raise OutsideError(
            f"TLS with the database failed: {error.reason or 'no reason given'}", field=f"{part}.tls"
        ) from None


def _context(ca: str | None, part: str) -> ssl.SSLContext:
    """As libpq's verify-full: the chain and the host name. What Python's later versions add to that (an authority key
    identifier in each certificate) is lacking in many a private authority's certificates."""
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cafile=RDS_AUTHORITIES)
    if ca is not None:
        try:
            context.load_verify_locations(cadata=ca)
        except (ssl.SSLError, ValueError):
            raise _unusable("its key ca is not a certificate in PEM", part) from None
    return context


def _refused(code: str, credential: Credential, part: str) -> Exception:
    if code in _WRONG_CREDENTIAL:
        return _not_proved(credential, part)
    if code.startswith(_NOT_READY):
        return NotReadyError(f"it is not ready ({code})")
    if code == "3D000":
        return _unusable("its key dbname names a database that does not exist", part)
    return OutsideError(f"the database refuses the connection ({code})", field=f"{part}.secret")


def _not_proved(credential: Credential, part: str) -> Exception:
    """pg8000 prepares both before it sends them, where libpq sends as it is what cannot be prepared (RFC 4013), or what
    nothing is left of: then the server has said nothing about the password."""
    from scramp import ScramException  # noqa: PLC0415 - see _connection
    from scramp.utils import saslprep  # noqa: PLC0415

    try:
        prepared = bool(saslprep(credential.username) and saslprep(credential.password))
    except ScramException:
        prepared = False
    if prepared:
        return WrongPasswordError()
    return _unusable("its user or its password has characters that SASLprep does not allow", part)


def _network(error: Exception) -> str:
    """pg8000 wraps what the network says."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return reason_of(cause, "it broke off, or what answers is no PostgreSQL")


def _said(error: Exception) -> Mapping[str, str]:
    """The fields of an ErrorResponse by their letters (PostgreSQL, "Error and Notice Message Fields")."""
    fields = error.args[0] if error.args else None
    return fields if isinstance(fields, dict) else {}


def _unusable(what: str, part: str) -> OutsideError:
    return OutsideError(f"the secret of the database cannot be used: {what}", field=f"{part}.secret")
