"""One way to PostgreSQL and to MySQL: a connection that runs statements with `%s` for values."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pg8000.dbapi
import pymysql

from app.settings import Credential

CONNECT_SECONDS = 5


class DatabaseError(Exception):
    """The driver's, without what it was given: no message has a password."""


class Database(Protocol):
    """A connection; each statement is its own transaction unless `transaction` is open."""

    engine: str
    user: str

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Raises `DatabaseError`."""

    def transaction(self) -> Any:
        """All or nothing, where the database can: MySQL commits each change of a schema."""

    def close(self) -> None: ...


def connected(credential: Credential, application: str = "app") -> Database:
    """A new one. Raises `DatabaseError`."""
    return (_Postgres if credential.engine == "postgres" else _Mysql)(credential, application)


@contextmanager
def session(credential: Credential, application: str = "app") -> Iterator[Database]:
    """A connection that is closed at the end. Raises `DatabaseError`."""
    database = connected(credential, application)
    try:
        yield database
    finally:
        database.close()


class _Driven:
    """What both drivers have in common: the DB-API 2.0."""

    engine = ""
    errors: tuple[type[Exception], ...] = ()

    def __init__(self, connection: Any, user: str) -> None:
        self._connection = connection
        self._open = False
        self.user = user

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor()
        try:
            # Without values PyMySQL takes a % as it is.
            cursor.execute(statement, *([values] if values else []))
            found = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
            if not self._open:
                self._connection.commit()
        except self.errors as error:
            if not self._open:
                self._connection.rollback()
            raise DatabaseError(_said(error)) from error
        finally:
            cursor.close()
        return found

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._open = True
        try:
            yield
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise
        finally:
            self._open = False

    def close(self) -> None:
        self._connection.close()


class _Postgres(_Driven):
    engine = "postgres"
    errors = (pg8000.dbapi.Error, OSError)

    def __init__(self, credential: Credential, application: str) -> None:
        try:
            connection = pg8000.dbapi.connect(
                credential.username,
                host=credential.host,
                port=credential.port,
                database=credential.dbname,
                password=credential.password,
                timeout=CONNECT_SECONDS,
                ssl_context=_tls(credential) or False,
                application_name=application,
            )
            # The timeout was for connecting; a statement has one of its own.
            connection._usock.settimeout(None)
        except self.errors as error:
            raise DatabaseError(_said(error)) from error
        super().__init__(connection, credential.username)


class _Mysql(_Driven):
    engine = "mysql"
    errors = (pymysql.err.Error, OSError)

    def __init__(self, credential: Credential, application: str) -> None:
        try:
            connection = pymysql.connect(
                host=credential.host,
                port=credential.port,
                user=credential.username,
                password=credential.password,
                database=credential.dbname,
                connect_timeout=CONNECT_SECONDS,
                charset="utf8mb4",
                program_name=application,
                ssl=_tls(credential),
            )
        except (*self.errors, RuntimeError) as error:
            raise DatabaseError(_said(error)) from error
        super().__init__(connection, credential.username)


def _tls(credential: Credential) -> ssl.SSLContext | None:
    if credential.tls == "off":
        return None
    context = ssl.create_default_context(cadata=credential.ca or None)
    if credential.tls == "unverified":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _said(error: BaseException) -> str:
    """The server's word, or what kind of error it was: never what was sent."""
    detail = error.args[0] if error.args else ""
    if isinstance(detail, dict):  # PostgreSQL's fields: C is the SQLSTATE, M the message
        return f"{detail.get('C', '')} {detail.get('M', '')}".strip()
    if isinstance(error, pymysql.err.MySQLError) and len(error.args) > 1:
        return f"{detail} {error.args[1]}"
    return f"{type(error).__name__}: {detail}"
