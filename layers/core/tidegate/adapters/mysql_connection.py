"""Connections to MySQL and MariaDB by PyMySQL (pure Python: the layer is one for every architecture).

Left to itself PyMySQL takes a server without TLS, or one that proves nothing, and sends the password as it is to a
server that asks for it so. None of that happens here (docs/decisions/0028-pymysql.md). No host, name or password is in
an error that comes before the session stands. Error numbers: MySQL's and MariaDB's server and client error references.
"""

from __future__ import annotations

import ssl
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tidegate.adapters.database_network import (
    ANSWER_SECONDS,
    OTHER_NAME,
    RDS_AUTHORITIES,
    TRY_SECONDS,
    NotReadyError,
    connected,
    reason_of,
)
from tidegate.domain.credentials import Credential
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.domain.sql_migration import VERIFY_FULL
from tidegate.ports import SqlError, WrongPasswordError

if TYPE_CHECKING:
    from pymysql.connections import Connection

# Access denied; the account is locked (MySQL, MariaDB) or blocked after too many of those (MariaDB, MySQL); the
# password has expired (told at the login, or at the first statement).
_WRONG_PASSWORD = frozenset({1045, 1698, 3118, 4151, 4150, 3955, 1862, 1820})
# Starting or stopping, out of connections, the connection or the statement ended by somebody.
_NOT_READY = frozenset(
    {1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1205, 1213, 1226, 1317, 1927}
)
_BLOCKED = frozenset({1129, 1130})
_NO_DATABASE = frozenset({1044, 1049})
_TLS_REQUIRED = 3159
_NO_TLS = 2026
# Messages that show nothing of a statement: they may be told of one that has a password in it.
_HARMLESS = frozenset({1044, 1133, 1142, 1227, 1290, 1396, 1819, 1820})
_SUMMED_UP = 1396
# The password itself would go to whoever asks, or the plugin needs what the layer does not have.
_REFUSED = ("mysql_clear_password", "dialog", "mysql_old_password", "client_ed25519")
# Without TLS it asks for the server's public key at once.
_RSA = "sha256_password"
_TLS_HINT = "let it offer TLS, or say `tls: off` where nobody can listen on the way to it"


