"""Migrations beside an application that uses the table, and indexes that are made while it does."""

from __future__ import annotations

import pytest
from pg8000.exceptions import DatabaseError

from tests.databases.stage import Reader, Running, Shop
from tests.support.waiting import wait_until

BARE = "-- tidegate: no-transaction\n"
LOCK_TIMEOUT = 0.2
# Of two busy cores: what a query takes that waits for nothing but its turn.
MARGIN = 0.4


def orders(shop: Shop, rows: str = "VALUES (1, 1), (2, 1)") -> None:
    shop.as_migrator(f"CREATE TABLE orders (id int PRIMARY KEY, customer int); INSERT INTO orders {rows}")


def test_readers_wait_no_longer_than_the_lock_timeout(shop: Shop) -> None:
    """Guards `lock_timeout` in `Applying.set_limits`: without it the reader waits until the transaction ends; and the
    pause, without which a reader meets the next try at once."""
    orders(shop)
    shop.release(_1_total="ALTER TABLE orders ADD COLUMN total int")
    with shop.session() as old:
        old.run("BEGIN; SELECT * FROM orders")
        reader = Reader(shop, "SELECT count(*) FROM orders")
        migration = Running(lambda: shop.migrate(lock_timeout=LOCK_TIMEOUT))
        wait_until(lambda: len(shop.patience.waited) >= 3, what="three tries for the lock")
        reads = reader.count
        wait_until(lambda: reader.count > reads + 10, what="the reader to get through")
        old.run("COMMIT")
        assert migration.result()["outcome"] == "Migrated"
        reader.stop()
    assert reader.slowest <= LOCK_TIMEOUT + MARGIN
    assert all(pause >= LOCK_TIMEOUT for pause in shop.patience.waited)
    assert shop.columns("orders") == ["customer", "id", "total"]


def test_a_lock_that_is_never_free_ends_the_migration(shop: Shop) -> None:
    orders(shop)
    shop.release(_1_total="CREATE TABLE other (id int); ALTER TABLE orders ADD COLUMN total int")
    with shop.session() as old:
        old.run("BEGIN; SELECT * FROM orders")
        answer = shop.migrate(lock_timeout=0.05)
        old.run("COMMIT")
    assert answer["outcome"] == "Failed"
    assert answer["reason"] == (
        "1_total.sql: canceling statement due to lock timeout (55P03); tried 8 times at most, 0.05 s each"
    )
    assert shop.tables() == ["orders"]
    assert shop.ledger() == []


def test_an_index_is_made_concurrently(shop: Shop) -> None:
    orders(shop)
    shop.release(_1_index=BARE + "CREATE INDEX CONCURRENTLY by_customer ON orders (customer);")
    assert shop.migrate()["outcome"] == "Migrated"
    assert shop.indexes("orders") == {"orders_pkey": True, "by_customer": True}


def test_duplicates_leave_no_invalid_index(shop: Shop) -> None:
    """Guards `Applying._clear`: the index would stay, cost each write, and refuse more duplicates."""
    orders(shop)
    shop.release(
        _1_index=BARE + "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_each ON orders (customer);"
    )
    answer = shop.migrate()
    assert answer["outcome"] == "Failed"
    assert 'could not create unique index "one_each" (23505)' in answer["reason"]
    assert shop.indexes("orders") == {"orders_pkey": True}
    assert shop.ledger() == []
    shop.as_migrator("DELETE FROM orders WHERE id = 2")
    assert shop.migrate()["outcome"] == "Migrated"
    assert shop.indexes("orders") == {"orders_pkey": True, "one_each": True}


def test_if_not_exists_does_not_succeed_over_an_invalid_index(shop: Shop) -> None:
    """Guards the look before the build in `Applying._build`."""
    orders(shop)
    _leave_invalid(shop)
    shop.as_migrator("DELETE FROM orders WHERE id = 2")
    shop.release(
        _1_index=BARE
        + 'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "One Each" ON public.orders (customer);'
    )
    assert shop.migrate()["outcome"] == "Migrated"
    assert shop.indexes("orders") == {"orders_pkey": True, "One Each": True}


def test_an_index_that_cannot_be_made_for_an_old_transaction_is_gone_afterwards(shop: Shop) -> None:
    """CONCURRENTLY waits for every transaction that began before it; lock_timeout ends that wait, and it is tried
    again over what it left."""
    orders(shop)
    shop.release(_1_index=BARE + "CREATE INDEX CONCURRENTLY by_customer ON orders (customer);")
    with shop.session() as old:
        old.run("BEGIN; INSERT INTO orders VALUES (3, 3)")
        migration = Running(lambda: shop.migrate(lock_timeout=LOCK_TIMEOUT))
        wait_until(lambda: len(shop.patience.waited) >= 2, what="two tries")
        old.run("COMMIT")
        assert migration.result()["outcome"] == "Migrated"
    assert shop.indexes("orders") == {"orders_pkey": True, "by_customer": True}


def test_an_invalid_index_that_cannot_be_dropped_is_dropped_by_the_next_run(shop: Shop) -> None:
    orders(shop)
    shop.release(_1_index=BARE + "CREATE INDEX CONCURRENTLY by_customer ON orders (customer);")
    with shop.session() as old:
        # It holds a snapshot and, once the build has begun, a lock that DROP INDEX needs.
        old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders")
        old.run("INSERT INTO orders VALUES (3, 3)")
        answer = shop.migrate(lock_timeout=0.05)
        left = shop.indexes("orders")
        old.run("COMMIT")
    assert answer["outcome"] == "Failed"
    assert left == {"orders_pkey": True, "by_customer": False}
    assert "the invalid index it left could not be dropped" in answer["reason"]
    assert "the next run does that first" in answer["reason"]
    assert shop.migrate()["outcome"] == "Migrated"
    assert shop.indexes("orders") == {"orders_pkey": True, "by_customer": True}


def test_a_deadlock_is_tried_again(shop: Shop) -> None:
    """Guards 40P01 among what `_again` tries again."""
    shop.as_migrator("CREATE TABLE first (id int); CREATE TABLE second (id int)")
    shop.release(
        _1_both="LOCK TABLE first; SELECT pg_sleep(0.3); LOCK TABLE second; CREATE TABLE third (id int)"
    )
    with shop.session() as other:
        other.run("SET deadlock_timeout = '20s'; BEGIN; LOCK TABLE second")
        migration = Running(lambda: shop.migrate(lock_timeout=1.5))
        wait_until(
            lambda: shop.value(
                "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
                "WHERE c.relname = 'first' AND granted AND mode = 'AccessExclusiveLock'"
            ),
            what="the migration to hold the first table",
        )
        other.run("LOCK TABLE first")
        other.run("COMMIT")
        assert migration.result()["outcome"] == "Migrated"
    assert len(shop.patience.waited) == 1
    assert shop.tables() == ["first", "second", "third"]


def test_verify_names_an_invalid_index_and_its_mend(shop: Shop) -> None:
    orders(shop)
    _leave_invalid(shop)
    for answer in (
        shop.ask("Verify", runner="task", image=None),
        shop.ask("Check", runner="task", image=None),
    ):
        assert answer["outcome"] in ("NotVerified", "NotReady")
        assert 'DROP INDEX CONCURRENTLY public."One Each"' in answer["reason"]


def _leave_invalid(shop: Shop) -> None:
    with shop.session("migrator") as session, pytest.raises(DatabaseError, match="23505"):
        session.run('CREATE UNIQUE INDEX CONCURRENTLY "One Each" ON orders (customer)')
    assert shop.indexes("orders")["One Each"] is False
