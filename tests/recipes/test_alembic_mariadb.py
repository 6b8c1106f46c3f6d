"""The recipe for Alembic and MySQL, by the commands of its manifest, against a MariaDB of its own.

Here DDL commits by itself: what a failed migration had done before it failed is there.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tidegate.domain.migration_files import read_files

from tests.recipes.databases import MariaDatabase
from tests.recipes.recipe import Recipe, ended
from tests.support.waiting import wait_until

HEAD = "0002"
EXPANDED = ["id", "customer", "note", "delivery"]
HALF_WAY = """\
from alembic import op

from guards import lacks_column

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if lacks_column("orders", "half"):
        op.execute("ALTER TABLE orders ADD COLUMN half text")
    op.execute("{second}")
"""
THIRD = "migrations/versions/0003_half.py"


@pytest.fixture
def recipe(maria_database: MariaDatabase, tmp_path: Path) -> Recipe:
    return Recipe.copy("alembic-mariadb", tmp_path / "orders", maria_database.environment())


@pytest.fixture
def migrated(recipe: Recipe) -> Recipe:
    ran = recipe.migrate()
    assert ran.exit_code == 0, ran.output
    return recipe


def head(database: MariaDatabase) -> str:
    return str(database.value("SELECT version_num FROM alembic_version"))


def test_from_empty_and_again(recipe: Recipe, maria_database: MariaDatabase) -> None:
    assert recipe.verify().exit_code != 0
    first = recipe.migrate()
    assert (first.exit_code, first.output.count("Running upgrade")) == (0, 2), first.output
    assert recipe.verify().exit_code == 0
    assert (head(maria_database), maria_database.columns()) == (HEAD, EXPANDED)
    assert maria_database.indexes() == {"PRIMARY", "orders_customer"}
    again = recipe.migrate()
    assert (again.exit_code, again.output.count("Running upgrade")) == (0, 0), again.output


def test_half_of_one_that_fails_stays_and_is_not_done_twice(
    migrated: Recipe, maria_database: MariaDatabase
) -> None:
    """Guards `guards.py`: without it the second run fails over the column of the first."""
    migrated.write(THIRD, HALF_WAY.format(second="SELECT nothing FROM orders"))
    failed = migrated.migrate()
    assert failed.exit_code != 0
    assert "Unknown column 'nothing'" in failed.output
    assert (head(maria_database), maria_database.columns()) == (HEAD, [*EXPANDED, "half"])
    assert migrated.verify().exit_code != 0
    migrated.write(THIRD, HALF_WAY.format(second="SELECT 1"))
    again = migrated.migrate()
    assert again.exit_code == 0, again.output
    assert (head(maria_database), maria_database.columns()) == ("0003", [*EXPANDED, "half"])


def test_each_step_of_the_recipe_can_be_run_again(migrated: Recipe, maria_database: MariaDatabase) -> None:
    """As after a failure behind the last statement, before the head is written."""
    migrated.move("contract/0003_drop_note.py", "migrations/versions")
    for before in ("0002", "0001", None):
        assert migrated.migrate().exit_code == 0
        maria_database.rows("DELETE FROM alembic_version")
        if before is not None:
            maria_database.rows("INSERT INTO alembic_version VALUES (%s)", before)
    last = migrated.migrate()
    assert (last.exit_code, last.output.count("Running upgrade")) == (0, 3), last.output
    assert (head(maria_database), maria_database.columns()) == ("0003", ["id", "customer", "delivery"])


def test_one_that_waits_for_a_lock_gives_up(migrated: Recipe, maria_database: MariaDatabase) -> None:
    """Guards `lock_wait_timeout` of env.py: whose default is a day, with all other clients waiting behind it."""
    migrated.move("contract/0003_drop_note.py", "migrations/versions")
    with maria_database.transaction("SELECT count(*) FROM orders"):
        failed = migrated.migrate()
    assert failed.exit_code != 0
    assert "Lock wait timeout exceeded" in failed.output
    assert (head(maria_database), maria_database.columns()) == (HEAD, EXPANDED)
    assert migrated.migrate().exit_code == 0
    assert (head(maria_database), maria_database.columns()) == ("0003", ["id", "customer", "delivery"])


def test_one_that_takes_too_long_is_ended(migrated: Recipe, maria_database: MariaDatabase) -> None:
    migrated.write(THIRD, HALF_WAY.format(second="SELECT SLEEP(600)"))
    failed = migrated.migrate(TIDEGATE_STATEMENT_TIMEOUT="1")
    assert failed.exit_code != 0
    assert "max_statement_time exceeded" in failed.output
    assert head(maria_database) == HEAD


def test_two_at_once_run_one_after_the_other(recipe: Recipe, maria_database: MariaDatabase) -> None:
    """Guards `alone` of env.py."""
    name = f"migrate {maria_database.name}"
    with maria_database.transaction(f"SELECT GET_LOCK('{name}', 0)"):
        runs = [recipe.start(*recipe.manifest["migrations"]["command"]) for _ in range(2)]
        wait_until(
            lambda: len(maria_database.sessions("GET_LOCK")) == 2 or None, what="both to wait", seconds=20
        )
    both = [ended(run) for run in runs]
    assert [run.exit_code for run in both] == [0, 0], [run.output for run in both]
    assert sorted(run.output.count("Running upgrade") for run in both) == [0, 2]
    assert (head(maria_database), maria_database.columns()) == (HEAD, EXPANDED)


def test_one_that_is_killed_is_finished_by_the_next(migrated: Recipe, maria_database: MariaDatabase) -> None:
    """Its session goes on with its statement, and holds the lock: the next one waits for that."""
    migrated.write(THIRD, HALF_WAY.format(second="SELECT SLEEP(seconds) FROM pace"))
    maria_database.rows("CREATE TABLE pace AS SELECT 600 AS seconds")
    killed = migrated.start("alembic", "upgrade", "head")
    [session] = wait_until(
        lambda: maria_database.sessions("SLEEP"), what="the migration to sleep", seconds=20
    )
    killed.kill()
    ended(killed)
    maria_database.rows("UPDATE pace SET seconds = 0")
    assert (head(maria_database), maria_database.columns()) == (HEAD, [*EXPANDED, "half"])
    follows = migrated.start("alembic", "upgrade", "head")
    wait_until(lambda: maria_database.sessions("GET_LOCK"), what="the next one to wait", seconds=20)
    assert maria_database.sessions("SLEEP") == [session]
    maria_database.rows(f"KILL {session}")
    ran = ended(follows)
    assert (ran.exit_code, ran.output.count("Running upgrade")) == (0, 1), ran.output
    assert (head(maria_database), maria_database.columns()) == ("0003", [*EXPANDED, "half"])


def test_the_sql_is_rendered_without_a_database(recipe: Recipe, tmp_path: Path) -> None:
    recipe.move("contract/0003_drop_note.py", "migrations/versions")
    ran = Recipe(recipe.folder, {}).run("python", "render_sql.py", str(tmp_path / "sql"))
    assert ran.exit_code == 0, ran.output
    files = read_files({path.name: path.read_bytes() for path in (tmp_path / "sql").iterdir()})
    assert [(file.name, file.kind) for file in files] == [
        ("0001_orders.sql", "expand"),
        ("0002_delivery.sql", "expand"),
        ("0003_drop_note.sql", "contract"),
    ]
    assert "drops column orders.note" in files[2].reasons


def test_a_wrong_password_is_told_without_it(recipe: Recipe) -> None:
    ran = recipe.migrate(DATABASE_PASSWORD="not-Wk3-either")
    assert ran.exit_code != 0
    assert "Access denied" in ran.output
    assert "not-Wk3-either" not in ran.output