class MysqlSession:
    """A connection whose statements are escaped for the mode that it has. `user` and `host` are those of the account
    that the server took the login for, `mariadb` tells which of the two it is."""

    def __init__(self, credential: Credential, tls: str) -> None:
        """Raises NotReadyError, WrongPasswordError, OutsideError."""
        self._connection = _connected(credential, tls)
        self._address = "@"
        try:
            [(account, login, version)] = self._begun("SELECT CURRENT_USER(), USER(), VERSION()")
            # Messages of the server have the address that we come from, as the host of the user.
            self._address = f"@'{str(login).rpartition('@')[2]}'"
            self.user, _, self.host = str(account).rpartition("@")
            self.mariadb = "mariadb" in str(version).lower()
            self._settle()
        except BaseException:
            self.close()
            raise

    def rows(self, sql: str, *values: object, secret: bool = False) -> list[tuple[Any, ...]]:
        """One statement with `%s` for each value. A refusal of one that is `secret` is told by its number alone, unless
        its message is known to show nothing of the statement."""
        from pymysql.err import Error  # noqa: PLC0415 - see _connected

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, values or None)
                return list(cursor.fetchall())
        except Error as error:
            code = _code(error)
            if not _of_server(code) or code in _NOT_READY:
                raise _lost() from None
            code, message = self._cause(code, str(error.args[1]))
            told = not secret or code in _HARMLESS
            raise SqlError(
                str(code), message.replace(self._address, "") if told else "it is refused"
            ) from None
        # The last is what PyMySQL makes of a server that asks for a file (LOCAL INFILE is off).
        except (OSError, ValueError, LookupError, AssertionError, struct.error, RuntimeError):
            self.close()
            raise _lost() from None

    def _cause(self, code: int, message: str) -> tuple[int, str]:
        """What MariaDB has said before it summed up for several accounts: `Operation ALTER USER failed for …`."""
        if code != _SUMMED_UP:
            return code, message
        said = self.rows("SHOW WARNINGS")
        causes = [(found, text) for level, found, text in said if level == "Error" and found != _SUMMED_UP]
        return (int(causes[0][0]), str(causes[0][1])) if causes else (code, message)

    def text(self, sql: str, *values: object) -> str:
        """The statement as it would be sent."""
        return str(self._connection.cursor().mogrify(sql, values))

    def close(self) -> None:
        from pymysql.err import Error  # noqa: PLC0415 - see _connected

        with suppress(Error, OSError):
            self._connection.close()

    def _settle(self) -> None:
        """One mode, whatever the server's default is: literals with backslashes, names in backticks. Without
        NO_AUTO_CREATE_USER a GRANT of MariaDB's would make the user that it names (MySQL 8 knows no such mode)."""
        from pymysql.constants import SERVER_STATUS  # noqa: PLC0415 - see _connected

        mode = "NO_AUTO_CREATE_USER" if self.mariadb else ""
        self._begun("SET SESSION sql_mode = %s, SESSION sql_quote_show_create = 1", mode)
        # The driver escapes by what the server says of itself, which begins with a greeting that no TLS protects.
        if self._connection.server_status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES:
            raise NotReadyError("it does not do as it is told, or what answers is no MySQL")

    def _begun(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self.rows(sql, *values)
        except TransientError:
            raise NotReadyError("it closed the connection") from None
        except SqlError as error:
            # The only statement that a user with an expired password may run is another one.
            if error.code == "1820":
                raise WrongPasswordError from None
            raise OutsideError(f"the database refuses to begin: {error.message}", field="secret") from None


def _connected(credential: Credential, tls: str) -> Connection:
    # Most functions of the layer never connect.
    from pymysql.connections import Connection  # noqa: PLC0415
    from pymysql.err import Error  # noqa: PLC0415

    context = _context(credential.ca) if tls == VERIFY_FULL else None
    opened = connected(credential)
    try:
        connection = Connection(
            host=credential.host,
            port=credential.port,
            user=credential.username,
            # A text would be encoded in Latin 1.
            password=credential.password.encode(),
            database=credential.database or None,
            charset="utf8mb4",
            autocommit=True,
            local_infile=False,
            # A context makes TLS compulsory; without `ssl_disabled` there would be TLS that proves nothing.
            ssl=context,
            ssl_disabled=context is None,
            auth_plugin_map=dict.fromkeys(_REFUSED if context else (*_REFUSED, _RSA), _Refusal),
            server_public_key=_NoKey() if context is None else None,
            read_timeout=TRY_SECONDS,
            write_timeout=TRY_SECONDS,
            defer_connect=True,
        )
        connection.connect(opened)
        connection._read_timeout = ANSWER_SECONDS
    except Error as error:
        opened.close()
        raise _refused(error, proven=context is None or context.proven) from None
    except (OSError, ValueError, LookupError, AssertionError, AttributeError, struct.error, RuntimeError):
        opened.close()
        raise NotReadyError("it broke off, or what answers is no MySQL") from None
    except BaseException:
        opened.close()
        raise
    return connection


class _Context(ssl.SSLContext):
    """As libpq's verify-full: the chain and the host name. `proven` once the server has shown who it is."""

    proven = False

    def wrap_socket(self, *arguments: Any, **more: Any) -> ssl.SSLSocket:
        try:
            opened = super().wrap_socket(*arguments, **more)
        except ssl.SSLCertVerificationError as error:
            told = "it is for another host" if error.verify_code in OTHER_NAME else error.verify_message
            raise OutsideError(
                f"the database's certificate is not trusted: {told}",
                field="tls",
                hint="connect by the host name that is in the certificate; the PEM of a private authority goes into "
                "the key `ca` of the secret",
            ) from None
        except ssl.SSLEOFError:
            raise NotReadyError("it closed the connection") from None
        except ssl.SSLError as error:
            raise OutsideError(
                f"TLS with the database failed: {error.reason or 'no reason given'}", field="tls"
            ) from None
        self.proven = True
        return opened


class _Refusal:
    """In the place of a plugin that PyMySQL would follow (its `auth_plugin_map`)."""

    def __init__(self, connection: object) -> None:
        pass

    def authenticate(self, _packet: object) -> None:
        raise OutsideError(
            "the database asks for the password in a way that is not used here",
            field="secret",
            hint="users sign in by caching_sha2_password or mysql_native_password; over TLS by sha256_password too",
        )


class _NoKey:
    """In the place of the server's public key. PyMySQL looks whether it has one when the server wants the password
    itself without TLS, and would ask for it: anybody in between could give his own."""

    def __bool__(self) -> bool:
        raise OutsideError(
            "the user signs in by caching_sha2_password, which needs TLS to hand over the password",
            field="tls",
            hint="say `tls: verify-full`; without TLS only a user of mysql_native_password can sign in",
        )


def _context(ca: str | None) -> _Context:
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    context.load_verify_locations(cafile=RDS_AUTHORITIES)
    # What Python's later versions add is lacking in many a private authority's certificates.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca is not None:
        try:
            context.load_verify_locations(cadata=ca)
        except (ssl.SSLError, ValueError):
            raise OutsideError("the secret's key ca is not a certificate in PEM", field="secret.ca") from None
    return context


def _refused(error: Exception, *, proven: bool) -> Exception:
    code = _code(error)
    if code == _NO_TLS:
        return OutsideError("the database offers no TLS", field="tls", hint=_TLS_HINT)
    if not _of_server(code):
        cause = getattr(error, "original_exception", None)
        return NotReadyError(reason_of(cause, "it broke off") if cause else "it closed the connection")
    if code in _BLOCKED:
        return OutsideError(
            f"the database lets nobody in from here ({code})",
            field="secret",
            hint="let its users come from the function's network; after too many failures: FLUSH HOSTS",
        )
    # Before TLS stands, anybody can say that a password is wrong.
    if not proven or code in _NOT_READY:
        return NotReadyError(f"it is not ready ({code})")
    if code in _WRONG_PASSWORD:
        return WrongPasswordError()
    if code in _NO_DATABASE:
        return OutsideError(
            f"the secret's database is not there, or not for its user ({code})", field="secret.dbname"
        )
    if code == _TLS_REQUIRED:
        return OutsideError("the database insists on TLS", field="tls", hint="say `tls: verify-full`")
    return OutsideError(f"the database refuses the connection ({code})", field="secret")


def _lost() -> TransientError:
    return TransientError("the connection to the database was lost")


def _code(error: Exception) -> int:
    found = error.args[0] if error.args else 0
    return found if isinstance(found, int) else 0


def _of_server(code: int) -> bool:
    """Numbers from 2000 on are the client's (CR_MIN_ERROR to CR_MAX_ERROR), what has none is PyMySQL's."""
    return 1000 <= code < 2000 or code >= 3000
