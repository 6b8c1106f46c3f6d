"""Two deployments, one database: one migrates, the other waits, and then sees what there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.databases.stage import Running, Shop, new_deployment
from tests.support.waiting import wait_until

ORDERS = "CREATE TABLE orders (id int PRIMARY KEY)"


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_the_second_waits_and_has_nothing_left_to_do(shop: Shop) -> None:
    """Guards the lock in `_wait`: both would run the file."""
    shop.as_migrator("CREATE TABLE gate (id int)")
    shop.release(_1_orders="LOCK TABLE gate; " + ORDERS)
    with shop.session() as session:
        session.run("BEGIN; LOCK TABLE gate")
        first = Running(lambda: shop.migrate(lock_timeout=20))
        wait_until(lambda: len(shop.backends("tidegate-migrate-")) == 1, what="the first to migrate")
        second = Running(lambda: shop.migrate(lock_timeout=20))
        wait_until(lambda: len(shop.backends("tidegate-waits-")) == 1, what="the second to wait")
        session.run("COMMIT")
    assert first.result()["applied"] == 1
    assert second.result() == {"outcome": "Migrated", "reason": "", "head": "1_orders.sql", "applied": 0}
    assert shop.ledger() == [("1_orders.sql", True, 0)]


def test_the_second_is_refused_when_it_does_not_know_what_the_first_did(shop: Shop) -> None:
    shop.as_migrator("CREATE TABLE gate (id int)")
    with shop.session() as session:
        session.run("BEGIN; LOCK TABLE gate")
        shop.release(_1_orders="LOCK TABLE gate; " + ORDERS)
        first = Running(lambda: shop.migrate(lock_timeout=20))
        wait_until(lambda: len(shop.backends("tidegate-migrate-")) == 1, what="the first to migrate")
        shop.release(_2_other="CREATE TABLE other (id int)")
        second = Running(lambda: shop.migrate(lock_timeout=20))
        wait_until(lambda: len(shop.backends("tidegate-waits-")) == 1, what="the second to wait")
        session.run("COMMIT")
    assert first.result()["outcome"] == "Migrated"
    answer = second.result()
    assert (answer["outcome"], answer["head"]) == ("Failed", "1_orders.sql")
    assert "the database is ahead of this release: it has 1_orders.sql" in answer["reason"]
    assert shop.tables() == ["gate", "orders"]


def test_it_does_not_wait_for_ever(shop: Shop) -> None:
    shop.as_migrator("CREATE TABLE gate (id int)")
    shop.release(_1_orders="LOCK TABLE gate; " + ORDERS)
    deployment = new_deployment()
    with shop.session() as session:
        session.run("BEGIN; LOCK TABLE gate")
        first = Running(lambda: shop.migrate(deployment=deployment, lock_timeout=20))
        wait_until(lambda: len(shop.backends("tidegate-migrate-")) == 1, what="the first to migrate")
        answer = shop.migrate(deadline=soon(1.5))
        session.run("COMMIT")
    assert answer["outcome"] == "Failed"
    assert (
        answer["reason"] == f"another migration of this database is under way: tidegate-migrate-{deployment}"
    )
    assert first.result()["outcome"] == "Migrated"


def test_a_task_that_migrates_holds_the_runner_back(shop: Shop) -> None:
    """Alembic takes no lock. Guards the look at other connections in `_wait`."""
    shop.release(_1_orders=ORDERS)
    name = f"tidegate-migrate-{new_deployment()}"
    task = shop.server.connect(shop.database, application_name=name)
    for answer in (shop.migrate(deadline=soon(1.5)), shop.ask("Check")):
        assert answer["outcome"] in ("Failed", "NotReady")
        assert name in answer["reason"]
    assert shop.tables() == []
    waiting = Running(shop.migrate)
    wait_until(lambda: 1.0 in shop.patience.waited[-1:], what="the runner to wait")
    task.close()
    assert waiting.result()["outcome"] == "Migrated"


def test_many_at_once(shop: Shop) -> None:
    shop.release(_1_orders=ORDERS, _2_total="ALTER TABLE orders ADD COLUMN total int")
    runs = [Running(shop.migrate) for _ in range(5)]
    answers = [run.result(60) for run in runs]
    assert [answer["outcome"] for answer in answers] == ["Migrated"] * 5
    assert sum(answer["applied"] for answer in answers) == 2


def test_who_waits_does_not_stop_an_index_from_being_made(shop: Shop) -> None:
    """Waiting in pg_advisory_lock holds a snapshot, for which CONCURRENTLY waits: guards `pg_try_advisory_lock`."""
    shop.as_migrator("CREATE TABLE gate (id int)")
    shop.release(_1_index="-- tidegate: no-transaction\nCREATE INDEX CONCURRENTLY of_gate ON gate (id);")
    with shop.session() as session:
        session.run("BEGIN; INSERT INTO gate VALUES (1)")
        first = Running(lambda: shop.migrate(lock_timeout=20))
        wait_until(lambda: len(shop.backends("tidegate-migrate-")) == 1, what="the first to migrate")
        second = Running(lambda: shop.migrate(lock_timeout=20))
        wait_until(lambda: len(shop.backends("tidegate-waits-")) == 1, what="the second to wait")
        session.run("COMMIT")
    answers = [first.result(), second.result()]
    assert [(answer["outcome"], answer["applied"]) for answer in answers] == [
        ("Migrated", 1),
        ("Migrated", 0),
    ]
    assert shop.patience.waited == [1.0] * len(shop.patience.waited)
    assert shop.indexes("gate") == {"of_gate": True}
