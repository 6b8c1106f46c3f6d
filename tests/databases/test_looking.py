"""What Check, Verify and Terminate see of a database."""

from __future__ import annotations

from typing import Any

from tests.databases.stage import Shop, new_deployment

TASK: dict[str, Any] = {"runner": "task", "image": None, "deadline": None}


def may_see(shop: Shop) -> None:
    with shop.session() as admin:
        admin.run("GRANT pg_read_all_stats TO migrator")


def may_not_see(shop: Shop) -> None:
    with shop.session() as admin:
        admin.run("REVOKE pg_read_all_stats FROM migrator")


def test_an_empty_database_is_ready(shop: Shop) -> None:
    assert shop.ask("Check") == {"outcome": "Ready", "reason": "", "head": None}
    assert shop.ask("Verify", **TASK) == {"outcome": "Verified", "reason": "", "head": None}
    assert shop.backends() == []


def test_an_old_transaction_is_in_the_way(shop: Shop) -> None:
    may_see(shop)
    old = shop.server.connect(shop.database, user="app", application_name="nightly report")
    old.run("BEGIN; SELECT 1")
    process = old.run("SELECT pg_backend_pid()")[0][0]
    answer = shop.ask("Check", transaction_age=0.001)
    assert answer["outcome"] == "NotReady"
    assert answer["reason"] == (
        f"a transaction has been open for 0 s (process {process}, nightly report, idle in transaction); "
        f"to end it: SELECT pg_terminate_backend({process})"
    )
    assert shop.ask("Check", transaction_age=300)["outcome"] == "Ready"
    old.run("COMMIT")
    assert shop.ask("Check", transaction_age=0.001)["outcome"] == "Ready"
    old.close()
    may_not_see(shop)


def test_a_prepared_transaction_is_in_the_way(shop: Shop) -> None:
    """It has no connection, and keeps its locks over a restart."""
    with shop.session() as session:
        session.run("BEGIN; CREATE TABLE half (id int); PREPARE TRANSACTION 'of the shop'")
        answer = shop.ask("Check", transaction_age=0.001)
        session.run("ROLLBACK PREPARED 'of the shop'")
    assert answer["outcome"] == "NotReady"
    assert "prepared transaction" in answer["reason"]
    assert "ROLLBACK PREPARED 'of the shop'" in answer["reason"]


def test_what_cannot_be_seen_is_said(shop: Shop) -> None:
    may_not_see(shop)
    with shop.session("app") as old:
        old.run("BEGIN; SELECT 1")
        answer = shop.ask("Check", transaction_age=0.001)
    assert answer["outcome"] == "Ready"
    assert "GRANT pg_read_all_stats" in answer["reason"]


def test_the_heads_of_tools_are_read(shop: Shop) -> None:
    assert shop.ask("Check", **TASK)["head"] is None
    shop.as_migrator("CREATE TABLE django_migrations (id int, app text, name text)")
    assert shop.ask("Check", **TASK)["head"] is None
    shop.as_migrator(
        "INSERT INTO django_migrations VALUES (2, 'shop', '0002_total'), (1, 'shop', '0001_initial')"
    )
    assert shop.ask("Check", **TASK)["head"] == "shop.0002_total"
    assert shop.ask("Terminate", **TASK)["head"] == "shop.0002_total"
    shop.as_migrator(
        "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('b'), ('a')"
    )
    assert shop.ask("Verify", **TASK)["head"] == "a, b"
    with shop.session() as admin:
        admin.run(
            "ALTER TABLE alembic_version OWNER TO postgres; REVOKE ALL ON alembic_version FROM migrator"
        )
    assert shop.ask("Verify", **TASK)["head"] == "shop.0002_total"


def test_the_backend_of_a_task_is_ended(shop: Shop) -> None:
    deployment = new_deployment()
    names = [f"tidegate-migrate-{deployment}", f"tidegate-migrate-{new_deployment()}", "application"]
    connected = [
        shop.server.connect(shop.database, user="migrator", application_name=name)
        for name in (names[0], *names)
    ]
    assert shop.ask("Terminate", deployment=deployment, **TASK)["count"] == 2
    assert shop.backends("").count(names[0]) == 0
    assert [session.run("SELECT 1") for session in connected[2:]] == [[[1]], [[1]]]
    for session in connected[2:]:
        session.close()


def test_a_file_that_is_missing_or_half_run_is_not_verified(shop: Shop) -> None:
    shop.release(_1_orders="CREATE TABLE orders (id int)")
    assert shop.ask("Verify") == {
        "outcome": "NotVerified",
        "reason": "not applied: 1_orders.sql",
        "head": None,
    }
    shop.migrate()
    assert shop.ask("Verify")["outcome"] == "Verified"
    shop.release(_1_orders="CREATE TABLE orders (id int)", _2_total="ALTER TABLE orders ADD total int")
    assert shop.ask("Verify")["reason"] == "not applied: 2_total.sql"
