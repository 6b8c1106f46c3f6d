"""A PostgreSQL that answers by script: what comes first in `answers` and is in a statement decides."""

from __future__ import annotations

from typing import Any

from tidegate.domain.credentials import JSON, Format
from tidegate.ports import SqlError

from tests.support.scripted import Scripted, recorded

Rows = list[list[Any]]


class FakeSession:
    def __init__(self, database: FakeDatabases) -> None:
        self._database = database
        self.closed = False

    def run(self, sql: str) -> Rows:
        return self._database.answer(sql, {})

    def query(self, sql: str, **values: Any) -> Rows:
        return self._database.answer(sql, values)

    def close(self) -> None:
        self.closed = True


class FakeDatabases(Scripted):
    """`answers` are pairs of a part of a statement and what it gives: rows, an error, what makes either, or `Turns`
    of these that are used up one at a time, the last for ever. A statement that no part is in gives no rows."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[str, Any]] = []
        self.statements: list[tuple[str, dict[str, Any]]] = []
        self.sessions: list[FakeSession] = []
        self.formats: list[Format] = []

    @recorded
    def connect(
        self,
        secret: str,
        tls: str,
        application: str,
        patience: float,
        format: Format = JSON,  # noqa: A002 - the manifest's word
    ) -> FakeSession:
        self.sessions.append(FakeSession(self))
        self.formats.append(format)
        return self.sessions[-1]

    def answer(self, sql: str, values: dict[str, Any]) -> Rows:
        self.statements.append((sql, values))
        for part, given in self.answers:
            if part in sql:
                return self._given(given)
        return []

    def ran(self, part: str) -> int:
        """How many statements had this in them."""
        return sum(part in sql for sql, _ in self.statements)

    def _given(self, given: Any) -> Rows:
        if isinstance(given, Turns):
            given = given.pop(0) if len(given) > 1 else given[0]
        if callable(given):
            given = given()
        if isinstance(given, Exception):
            raise given
        rows: Rows = given
        return rows


class Turns(list[Any]):
    """Answers that take turns."""


def refused(code: str, message: str = "as the database says it") -> SqlError:
    return SqlError(code, message)
