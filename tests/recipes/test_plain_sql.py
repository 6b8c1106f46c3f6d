"""The recipe of plain SQL: what Tidegate reads in its files, and what they do to a PostgreSQL of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tidegate.domain.migration_files import MigrationFile, read_files
from tidegate.domain.sql_statements import split

from tests.recipes.databases import PostgresDatabase, connected
from tests.recipes.recipe import RECIPES

FOLDER = RECIPES / "plain-sql"


def read(*folders: Path) -> tuple[MigrationFile, ...]:
    paths = [path for folder in folders for path in folder.glob("*.sql")]
    return read_files({path.name: path.read_bytes() for path in paths})


def run(database: PostgresDatabase, files: Sequence[MigrationFile]) -> None:
    for file in files:
        with connected(database.server, database.name, autocommit=not file.transactional) as connection:
            for statement in split(file.text):
                connection.execute(statement.text)
            if file.transactional:
                connection.commit()


def test_only_the_last_one_is_a_contract() -> None:
    files = read(FOLDER / "migrations", FOLDER / "contract")
    assert [(file.name, file.kind, file.transactional) for file in files] == [
        ("0001_orders.sql", "expand", True),
        ("0002_delivery.sql", "expand", True),
        ("0003_customer_index.sql", "expand", False),
        ("0004_drop_note.sql", "contract", True),
    ]


def test_they_run_in_their_order(database: PostgresDatabase) -> None:
    run(database, read(FOLDER / "migrations"))
    assert database.columns() == ["id", "customer", "note", "delivery"]
    assert database.indexes() == {"orders_pkey": True, "orders_customer": True}
    run(database, read(FOLDER / "contract"))
    assert database.columns() == ["id", "customer", "delivery"]
