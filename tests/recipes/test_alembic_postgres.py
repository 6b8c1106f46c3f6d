"""The recipe for Alembic and PostgreSQL, by the commands of its manifest, against a server of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tidegate.domain.migration_files import read_files

from tests.recipes.databases import VERSIONS, PostgresDatabase
from tests.recipes.recipe import Recipe, ended
from tests.support.waiting import wait_until

HEAD = "0003"
EXPANDED = ["id", "customer", "note", "delivery"]
HALF_WAY = """\
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE orders ADD COLUMN half text")
    op.execute("{second}")
"""


@pytest.fixture
def recipe(database: PostgresDatabase, tmp_path: Path) -> Recipe:
    return Recipe.copy("alembic-postgres", tmp_path / "orders", database.environment())


@pytest.fixture
def migrated(recipe: Recipe) -> Recipe:
    ran = recipe.migrate()
    assert ran.exit_code == 0, ran.output
    return recipe


def head(database: PostgresDatabase) -> str:
    return str(database.value("SELECT version_num FROM alembic_version"))


@pytest.mark.parametrize("postgres", VERSIONS, indirect=True)
def test_from_empty_and_again(recipe: Recipe, database: PostgresDatabase) -> None:
    assert recipe.verify().exit_code != 0
    first = recipe.migrate()
    assert (first.exit_code, first.output.count("Running upgrade")) == (0, 3), first.output
    assert recipe.verify().exit_code == 0
    assert (head(database), database.columns()) == (HEAD, EXPANDED)
    assert database.indexes() == {"orders_pkey": True, "orders_customer": True}
    again = recipe.migrate()
    assert (again.exit_code, again.output.count("Running upgrade")) == (0, 0), again.output


def test_one_that_fails_half_way_leaves_nothing_of_itself(
    migrated: Recipe, database: PostgresDatabase
) -> None:
    migrated.write("migrations/versions/0004_half.py", HALF_WAY.format(second="SELECT 1 / 0"))
    failed = migrated.migrate()
    assert failed.exit_code != 0
    assert "DivisionByZero" in failed.output
    assert (head(database), database.columns()) == (HEAD, EXPANDED)
    assert migrated.verify().exit_code != 0
    migrated.write("migrations/versions/0004_half.py", HALF_WAY.format(second="SELECT 1"))
    assert migrated.migrate().exit_code == 0
    assert (head(database), database.columns()) == ("0004", [*EXPANDED, "half"])


def test_what_was_applied_before_one_that_fails_stays(recipe: Recipe, database: PostgresDatabase) -> None:
    """Guards `transaction_per_migration` of env.py."""
    recipe.write("migrations/versions/0004_half.py", HALF_WAY.format(second="SELECT 1 / 0"))
    assert recipe.migrate().exit_code != 0
    assert (head(database), database.columns()) == (HEAD, EXPANDED)


def test_an_invalid_index_is_made_again(recipe: Recipe, database: PostgresDatabase) -> None:
    """Guards `drop_index` of the third migration. CREATE INDEX CONCURRENTLY has made the index when it begins to wait
    for the open transactions that write."""
    assert recipe.run("alembic", "upgrade", "0002").exit_code == 0
    with database.transaction("INSERT INTO orders (customer) VALUES ('Ada')"):
        failed = recipe.migrate()
    assert failed.exit_code != 0
    assert "lock timeout" in failed.output
    assert (head(database), database.indexes()["orders_customer"]) == ("0002", False)
    assert recipe.verify().exit_code != 0
    again = recipe.migrate()
    assert again.exit_code == 0, again.output
    assert (head(database), database.indexes()["orders_customer"]) == (HEAD, True)


def test_one_that_waits_for_a_lock_gives_up(migrated: Recipe, database: PostgresDatabase) -> None:
    """A column that is dropped has to wait for whoever reads the table; PGOPTIONS says for how long."""
    migrated.move("contract/0004_drop_note.py", "migrations/versions")
    with database.transaction("SELECT count(*) FROM orders"):
        failed = migrated.migrate()
    assert failed.exit_code != 0
    assert "lock timeout" in failed.output
    assert (head(database), database.columns()) == (HEAD, EXPANDED)
    assert migrated.migrate().exit_code == 0
    assert (head(database), database.columns()) == ("0004", ["id", "customer", "delivery"])


def test_two_at_once_run_one_after_the_other(recipe: Recipe, database: PostgresDatabase) -> None:
    """Guards `alone` of env.py: without it the second one finds the table that the first one has made."""
    lock = _lock_of(recipe)
    with database.transaction(f"SELECT pg_advisory_lock({lock})"):
        runs = [recipe.start(*recipe.manifest["migrations"]["command"]) for _ in range(2)]
        wait_until(lambda: len(database.backends()) == 2 or None, what="both to be there", seconds=20)
    both = [ended(run) for run in runs]
    assert [run.exit_code for run in both] == [0, 0], [run.output for run in both]
    assert sorted(run.output.count("Running upgrade") for run in both) == [0, 3]
    assert (head(database), database.columns()) == (HEAD, EXPANDED)


def test_one_that_is_killed_is_finished_by_the_next(migrated: Recipe, database: PostgresDatabase) -> None:
    """Its backend goes on with its statement, and holds the lock: the next one waits for that, and starts from what is
    then there."""
    database.rows("CREATE TABLE pace AS SELECT 600 AS seconds")
    database.rows(f"GRANT SELECT ON pace TO {database.name}")
    second = "SELECT pg_sleep(seconds) FROM pace"
    migrated.write("migrations/versions/0004_half.py", HALF_WAY.format(second=second))
    killed = migrated.start("alembic", "upgrade", "head")
    [backend] = wait_until(lambda: database.backends("pg_sleep"), what="the migration to sleep", seconds=20)
    killed.kill()
    ended(killed)
    assert database.backends("pg_sleep") == [backend]
    database.rows("UPDATE pace SET seconds = 0")
    follows = migrated.start("alembic", "upgrade", "head", PGOPTIONS="-c lock_timeout=1")
    database.other_asks_again(backend, "COMMIT")
    assert (head(database), database.columns()) == (HEAD, EXPANDED)
    database.rows("SELECT pg_terminate_backend(%s)", backend)
    ran = ended(follows)
    assert (ran.exit_code, ran.output.count("Running upgrade")) == (0, 1), ran.output
    assert (head(database), database.columns()) == ("0004", [*EXPANDED, "half"])


def test_the_sql_is_rendered_without_a_database(recipe: Recipe, tmp_path: Path) -> None:
    recipe.move("contract/0004_drop_note.py", "migrations/versions")
    alone = Recipe(recipe.folder, {})
    ran = alone.run("python", "render_sql.py", str(tmp_path / "sql"))
    assert ran.exit_code == 0, ran.output
    files = read_files({path.name: path.read_bytes() for path in (tmp_path / "sql").iterdir()})
    assert [(file.name, file.kind, file.transactional) for file in files] == [
        ("0001_orders.sql", "expand", True),
        ("0002_delivery.sql", "expand", True),
        ("0003_customer_index.sql", "expand", False),
        ("0004_drop_note.sql", "contract", True),
    ]
    assert files[3].reasons == ("drops column orders.note",)
    assert "CREATE TABLE orders" not in files[1].text


def test_a_wrong_password_is_told_without_it(recipe: Recipe) -> None:
    ran = recipe.migrate(PGPASSWORD="not-Wk3-either")
    assert ran.exit_code != 0
    assert "password authentication failed" in ran.output
    assert "not-Wk3-either" not in ran.output


def _lock_of(recipe: Recipe) -> int:
    [line] = [
        line
        for line in (recipe.folder / "migrations" / "env.py").read_text().splitlines()
        if line.startswith("LOCK =")
    ]
    return int(line.partition("=")[2].strip().replace("_", ""))
