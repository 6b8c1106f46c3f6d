"""Logging in to the database of a system with what its secret says, once and all the time."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pg8000.native
import pymysql
from tidegate.domain.credentials import Credential, read

SECONDS = 10.0
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Secret:
    """One that the manifest names, whose `wanted` is what it says of it."""

    manager: Any
    name: str
    wanted: Mapping[str, Any]

    def credential(self, name: str | None = None) -> Credential:
        """What AWSCURRENT of the secret says, or of another one that is about the same database."""
        text = self.manager.get_secret_value(SecretId=name or self.name)["SecretString"]
        form = "json" if name else self.wanted.get("format", "json")
        return read(text, form, str(self.wanted["kind"]))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """As the administrator."""
        admin = str(self.wanted["admin"])
        return rows(self.credential(admin), statement)


def rows(credential: Credential, statement: str) -> list[tuple[Any, ...]]:
    """Of a new session. Raises the driver's errors."""
    context = ssl.create_default_context(cadata=credential.ca) if credential.ca else _unverified()
    if credential.engine == "mysql":
        connection = pymysql.connect(
            host=credential.host,
            port=credential.port,
            user=credential.username,
            password=credential.password,
            database=credential.database,
            connect_timeout=int(SECONDS),
            ssl=context,
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return [tuple(row) for row in cursor.fetchall()]
        finally:
            connection.close()
    session = pg8000.native.Connection(
        credential.username,
        host=credential.host,
        port=credential.port,
        password=credential.password,
        database=credential.database,
        timeout=SECONDS,
        ssl_context=context,
    )
    try:
        return [tuple(row) for row in session.run(statement) or []]
    finally:
        session.close()


@dataclass
class Loop:
    """`users` who were let in, in their order, one after the other; `refused` is what went wrong."""

    logins: int = 0
    users: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@contextmanager
def all_the_time(secret: Secret) -> Iterator[Loop]:
    """Somebody reads the secret and logs in with what it says, again and again."""
    loop, over = Loop(), threading.Event()

    def go_on() -> None:
        while not over.is_set():
            credential = secret.credential()
            try:
                rows(credential, "SELECT 1")
            except (pg8000.exceptions.Error, pymysql.err.MySQLError, OSError) as error:
                loop.refused.append(f"{credential.username}: {error!r}")
            else:
                loop.logins += 1
                if loop.users[-1:] != [credential.username]:
                    loop.users.append(credential.username)
            over.wait(PAUSE_SECONDS)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        over.set()
        thread.join(SECONDS * 2)


def of(manager: Any, manifest: Mapping[str, Any], environment: str) -> Secret:
    """The first secret of a database that the manifest has rotated in that environment."""
    text = json.dumps(manifest["secrets"]).replace("{environment}", environment)
    name, wanted = next(
        (name, entry) for name, entry in json.loads(text).items() if entry["kind"] in ("postgres", "mysql")
    )
    return Secret(manager, name, wanted)


def _unverified() -> ssl.SSLContext:
    """A connection string has no authority beside it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
