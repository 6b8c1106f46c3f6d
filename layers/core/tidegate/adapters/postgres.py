"""PostgreSQL by pg8000 (pure Python: the layer is one for every architecture), with the credential of a secret.

The secret has the shape that Secrets Manager's own rotation uses (its user guide, "JSON structure of secrets"):
`{"engine", "host", "port", "username", "password", "dbname"}`, and optionally `ca`, the PEM of a private authority.
No host, name or password is in an error: a server's own words are not passed on before the session stands.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tidegate.adapters.errors import asking
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.domain.sql_migration import OTHER_ENGINE, VERIFY_FULL
from tidegate.ports import SqlError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from pg8000.native import Connection

TRY_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 2.0
# An invocation of Lambda ends after 900 s: a server that says nothing for this long is not going to be heard.
ANSWER_SECONDS: Final = 870.0
RDS_AUTHORITIES: Final = Path(__file__).with_name("rds-ca-bundle.pem")

_ENGINES = frozenset({"postgres", "postgresql", "aurora-postgresql"})
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL, "Message Formats": SSLRequest
# SQLSTATEs (PostgreSQL, appendix A) of a server that is not ready: starting or stopping, out of connections or of
# memory, the connection failed.
_NOT_READY = ("57P", "53", "08")
_WRONG_CREDENTIAL = frozenset({"28P01", "28000"})
# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH, whose text shows the address.
_OTHER_NAME = frozenset({62, 64})
# Beside SO_KEEPALIVE, in seconds: a NAT gateway forgets a silent connection after 350.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class _NotReadyError(Exception):
    """The text says what was seen, without an address."""


class _WrongCredentialError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Credential:
    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    ca: str | None = None


class PostgresDatabases:
    """`secrets` gives the client of a region, None being the function's own. `wait` and `now` are of the tests."""

    def __init__(
        self,
        secrets: Callable[[str | None], SecretsManagerClient],
        wait: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets = secrets
        self._wait = wait
        self._now = now

    def connect(self, secret: str, tls: str, application: str, patience: float) -> PostgresSession:
        """OutsideError has the code `other_engine` for a database that is not PostgreSQL."""
        credential = self._credential(secret)
        until = self._now() + patience
        while True:
            try:
                return PostgresSession(_connection(credential, tls, application))
            except _WrongCredentialError:
                # It may have been rotated since it was read.
                newer = self._credential(secret)
                if newer == credential:
                    raise OutsideError(
                        "the database refuses the user, or the way it signs in",
                        field="migrations.secret",
                        hint="try the secret's credential by hand; a server may also insist on TLS, or on an address",
                    ) from None
                credential = newer
            except _NotReadyError as error:
                if self._now() + PAUSE_SECONDS > until:
                    raise TransientError(f"the database cannot be reached: {error}") from None
                self._wait(PAUSE_SECONDS)

    def _credential(self, secret: str) -> _Credential:
        region = secret.split(":")[3] if secret.startswith("arn:") and secret.count(":") > 4 else None
        with asking("secretsmanager:GetSecretValue"):
            answer = self._secrets(region).get_secret_value(SecretId=secret)
        return _read(answer.get("SecretString", ""))


class PostgresSession:
    """`Session` of the ports."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, sql: str) -> list[list[Any]]:
        return self._answer(lambda: self._connection.run(sql))

    def query(self, sql: str, **values: Any) -> list[list[Any]]:
        return self._answer(lambda: self._connection.run(sql, **values))

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


def _connection(credential: _Credential, tls: str, application: str) -> Connection:
    # A fifth of the function's cold start, and most functions of the layer never connect.
    from pg8000.exceptions import DatabaseError, InterfaceError  # noqa: PLC0415
    from pg8000.native import Connection  # noqa: PLC0415
    from scramp import ScramException  # noqa: PLC0415

    context = _context(credential.ca) if tls == VERIFY_FULL else None
    opened = _socket(credential)
    try:
        if context is not None:
            opened = _secured(opened, context, credential.host)
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
        raise _refused(_said(error).get("C", "")) from None
    except ScramException:
        opened.close()
        raise _WrongCredentialError from None
    except (InterfaceError, OSError, ValueError, struct.error, KeyError) as error:
        opened.close()
        raise _NotReadyError(_network(error)) from None
    except BaseException:
        opened.close()
        raise
    return connection


def _socket(credential: _Credential) -> socket.socket:
    try:
        opened = socket.create_connection((credential.host, credential.port), TRY_SECONDS)
    except (OSError, UnicodeError) as error:
        raise _NotReadyError(_network(error)) from None
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if hasattr(socket, option):  # macOS names some of them otherwise
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return opened


def _secured(opened: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    opened.sendall(_SSL_REQUEST)
    # One byte, and no more: what somebody in between appended to it must not be read as if it came by TLS.
    answer = opened.recv(1)
    if answer == b"N":
        raise OutsideError(
            "the database offers no TLS",
            field="migrations.tls",
            hint="let it offer TLS, or say `tls: off` where nobody can listen on the way to it",
        )
    if answer != b"S":
        raise _NotReadyError("it closed the connection")
    try:
        return context.wrap_socket(opened, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        told = "it is for another host" if error.verify_code in _OTHER_NAME else error.verify_message
        raise OutsideError(
            f"the database's certificate is not trusted: {told}",
            field="migrations.tls",
            hint="connect by the host name that is in the certificate; the PEM of a private authority goes into the "
            "key `ca` of the secret",
        ) from None
    except ssl.SSLEOFError:
        raise _NotReadyError("it closed the connection") from None
    except ssl.SSLError as error:
        raise OutsideError(
            f"TLS with the database failed: {error.reason or 'no reason given'}", field="migrations.tls"
        ) from None


def _context(ca: str | None) -> ssl.SSLContext:
    """As libpq's verify-full: the chain and the host name. What Python's later versions add to that (an authority key
    identifier in each certificate) is lacking in many a private authority's certificates."""
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cafile=RDS_AUTHORITIES)
    if ca is not None:
        try:
            context.load_verify_locations(cadata=ca)
        except (ssl.SSLError, ValueError):
            raise _shapeless("its key ca is not a certificate in PEM") from None
    return context


