"""The sample application of the five systems, as a process, with databases that are real."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.waiting import wait_until
from tests.systems.apps import small_redis
from tests.systems.apps.conftest import PASSWORD, Database
from tests.systems.apps.running_app import App

SECONDS = 15.0


def _forms(database: Database) -> dict[str, dict[str, str]]:
    """One login in all the ways that the systems give it to their containers."""
    known, text = database.credential, json.dumps(dict(database.credential))
    where = f"{known['host']}:{known['port']}"
    login = f"{known['username']}:{quote(PASSWORD, safe='')}"
    url = f"{known['engine']}://{login}@{where}/{known['dbname']}?sslmode=disable"
    quoted = '"' + PASSWORD + '"'
    npgsql = (
        f"Host={known['host']};Port={known['port']};Database={known['dbname']};"
        f"Username={known['username']};Password={quoted};SSL Mode=Disable"
    )
    return {
        "JSON": {"DATABASE": text, "DATABASE_TLS": "off"},
        "URL": {"DATABASE_URL": url},
        "Npgsql": {"ConnectionStrings__PostgreSQL": npgsql},
        "JSON around a connection string": {"DATABASE": json.dumps({"connection_string": npgsql})},
        "a variable for each key": database.parts,
        "a URL, and the login beside it": {
            "DATABASE_URL": f"{known['engine']}://{where}/{known['dbname']}",
            "PGUSER": known["username"],
            "PGPASSWORD": PASSWORD,
            "PGSSLMODE": "disable",
        },
    }


@pytest.mark.parametrize(
    "form",
    [
        "JSON",
        "URL",
        "Npgsql",
        "JSON around a connection string",
        "a variable for each key",
        "a URL, and the login beside it",
    ],
)
def test_a_login_in_each_form(form: str, postgres_database: Database, tmp_path: Path) -> None:
    app = App.copy(tmp_path / "app", _forms(postgres_database)[form])
    with app.serving(SERVICE="shop") as client:
        status, said = client.ask("/api/v1/status")
        assert (status, said["database"], said["cache"]) == (
            200,
            postgres_database.credential["username"],
            "none",
        )
        assert client.process.lines[0] == f"shop 1.0.0 logged in as {said['database']}"


@pytest.mark.parametrize("form", ["JSON", "URL", "a variable for each key"])
def test_a_login_to_mysql(form: str, maria_database: Database, tmp_path: Path) -> None:
    app = App.copy(tmp_path / "app", _forms(maria_database)[form])
    ran = app.run("migrate", "--check")
    assert (ran.exit_code, ran.output) == (1, "to run: 0001_items.sql\n")


def test_a_wrong_password_ends_it_without_telling_it(database: Database, tmp_path: Path) -> None:
    app = App.copy(tmp_path / "app", database.parts)
    for role in ("serve", "work", "migrate"):
        ran = app.run(role, DATABASE_PASSWORD=PASSWORD + "x", PORT="0")
        assert ran.exit_code == 1
        assert ran.output.startswith(f"{role}: ")
        assert PASSWORD not in ran.output


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DATABASE": "canary"}, "DATABASE is no JSON object, no URL and no connection string"),
        ({"DATABASE": "{canary"}, "DATABASE is no JSON"),
        ({"DATABASE": '{"host": "canary", "username": "ada"}'}, "DATABASE has no password"),
        ({"PORT": "canary"}, "PORT is no number"),
        (
            {"DATABASE": '{"host": "h", "username": "ada", "password": "canary", "engine": "oracle"}'},
            "oracle is neither PostgreSQL nor MySQL",
        ),
    ],
)
def test_settings_that_say_nothing_are_named(variables: dict[str, str], says: str, tmp_path: Path) -> None:
    ran = App.copy(tmp_path / "app", variables).run("serve")
    assert (ran.exit_code, ran.output) == (1, f"serve: {says}\n")


def test_migrations_run_once_and_in_order(database: Database, tmp_path: Path) -> None:
    app = App.copy(tmp_path / "app", database.parts)
    assert app.run("migrate").output == "ran 0001_items.sql\n"
    app.write("migrations/0010_label.sql", "ALTER TABLE items ADD COLUMN label varchar(20);\n")
    app.write("migrations/0009_price.sql", "ALTER TABLE items ADD COLUMN price integer; -- in cents\n")
    assert app.run("migrate", "--check").output == "to run: 0009_price.sql, 0010_label.sql\n"
    assert app.run("migrate").output == "ran 0009_price.sql, 0010_label.sql\n"
    assert app.run("migrate").output == "nothing to run\n"
    assert app.run("migrate", "--check").exit_code == 0
    assert database.columns("items") == ["id", "name", "done", "price", "label"]
    assert [number for (number,) in database.rows("SELECT number FROM app_migrations ORDER BY number")] == [
        1,
        9,
        10,
    ]


def test_a_migration_that_fails_names_its_file(database: Database, tmp_path: Path) -> None:
    app = App.copy(tmp_path / "app", database.parts)
    app.write("migrations/0002_wrong.sql", "ALTER TABLE nothing ADD COLUMN label varchar(20);\n")
    ran = app.run("migrate")
    assert ran.exit_code == 1
    assert ran.output.startswith("migrate: 0002_wrong.sql: ")
    assert [name for (name,) in database.rows("SELECT name FROM app_migrations")] == ["0001_items.sql"]
    app.write("migrations/0002_wrong.sql", "ALTER TABLE items ADD COLUMN label varchar(20);\n")
    assert app.run("migrate").output == "ran 0002_wrong.sql\n"


def test_files_that_ran_stay_as_they_are(postgres_database: Database, tmp_path: Path) -> None:
    app = App.copy(tmp_path / "app", postgres_database.parts)
    app.write("migrations/0003_label.sql", "ALTER TABLE items ADD COLUMN label varchar(20);\n")
    assert app.run("migrate").exit_code == 0
    app.write("migrations/0002_late.sql", "ALTER TABLE items ADD COLUMN late integer;\n")
    assert app.run("migrate").output == "migrate: 0002_late.sql comes before number 3, which has run\n"
    (app.folder / "migrations" / "0002_late.sql").unlink()
    app.write("migrations/0003_label.sql", "ALTER TABLE items ADD COLUMN other integer;\n")
    assert app.run("migrate").output == "migrate: 0003_label.sql has changed since it ran\n"


def test_two_migrations_do_not_run_at_once(postgres_database: Database, tmp_path: Path) -> None:
    """Guards `_alone`: the first holds the lock in the middle of its file."""
    app = App.copy(tmp_path / "app", postgres_database.parts)
    app.write("migrations/0002_long.sql", "SELECT pg_sleep(60);\n")
    with app.started("migrate", exit_code=1) as first:

        def sleeps() -> bool:
            found = postgres_database.rows(
                "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
            )
            return bool(found)

        wait_until(sleeps, what="the first to be in its file", seconds=SECONDS)
        assert app.run("migrate").output == "migrate: another migration of this database runs\n"
        postgres_database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
            " AND pid <> pg_backend_pid()"
        )
        wait_until(lambda: first.process.poll() is not None, what="the first to end", seconds=SECONDS)


def test_what_is_added_is_listed_and_done(database: Database, tmp_path: Path) -> None:
    app = App.copy(tmp_path / "app", database.parts)
    assert app.run("migrate").exit_code == 0
    with app.serving() as client:
        assert client.ask("/api/items") == (200, {"items": []})
        assert client.ask("/api/items", {"name": "lettuce"})[0] == 201
        [item] = client.ask("/api/items")[1]["items"]
        assert (item["name"], item["done"]) == ("lettuce", False)
        assert client.ask("/api/items", {"name": ""}) == (
            400,
            {"error": "a name has 1 to 200 characters", "field": "name"},
        )
        with app.started("work", SERVICE="worker") as worker:
            wait_until(
                lambda: client.ask("/api/items")[1]["items"][0]["done"], what="it to be done", seconds=SECONDS
            )
            assert "worker: did lettuce" in worker.lines


def test_the_health_check_needs_no_database(tmp_path: Path) -> None:
    app = App.copy(tmp_path / "app", {})
    app.write("version", "2.1.0\n")
    app.write("name", "backend\n")
    with app.serving(HEALTH_PATH="/api/v1/health") as client:
        known = {"service": "backend", "version": "2.1.0"}
        assert client.ask("/api/v1/health?now") == (200, {**known, "status": "ok"})
        assert client.ask("/") == (200, {**known, "path": "/"})
        port = client.url.rpartition(":")[2]
        assert app.run("healthy", PORT=port, HEALTH_PATH="/api/v1/health").exit_code == 0
    assert app.run("healthy", PORT=port).exit_code == 1


def test_the_cache_answers_until_something_is_added(postgres_database: Database, tmp_path: Path) -> None:
    with small_redis.running() as redis:
        app = App.copy(tmp_path / "app", {**postgres_database.parts, "REDIS_URL": redis.url})
        assert app.run("migrate").exit_code == 0
        with app.serving() as client:
            assert client.ask("/status")[1]["cache"] == "ok"
            assert client.ask("/items") == (200, {"items": []})
            assert redis.keys == {b"items": b'{"items": []}'}
            redis.keys[b"items"] = b'{"items": ["of the cache"]}'
            assert client.ask("/items") == (200, {"items": ["of the cache"]})
            assert client.ask("/items", {"name": "lettuce"})[0] == 201
            assert len(client.ask("/items")[1]["items"]) == 1


def test_without_its_cache_the_database_answers(postgres_database: Database, tmp_path: Path) -> None:
    app = App.copy(tmp_path / "app", {**postgres_database.parts, "REDIS_URL": "redis://127.0.0.1:1/0"})
    assert app.run("migrate").exit_code == 0
    with app.serving() as client:
        assert client.ask("/status")[1]["cache"] == "unreachable"
        assert client.ask("/items", {"name": "lettuce"})[0] == 201
        assert len(client.ask("/items")[1]["items"]) == 1
