"""A system whose database is real: releases of SQL files, run by the step as the function in the VPC runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pg8000.native
from tidegate.adapters.postgres import PostgresDatabases
from tidegate.domain.errors import TidegateError
from tidegate.domain.ids import ulid
from tidegate.ports import ImageFolder, Ports
from tidegate.steps.migrate_sql import run

from tests.support.fakes import World
from tests.support.postgres import HOST, PASSWORD, Server

DIGEST = "sha256:" + "a" * 64


def new_deployment() -> str:
    return ulid(datetime.now(UTC), uuid4().hex)


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Secrets:
    """Secrets Manager, of one secret."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self.value = value

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 -- as boto3 has it
        return {"SecretString": json.dumps(self.value)}


class Patience:
    """`wait` of the ports takes its time, and remembers it."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        threading.Event().wait(seconds)


@dataclass
class Shop:
    """`release` sets the files that the image has; `migrate` runs them as one deployment."""

    server: Server
    database: str
    secrets: Secrets
    files: dict[str, bytes] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)

    @classmethod
    @contextmanager
    def opened(cls, server: Server) -> Iterator[Shop]:
        database = server.new_database()
        yield cls(server, database, Secrets(server.secret(database)))

    def release(self, **files: str) -> None:
        """`release(_1_orders="CREATE TABLE …")` has the file `1_orders.sql`."""
        self.files = {f"{name.lstrip('_')}.sql": text.encode() for name, text in files.items()}

    def ports(self) -> Ports:
        return ports_of(self.secrets, self.files, self.patience)

    def ask(self, step: str, **changes: Any) -> Mapping[str, Any]:
        try:
            answer = run(self.payload(step, **changes), self.ports())
        except TidegateError as error:
            assert_silent(error.message, str(error.hint), str(error.args))
            raise
        assert_silent(str(answer))
        return answer

    @contextmanager
    def process(self, step: str, **changes: Any) -> Iterator[subprocess.Popen[str]]:
        """The step in a process of its own, as a function that can be killed."""
        given = {
            "secret": self.secrets.value,
            "files": {name: content.decode() for name, content in self.files.items()},
            "payload": self.payload(step, **changes),
        }
        with subprocess.Popen(
            [sys.executable, "-m", "tests.databases.as_process", json.dumps(given)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def payload(self, step: str, **changes: Any) -> dict[str, Any]:
        return {
            "step": step,
            "system": "shop",
            "environment": "production",
            "deployment": new_deployment(),
            "release": "r42",
            "secret": "shop/production/database",
            "tls": "off",
            "lock_timeout": 0.2,
            "statement_timeout": 20.0,
            "transaction_age": 300.0,
            "runner": "sql",
            "image": {"repository": "shop", "digest": DIGEST, "directory": "/migrations"},
            "deadline": (datetime.now(UTC) + timedelta(seconds=60)).isoformat(),
        } | changes

    def migrate(self, **changes: Any) -> Mapping[str, Any]:
        return self.ask("Migrate", **changes)

    # --- the database, as a person looks at it

    @contextmanager
    def session(self, user: str = "postgres") -> Iterator[pg8000.native.Connection]:
        with self.server.session(self.database, user) as session:
            yield session

    def rows(self, sql: str, **values: Any) -> list[list[Any]]:
        with self.session() as session:
            return session.run(sql, **values) or []

    def value(self, sql: str, **values: Any) -> Any:
        return self.rows(sql, **values)[0][0]

    def as_migrator(self, sql: str) -> None:
        with self.session("migrator") as session:
            session.run(sql)

    def columns(self, table: str) -> list[str]:
        return [
            row[0]
            for row in self.rows(
                "SELECT column_name FROM information_schema.columns WHERE table_name = :name ORDER BY 1",
                name=table,
            )
        ]

    def tables(self) -> list[str]:
        return [
            row[0]
            for row in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            if row[0] != "tidegate_migrations"
        ]

    def ledger(self) -> list[tuple[str, bool, int]]:
        """(name, whether it is finished, statements done) of each row."""
        return [
            (name, finished, done)
            for name, finished, done in self.rows(
                "SELECT name, finished_at IS NOT NULL, statements_done FROM tidegate_migrations ORDER BY 1"
            )
        ]

    def indexes(self, table: str) -> dict[str, bool]:
        """Whether each is valid."""
        found = self.rows(
            "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indrelid = to_regclass(:name)",
            name=table,
        )
        return {name: valid for name, valid in found}  # noqa: C416 -- rows are lists

    def backends(self, prefix: str = "tidegate-") -> list[str]:
        return [
            row[0]
            for row in self.rows(
                "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() "
                "AND starts_with(application_name, :prefix)",
                prefix=prefix,
            )
        ]


class _Images:
    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def folder(self, repository: str, digest: str, directory: str, suffix: str) -> ImageFolder:
        return ImageFolder(dict(self._files))


def ports_of(secrets: Secrets, files: Mapping[str, bytes], patience: Patience) -> Ports:
    """Those of a function in the VPC: the database is real, the time is, and the image holds these files."""
    return replace(
        World().ports,
        clock=SystemClock(),
        images=_Images(files),
        databases=PostgresDatabases(lambda region: secrets),  # type: ignore[arg-type,return-value]
        web=patience,
    )


def assert_silent(*texts: str) -> None:
    """Nothing of how the database is reached."""
    for text in texts:
        for secret in (PASSWORD, PASSWORD[:11], HOST, "localhost"):
            assert secret not in text


class Running:
    """Something in a thread of its own; `result` waits for it, and raises what it raised."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:  # noqa: BLE001 -- it is raised where the result is asked for
            self._error = error

    def result(self, seconds: float = 30) -> Any:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "it still runs"
        if self._error is not None:
            raise self._error
        return self._result


class Reader:
    """Reads a table again and again, as an application does, and knows how long the slowest answer took."""

    def __init__(self, shop: Shop, sql: str) -> None:
        self._ended = threading.Event()
        self.slowest = 0.0
        self.count = 0
        self._shop, self._sql = shop, sql
        self._running = Running(self._read)

    def _read(self) -> None:
        with self._shop.session() as session:
            while not self._ended.is_set():
                began = time.monotonic()
                session.run(self._sql)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.count += 1

    def stop(self) -> None:
        self._ended.set()
        self._running.result()
