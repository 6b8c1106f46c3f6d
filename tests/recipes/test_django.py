"""The recipe for Django, by the commands of its manifest, against a PostgreSQL of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipes.databases import VERSIONS, PostgresDatabase
from tests.recipes.recipe import Recipe, ended
from tests.support.waiting import wait_until

NAMES = ["0001_orders", "0002_delivery", "0003_customer_index"]
EXPANDED = ["id", "customer", "note", "delivery"]
HALF_WAY = """\
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = (("orders", "0003_customer_index"),)
    operations = (
        migrations.RunSQL("ALTER TABLE orders ADD COLUMN half text"),
        migrations.RunSQL("{second}"),
    )
"""
FOURTH = "orders/migrations/0004_half.py"


@pytest.fixture
def recipe(database: PostgresDatabase, tmp_path: Path) -> Recipe:
    return Recipe.copy("django", tmp_path / "orders", database.environment())


@pytest.fixture
def migrated(recipe: Recipe) -> Recipe:
    ran = recipe.migrate()
    assert ran.exit_code == 0, ran.output
    return recipe


def applied(database: PostgresDatabase) -> list[str]:
    return [name for (name,) in database.rows("SELECT name FROM django_migrations ORDER BY id")]


@pytest.mark.parametrize("postgres", VERSIONS, indirect=True)
def test_from_empty_and_again(recipe: Recipe, database: PostgresDatabase) -> None:
    assert recipe.verify().exit_code != 0
    first = recipe.migrate()
    assert first.exit_code == 0, first.output
    assert recipe.verify().exit_code == 0
    assert (applied(database), database.columns()) == (NAMES, EXPANDED)
    assert database.indexes() == {"orders_pkey": True, "orders_customer": True}
    again = recipe.migrate()
    assert (again.exit_code, "No migrations to apply" in again.output) == (0, True), again.output


def test_the_models_are_what_the_migrations_make(recipe: Recipe) -> None:
    ran = recipe.run("python", "manage.py", "makemigrations", "--check", "--dry-run")
    assert ran.exit_code == 0, ran.output


def test_the_release_before_still_writes(migrated: Recipe, database: PostgresDatabase) -> None:
    """Guards `db_default`: without it the column has no default in the database."""
    database.rows("INSERT INTO orders (customer) VALUES ('Ada')")
    assert database.value("SELECT delivery FROM orders") == "post"


def test_one_that_fails_half_way_leaves_nothing_of_itself(
    migrated: Recipe, database: PostgresDatabase
) -> None:
    migrated.write(FOURTH, HALF_WAY.format(second="SELECT 1 / 0"))
    failed = migrated.migrate()
    assert failed.exit_code != 0
    assert "DivisionByZero" in failed.output
    assert (applied(database), database.columns()) == (NAMES, EXPANDED)
    assert migrated.verify().exit_code != 0
    migrated.write(FOURTH, HALF_WAY.format(second="SELECT 1"))
    assert migrated.migrate().exit_code == 0
    assert (applied(database), database.columns()) == ([*NAMES, "0004_half"], [*EXPANDED, "half"])


def test_an_invalid_index_is_made_again(recipe: Recipe, database: PostgresDatabase) -> None:
    """Guards DROP INDEX of the third migration. CREATE INDEX CONCURRENTLY has made the index when it begins to wait for
    the open transactions that write."""
    before = recipe.run("python", "manage.py", "migrate", "--no-input", "orders", "0002_delivery")
    assert before.exit_code == 0, before.output
    with database.transaction("INSERT INTO orders (customer) VALUES ('Ada')"):
        failed = recipe.migrate()
    assert failed.exit_code != 0
    assert "lock timeout" in failed.output
    assert (applied(database), database.indexes()["orders_customer"]) == (NAMES[:2], False)
    again = recipe.migrate()
    assert again.exit_code == 0, again.output
    assert (applied(database), database.indexes()["orders_customer"]) == (NAMES, True)


def test_one_that_waits_for_a_lock_gives_up(migrated: Recipe, database: PostgresDatabase) -> None:
    """PGOPTIONS says for how long."""
    migrated.move("contract/0004_drop_note.py", "orders/migrations")
    with database.transaction("SELECT count(*) FROM orders"):
        failed = migrated.migrate()
    assert failed.exit_code != 0
    assert "lock timeout" in failed.output
    assert (applied(database), database.columns()) == (NAMES, EXPANDED)
    assert migrated.migrate().exit_code == 0
    assert database.columns() == ["id", "customer", "delivery"]


def test_two_at_once_run_one_after_the_other(recipe: Recipe, database: PostgresDatabase) -> None:
    """Guards `alone` of the recipe's own command: Django takes no lock."""
    command = (recipe.folder / "orders" / "management" / "commands" / "migrate.py").read_text()
    [lock] = [line.partition("=")[2].strip() for line in command.splitlines() if line.startswith("LOCK =")]
    with database.transaction(f"SELECT pg_advisory_lock({lock.replace('_', '')})"):
        runs = [recipe.start(*recipe.manifest["migrations"]["command"]) for _ in range(2)]
        wait_until(
            lambda: len(database.backends("pg_try_advisory_lock")) == 2 or None,
            what="both to wait",
            seconds=20,
        )
    both = [ended(run) for run in runs]
    assert [run.exit_code for run in both] == [0, 0], [run.output for run in both]
    assert sorted("No migrations to apply" in run.output for run in both) == [False, True]
    assert (applied(database), database.columns()) == (NAMES, EXPANDED)


def test_one_that_is_killed_is_finished_by_the_next(migrated: Recipe, database: PostgresDatabase) -> None:
    """Its backend goes on with its statement, and holds the lock: the next one waits for that."""
    database.rows("CREATE TABLE pace AS SELECT 600 AS seconds")
    database.rows(f"GRANT SELECT ON pace TO {database.name}")
    migrated.write(FOURTH, HALF_WAY.format(second="SELECT pg_sleep(seconds) FROM pace"))
    killed = migrated.start(*migrated.manifest["migrations"]["command"])
    [backend] = wait_until(lambda: database.backends("pg_sleep"), what="the migration to sleep", seconds=20)
    killed.kill()
    ended(killed)
    database.rows("UPDATE pace SET seconds = 0")
    follows = migrated.start(*migrated.manifest["migrations"]["command"], PGOPTIONS="-c lock_timeout=1")
    database.other_asks_again(backend, "pg_try_advisory_lock")
    assert database.backends("pg_sleep") == [backend]
    assert (applied(database), database.columns()) == (NAMES, EXPANDED)
    database.rows("SELECT pg_terminate_backend(%s)", backend)
    ran = ended(follows)
    assert ran.exit_code == 0, ran.output
    assert (applied(database), database.columns()) == ([*NAMES, "0004_half"], [*EXPANDED, "half"])


def test_a_wrong_password_is_told_without_it(recipe: Recipe) -> None:
    ran = recipe.migrate(PGPASSWORD="not-Wk3-either")
    assert ran.exit_code != 0
    assert "password authentication failed" in ran.output
    assert "not-Wk3-either" not in ran.output