def _refused(code: str) -> Exception:
    if code in _WRONG_CREDENTIAL:
        return _WrongCredentialError()
    if code.startswith(_NOT_READY):
        return _NotReadyError(f"it is not ready ({code})")
    if code == "3D000":
        return _shapeless("its key dbname names a database that does not exist")
    return OutsideError(f"the database refuses the connection ({code})", field="migrations.secret")


def _network(error: Exception) -> str:
    """Never the error's own text: pg8000 and the resolver put the address into it."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    match cause:
        case TimeoutError():
            return f"no answer within {TRY_SECONDS:g} s"
        case socket.gaierror() | UnicodeError():
            return "its name cannot be resolved"
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionError():
            return "it closed the connection"
        case OSError():
            return cause.strerror or "the network failed"
        case _:
            return "it broke off, or what answers is no PostgreSQL"


def _said(error: Exception) -> Mapping[str, str]:
    """The fields of an ErrorResponse by their letters (PostgreSQL, "Error and Notice Message Fields")."""
    fields = error.args[0] if error.args else None
    return fields if isinstance(fields, dict) else {}


def _read(text: str) -> _Credential:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _shapeless("it is not a JSON object")
    engine = content.get("engine", "postgres")
    if engine not in _ENGINES:
        raise OutsideError(
            "the secret is of a database that is not PostgreSQL",
            field="migrations.secret",
            hint="runner `sql`, and the checks of a database, are for PostgreSQL",
            code=OTHER_ENGINE,
        )
    return _Credential(
        host=_text(content, "host"),
        port=_port(content.get("port", 5432)),
        database=_text(content, "dbname"),
        username=_text(content, "username"),
        password=_text(content, "password"),
        ca=_text(content, "ca") if content.get("ca") else None,
    )


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    # A NUL would end a parameter of the start-up message, and begin another.
    if not isinstance(value, str) or not value or "\0" in value:
        raise _shapeless(f"its key {key} is missing, or no text")
    return value


def _port(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    if not isinstance(value, int) or not 1 <= value <= 65_535:
        raise _shapeless("its key port is no port")
    return value


def _shapeless(what: str) -> OutsideError:
    return OutsideError(
        f"the secret of the database cannot be used: {what}",
        field="migrations.secret",
        hint='its value has to be {"engine": "postgres", "host", "port", "username", "password", "dbname"}',
    )
