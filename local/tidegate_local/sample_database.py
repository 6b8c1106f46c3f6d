"""The database of the sample: the credentials of its migrations, of its services, and of who sets their passwords; who
is let in; and what the migrations have made of it."""

import contextlib
import json
import secrets as random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pg8000.exceptions
import pg8000.native
from pg8000.native import identifier, literal

from tidegate_local import sample
from tidegate_local.lifecycle.errors import LocalError
from tidegate_local.lifecycle.record import Cloud
from tidegate_local.postgres.access import Access

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_PLACE = f"{sample.SYSTEM}/{sample.ENVIRONMENT}"
MIGRATOR = f"{_PLACE}/migrator"
SECRET, ADMIN = f"{_PLACE}/database", f"{_PLACE}/database-admin"
USER, ADMIN_USER = "sample", "sample_admin"
MANIFEST = "tidegate-database.yaml"
DATABASE = "postgres"
CONNECT_SECONDS = 10.0
WRONG_LOGIN = frozenset({"28000", "28P01"})
"""SQLSTATE of a user that may not log in, and of a wrong password (PostgreSQL, appendix A)."""


def prepare(running: Cloud, secrets: "SecretsManagerClient") -> str:
    """Put the credentials where the manifest says, unless they are there, and make the users that they are of; the ARN
    of the secret that is rotated. Raises `LocalError`."""
    access = access_of(running)
    where = {"engine": "postgres", "host": access.host, "port": access.port, "dbname": DATABASE}
    _kept(secrets, MIGRATOR, {**where, "username": access.user, "password": access.password})
    admin = _kept(secrets, ADMIN, {"username": ADMIN_USER, "password": random.token_urlsafe(24)})
    user = _kept(secrets, SECRET, {**where, "username": USER, "password": random.token_urlsafe(24)})
    connection = connected(access, access.user, access.password)
    try:
        there = {row[0] for row in connection.run("SELECT rolname FROM pg_roles") or []}
        if USER not in there:
            # Like one that somebody made by hand, long ago: alone.
            _make(connection, "CREATE ROLE {user} LOGIN PASSWORD {password}", user)
        if ADMIN_USER not in there:
            _make(connection, "CREATE ROLE {user} LOGIN CREATEROLE PASSWORD {password}", admin)
            connection.run(f"GRANT {identifier(USER)} TO {identifier(ADMIN_USER)} WITH ADMIN OPTION")
    finally:
        connection.close()
    return str(secrets.describe_secret(SecretId=SECRET)["ARN"])


def lets_in(running: Cloud, credential: Mapping[str, Any]) -> bool:
    """Whether a user and its password open the database. Raises pg8000's errors where it cannot be asked."""
    try:
        connected(access_of(running), credential["username"], credential["password"]).close()
    except pg8000.exceptions.DatabaseError as error:
        if code_of(error) not in WRONG_LOGIN:
            raise
        return False
    return True


def current(secrets: "SecretsManagerClient") -> dict[str, Any]:
    """What AWSCURRENT says now."""
    said: dict[str, Any] = json.loads(secrets.get_secret_value(SecretId=SECRET)["SecretString"])
    return said


def columns(running: Cloud, table: str) -> list[str]:
    """Of a table, in their order, as the database itself says; empty when there is none."""
    access = access_of(running)
    connection = connected(access, access.user, access.password)
    try:
        rows = connection.run(
            "SELECT column_name FROM information_schema.columns WHERE table_name = :table ORDER BY ordinal_position",
            table=table,
        )
    finally:
        connection.close()
    return [str(row[0]) for row in rows or []]


def connected(access: Access, user: str, password: str) -> pg8000.native.Connection:
    """Raises pg8000's errors."""
    return pg8000.native.Connection(
        user,
        host=access.host,
        port=access.port,
        password=password,
        database=DATABASE,
        timeout=CONNECT_SECONDS,
    )


def code_of(error: Exception) -> str:
    """SQLSTATE of an error that the server sent; else empty."""
    said = error.args[0] if error.args else None
    return str(said.get("C", "")) if isinstance(said, dict) else ""


def access_of(running: Cloud) -> Access:
    """Of the embedded PostgreSQL. Raises `LocalError`."""
    if running.postgres is None:
        raise LocalError("the embedded cloud has no PostgreSQL", hint="tidegate local down, then again")
    return running.postgres


def _kept(secrets: "SecretsManagerClient", name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """What the secret says, which is `value` if it was not there."""
    with contextlib.suppress(secrets.exceptions.ResourceExistsException):
        secrets.create_secret(Name=name, SecretString=json.dumps(value))
    said: dict[str, Any] = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])
    return said


def _make(connection: pg8000.native.Connection, statement: str, credential: Mapping[str, Any]) -> None:
    connection.run(
        statement.format(user=identifier(credential["username"]), password=literal(credential["password"]))
    )
