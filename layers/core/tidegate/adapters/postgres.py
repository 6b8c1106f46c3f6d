"""PostgreSQL for migrations, with the credential of a secret.

The secret has the shape that Secrets Manager's own rotation uses (its user guide, "JSON structure of secrets"):
`{"engine", "host", "port", "username", "password", "dbname"}`, and optionally `ca`, the PEM of a private authority;
or it is a connection string, where the manifest says so of a secret that it rotates.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from tidegate.adapters.errors import asking
from tidegate.adapters.postgres_connection import Connecting, PostgresSession
from tidegate.adapters.secrets import region_of
from tidegate.domain import credentials
from tidegate.domain.credentials import JSON, POSTGRES, Credential, Format
from tidegate.domain.errors import BadInputError, OutsideError
from tidegate.domain.sql_migration import OTHER_ENGINE
from tidegate.ports import WrongPasswordError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_ENGINES: Final = frozenset({"postgres", "postgresql", "aurora-postgresql"})


class PostgresDatabases:
    """`secrets` gives the client of a region, None being the function's own. `wait` and `now` are of the tests."""

    def __init__(
        self,
        secrets: Callable[[str | None], SecretsManagerClient],
        wait: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets = secrets
        self._connecting = Connecting("migrations", wait, now)

    def connect(
        self,
        secret: str,
        tls: str,
        application: str,
        patience: float,
        format: Format = JSON,  # noqa: A002 - the manifest's word
    ) -> PostgresSession:
        """OutsideError has the code `other_engine` for a database that is not PostgreSQL."""
        credential = self._credential(secret, format)
        until = self._connecting.now() + patience
        while True:
            try:
                return self._connecting.open(credential, tls, application, until)
            except WrongPasswordError:
                # It may have been rotated since it was read.
                newer = self._credential(secret, format)
                if newer == credential:
                    raise OutsideError(
                        "the database refuses the user, or the way it signs in",
                        field="migrations.secret",
                        hint="try the secret's credential by hand; a server may also insist on TLS, or on an address",
                    ) from None
                credential = newer

    def _credential(self, secret: str, format: Format) -> Credential:  # noqa: A002 - the manifest's word
        with asking("secretsmanager:GetSecretValue"):
            answer = self._secrets(region_of(secret)).get_secret_value(SecretId=secret)
        text = answer.get("SecretString", "")
        return _read(text) if format == JSON else _in_string(text, format)


def _read(text: str) -> Credential:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _shapeless("it is not a JSON object")
    engine = content.get("engine", "postgres")
    if engine not in _ENGINES:
        raise _other_engine()
    return Credential(
        engine=POSTGRES,
        host=_text(content, "host"),
        port=_port(content.get("port", 5432)),
        database=_text(content, "dbname"),
        username=_text(content, "username"),
        password=_text(content, "password"),
        ca=_text(content, "ca") if content.get("ca") else None,
    )


def _in_string(text: str, format: Format) -> Credential:  # noqa: A002 - the manifest's word
    """Of a connection string, where a rotation keeps the secret in that form."""
    try:
        credential = credentials.read(text, format)
    except BadInputError as error:
        raise OutsideError(
            f"the secret of the database cannot be used: {error.message}",
            field="migrations.secret",
            hint=error.hint or "look at the format that the manifest gives this secret",
        ) from None
    if credential.engine != POSTGRES:
        raise _other_engine()
    return credential


def _other_engine() -> OutsideError:
    return OutsideError(
        "the secret is of a database that is not PostgreSQL",
        field="migrations.secret",
        hint="runner `sql`, and the checks of a database, are for PostgreSQL",
        code=OTHER_ENGINE,
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
