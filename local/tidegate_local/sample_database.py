"""The database of the sample: the credential that its migrations get, and what they have made of it."""

import contextlib
import json
from typing import TYPE_CHECKING

import pg8000.native

from tidegate_local import sample
from tidegate_local.lifecycle.errors import LocalError
from tidegate_local.lifecycle.record import Cloud
from tidegate_local.postgres.access import Access

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SECRET = f"{sample.SYSTEM}/{sample.ENVIRONMENT}/migrator"
MANIFEST = "tidegate-database.yaml"
DATABASE = "postgres"


def prepare(running: Cloud, secrets: "SecretsManagerClient") -> None:
    """Put the credential of the embedded PostgreSQL where the manifest says. Raises `LocalError`."""
    access = _access(running)
    text = json.dumps(
        {
            "engine": "postgres",
            "host": access.host,
            "port": access.port,
            "username": access.user,
            "password": access.password,
            "dbname": DATABASE,
        }
    )
    with contextlib.suppress(secrets.exceptions.ResourceExistsException):
        secrets.create_secret(Name=SECRET, SecretString=text)
        return
    secrets.put_secret_value(SecretId=SECRET, SecretString=text)


def columns(running: Cloud, table: str) -> list[str]:
    """Of a table, in their order, as the database itself says; empty when there is none."""
    access = _access(running)
    connection = pg8000.native.Connection(
        access.user, host=access.host, port=access.port, password=access.password, database=DATABASE
    )
    try:
        rows = connection.run(
            "SELECT column_name FROM information_schema.columns WHERE table_name = :table ORDER BY ordinal_position",
            table=table,
        )
    finally:
        connection.close()
    return [str(row[0]) for row in rows or []]


def _access(running: Cloud) -> Access:
    if running.postgres is None:
        raise LocalError("the embedded cloud has no PostgreSQL", hint="tidegate local down, then again")
    return running.postgres
