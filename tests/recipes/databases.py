"""A database of its own for a test, with a user that owns it; read by the administrator, as one looks at it by hand."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tests.recipes.recipe import DEPLOYMENT, PASSWORD, of_mariadb, of_postgres
from tests.support import postgres
from tests.support.mariadb import MariaDB
from tests.support.waiting import wait_until

APPLICATION = f"tidegate-migrate-{DEPLOYMENT}"
# A missing one is told where the SQL runner is tested.
VERSIONS = tuple(version for version in postgres.VERSIONS if postgres.binaries(version) is not None)


@contextmanager
def connected(
    server: postgres.Server,
    database: str,
    *,
    autocommit: bool = True,
    user: str = "postgres",
    password: str = postgres.PASSWORD,
) -> Iterator[psycopg.Connection[Any]]:
    """As the administrator, or somebody else."""
    with psycopg.connect(
        host=postgres.HOST,
        port=server.port,
        user=user,
        password=password,
        dbname=database,
        autocommit=autocommit,
    ) as connection:
        yield connection
        connection.rollback()


@dataclass(frozen=True)
class PostgresDatabase:
    """`name` is that of its user too."""

    server: postgres.Server
    name: str

    @classmethod
    def make(cls, server: postgres.Server) -> PostgresDatabase:
        name = f"orders_{uuid.uuid4().hex[:12]}"
        with connected(server, "postgres") as admin:
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), PASSWORD))
            admin.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
        return cls(server, name)

    def environment(self) -> Mapping[str, str]:
        return of_postgres(postgres.HOST, self.server.port, self.name, self.name)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with connected(self.server, self.name) as admin:
            cursor = admin.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def value(self, statement: str, *values: object) -> Any:
        [(found,)] = self.rows(statement, *values)
        return found

    @contextmanager
    def transaction(self, statement: str) -> Iterator[psycopg.Connection[Any]]:
        """Somebody whose transaction stays open after this statement."""
        with connected(self.server, self.name, autocommit=False) as connection:
            connection.execute(statement)
            yield connection

    def columns(self, table: str = "orders") -> list[str]:
        return [
            name
            for (name,) in self.rows(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
                table,
            )
        ]

    def indexes(self, table: str = "orders") -> dict[str, bool]:
        """Whether each is valid, by its name."""
        return dict(
            self.rows(
                "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = %s::regclass",
                table,
            )
        )

    def backends(self, statement: str = "") -> list[int]:
        """Of migrations, those whose last statement has this in it: process ids."""
        found = self.rows(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND query LIKE %s AND datname = %s",
            APPLICATION,
            f"%{statement}%",
            self.name,
        )
        return [pid for (pid,) in found]

    def other_asks_again(self, backend: int, statement: str) -> None:
        """Wait until a migration that is not this backend has run that statement twice, as one does that waits for its
        turn."""
        times = set()

        def twice() -> bool:
            times.update(
                self.rows(
                    "SELECT query_start FROM pg_stat_activity"
                    " WHERE application_name = %s AND datname = %s AND pid <> %s AND query LIKE %s",
                    APPLICATION,
                    self.name,
                    backend,
                    f"%{statement}%",
                )
            )
            return len(times) > 1

        wait_until(twice, what="the next migration to ask again", seconds=20)


@dataclass(frozen=True)
class MariaDatabase:
    """`name` is that of its user too."""

    server: MariaDB
    name: str

    @classmethod
    def make(cls, server: MariaDB) -> MariaDatabase:
        name = f"orders_{uuid.uuid4().hex[:12]}"
        server.make_database(name, name, PASSWORD)
        return cls(server, name)

    def environment(self) -> Mapping[str, str]:
        return of_mariadb(self.server.host, self.server.port, self.name, self.name)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.server.rows(statement, *values, database=self.name)

    def value(self, statement: str, *values: object) -> Any:
        [(found,)] = self.rows(statement, *values)
        return found

    @contextmanager
    def transaction(self, statement: str) -> Iterator[None]:
        """Somebody whose transaction stays open after this statement."""
        with self.server.connected(self.name) as connection, connection.cursor() as cursor:
            connection.begin()
            cursor.execute(statement)
            yield
            connection.rollback()

    def columns(self, table: str = "orders") -> list[str]:
        return [name for name, *_ in self.rows(f"SHOW COLUMNS FROM {table}")]

    def indexes(self, table: str = "orders") -> set[str]:
        return {name for _, _, name, *_ in self.rows(f"SHOW INDEX FROM {table}")}

    def sessions(self, statement: str = "") -> list[int]:
        """Of the database's user, those that run a statement with this in it."""
        return [identity for identity, runs in self.server.sessions(self.name) if statement in runs]
