"""What opens a database, and how a secret's value writes it.

Formats: Secrets Manager's usual JSON (its user guide, "JSON structure of AWS Secrets Manager secrets"): `{"engine",
"host", "port", "username", "password", "dbname"}`; and a connection string under one key of a JSON object, as a URL or
as Npgsql writes it (`Host=…;Username=…;Password=…`). Other keys, and other parts of a connection string, are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

POSTGRES, MYSQL = "postgres", "mysql"


@dataclass(frozen=True, slots=True)
class Credential:
    """`engine` is `postgres` or `mysql`; `ca` the PEM of a private authority."""

    engine: str
    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    ca: str | None = None
