"""What runner `sql` leaves in a real database, seen by SQL: on each version of PostgreSQL."""

from __future__ import annotations

from tests.databases.stage import Shop

ORDERS = "CREATE TABLE orders (id int PRIMARY KEY);"


def test_an_expand_migration_runs_once(shop: Shop) -> None:
    shop.release(_1_orders=ORDERS, _2_total="ALTER TABLE orders ADD COLUMN total int;")
    assert shop.migrate() == {"outcome": "Migrated", "reason": "", "head": "2_total.sql", "applied": 2}
    assert shop.columns("orders") == ["id", "total"]
    assert shop.ledger() == [("1_orders.sql", True, 0), ("2_total.sql", True, 0)]
    assert shop.migrate() == {"outcome": "Migrated", "reason": "", "head": "2_total.sql", "applied": 0}
    assert shop.ask("Verify") == {"outcome": "Verified", "reason": "", "head": "2_total.sql"}
    assert shop.backends() == []
