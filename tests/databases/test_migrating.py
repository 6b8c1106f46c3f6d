"""What runner `sql` leaves in a real database, seen by SQL: on each version of PostgreSQL."""

from __future__ import annotations

import pytest

from tests.databases.stage import Shop

ORDERS = "CREATE TABLE orders (id int PRIMARY KEY);"
FILLED = "INSERT INTO orders VALUES (1);"
TOTAL = "ALTER TABLE orders ADD COLUMN total int;"


def test_an_expand_migration_runs_once(shop: Shop) -> None:
    shop.release(_1_orders=ORDERS, _2_total=TOTAL)
    assert shop.migrate() == {"outcome": "Migrated", "reason": "", "head": "2_total.sql", "applied": 2}
    assert shop.columns("orders") == ["id", "total"]
    assert shop.ledger() == [("1_orders.sql", True, 0), ("2_total.sql", True, 0)]
    assert shop.migrate() == {"outcome": "Migrated", "reason": "", "head": "2_total.sql", "applied": 0}
    assert shop.ask("Verify") == {"outcome": "Verified", "reason": "", "head": "2_total.sql"}
    assert shop.backends() == []


def test_a_file_that_fails_half_way_leaves_nothing(shop: Shop) -> None:
    """Guards BEGIN and COMMIT in `Applying._in_transaction`."""
    shop.release(_1_orders=ORDERS, _2_total="\n".join([TOTAL, FILLED, "SELECT 1 / 0;"]), _3_late="SELECT 1")
    answer = shop.migrate()
    assert (answer["outcome"], answer["head"], answer["applied"]) == ("Failed", "1_orders.sql", 1)
    assert answer["reason"] == "2_total.sql: division by zero (22012)"
    assert shop.columns("orders") == ["id"]
    assert shop.value("SELECT count(*) FROM orders") == 0
    assert shop.ledger() == [("1_orders.sql", True, 0)]
    shop.release(_1_orders=ORDERS, _2_total=TOTAL)
    assert shop.migrate()["outcome"] == "Migrated"


def test_a_file_without_a_transaction_goes_on_where_it_failed(shop: Shop) -> None:
    """Guards the statement's number in the ledger: the second run would add the row again."""
    text = """-- tidegate: no-transaction
        SET search_path = public;
        INSERT INTO orders VALUES (1);
        INSERT INTO lines VALUES (1);
        VACUUM orders;"""
    shop.release(_1_orders=ORDERS, _2_fill=text)
    answer = shop.migrate()
    assert (answer["outcome"], answer["applied"]) == ("Failed", 1)
    assert answer["reason"] == (
        '2_fill.sql, statement 3 (INSERT INTO lines VALUES (1)): relation "lines" does not exist (42P01)'
    )
    assert shop.ledger() == [("1_orders.sql", True, 0), ("2_fill.sql", False, 2)]
    assert shop.ask("Verify")["reason"] == "not applied: 2_fill.sql"
    shop.as_migrator("CREATE TABLE lines (id int)")
    assert shop.migrate() == {"outcome": "Migrated", "reason": "", "head": "2_fill.sql", "applied": 1}
    assert shop.value("SELECT count(*) FROM orders") == 1
    assert shop.ledger()[1] == ("2_fill.sql", True, 4)


def test_a_file_of_which_nothing_ran_may_change(shop: Shop) -> None:
    """Guards `SqlLedger.forget`: the text that cannot run would be wanted for ever."""
    shop.release(_1_fill="-- tidegate: no-transaction\nVACUUM nothing; VACUUM;")
    assert shop.migrate()["outcome"] == "Failed"
    assert shop.ledger() == []
    shop.release(_1_fill="-- tidegate: no-transaction\nVACUUM;")
    assert shop.migrate()["outcome"] == "Migrated"


def test_a_file_of_which_a_part_ran_may_not_change(shop: Shop) -> None:
    shop.release(_1_fill=f"-- tidegate: no-transaction\n{ORDERS} VACUUM nothing;")
    assert shop.migrate()["outcome"] == "Failed"
    shop.release(_1_fill=f"-- tidegate: no-transaction\n{ORDERS} VACUUM orders;")
    answer = shop.migrate()
    assert answer["outcome"] == "Failed"
    assert "1_fill.sql changed, and the database has 1 statements of it as r42 had it" in answer["reason"]
    shop.release(_2_other="SELECT 1")
    assert "which this release does not have" in shop.migrate()["reason"]


def test_the_checksum_of_a_file_that_ran_is_kept(shop: Shop) -> None:
    shop.release(_1_orders=ORDERS)
    shop.migrate()
    shop.release(_1_orders=ORDERS + " -- changed", _2_total=TOTAL)
    answer = shop.migrate()
    assert (answer["outcome"], answer["head"]) == ("Failed", "1_orders.sql")
    assert answer["reason"] == (
        "1_orders.sql changed since the database has it: "
        "restore its text, and put the change into a file of its own"
    )
    assert shop.ask("Verify")["outcome"] == "NotVerified"
    assert shop.columns("orders") == ["id"]


def test_an_older_release_is_refused(shop: Shop) -> None:
    shop.release(_1_orders=ORDERS, _2_total=TOTAL)
    shop.migrate()
    shop.release(_1_orders=ORDERS)
    answer = shop.migrate()
    assert (answer["outcome"], answer["head"]) == ("Failed", "2_total.sql")
    assert "the database is ahead of this release: it has 2_total.sql" in answer["reason"]


def test_a_file_that_comes_too_late_is_refused(shop: Shop) -> None:
    shop.release(_1_orders=ORDERS, _3_total=TOTAL)
    shop.migrate()
    shop.release(_1_orders=ORDERS, _2_late="CREATE TABLE late (id int)", _3_total=TOTAL)
    assert shop.migrate()["reason"] == (
        "2_late.sql never ran, and comes before 3_total.sql, which did: give it a number after 3_total.sql"
    )
    assert shop.tables() == ["orders"]


def test_what_a_file_sets_is_of_that_file_alone(shop: Shop) -> None:
    """Guards the resets of `Applying.set_limits` and the ledger's name with its schema."""
    shop.server.made += 1
    with shop.session() as admin:
        admin.run("GRANT app TO migrator; CREATE SCHEMA other AUTHORIZATION app")
    shop.release(
        _1_dump="SELECT pg_catalog.set_config('search_path', '', false); SET lock_timeout = 0; SET ROLE app; "
        "CREATE TABLE other.theirs (id int);",
        _2_orders=ORDERS,
        _3_bare="""-- tidegate: no-transaction
            SET search_path = other; SET ROLE app; CREATE TABLE more (id int); VACUUM;""",
        _4_limit="DO $$ BEGIN IF current_setting('lock_timeout') <> '200ms' THEN RAISE 'unlimited'; END IF; END $$",
    )
    assert shop.migrate()["outcome"] == "Migrated"
    assert shop.tables() == ["orders"]
    assert shop.rows("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'other' ORDER BY 1") == [
        ["more", "app"],
        ["theirs", "app"],
    ]
    assert [finished for _, finished, _ in shop.ledger()] == [True] * 4


def test_a_ledger_that_went_out_of_sight_is_found(shop: Shop) -> None:
    """Guards `SqlLedger.elsewhere`: every file would run again."""
    shop.release(_1_orders="CREATE TABLE IF NOT EXISTS orders (id int)")
    shop.migrate()
    shop.as_migrator("CREATE SCHEMA other")
    with shop.session() as admin:
        admin.run(f"ALTER ROLE migrator IN DATABASE {shop.database} SET search_path = other")
    answer = shop.migrate()
    assert answer["outcome"] == "Failed"
    assert "says the table public.tidegate_migrations" in answer["reason"]
    assert shop.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'other'") == 0


def test_a_procedure_may_commit(shop: Shop) -> None:
    """PostgreSQL takes it in no transaction, which only it knows: guards the second try of `_recorded`."""
    shop.release(
        _1_batches="""-- tidegate: no-transaction
            CREATE TABLE batches (id int);
            CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$
            BEGIN FOR i IN 1..3 LOOP INSERT INTO batches VALUES (i); COMMIT; END LOOP; END $$;
            CALL fill();"""
    )
    assert shop.migrate()["outcome"] == "Migrated"
    assert shop.value("SELECT count(*) FROM batches") == 3


def test_a_statement_that_takes_too_long_is_ended(shop: Shop) -> None:
    shop.release(_1_slow="CREATE TABLE slow (id int); SELECT pg_sleep(30);")
    answer = shop.migrate(statement_timeout=0.3)
    assert (answer["outcome"], answer["head"]) == ("Failed", None)
    assert answer["reason"] == "1_slow.sql: canceling statement due to statement timeout (57014)"
    assert shop.tables() == []
    assert shop.ledger() == []


@pytest.mark.parametrize("step", ["Check", "Migrate", "Verify", "Terminate"])
def test_a_role_that_may_make_nothing(shop: Shop, step: str) -> None:
    """PostgreSQL 15 gives PUBLIC no CREATE on `public`."""
    shop.secrets.value = shop.server.secret(shop.database, username="app")
    shop.release(_1_orders=ORDERS)
    answer = shop.ask(step)
    expected = {"Check": "Ready", "Migrate": "Failed", "Verify": "NotVerified", "Terminate": "Terminated"}
    assert answer["outcome"] == expected[step]
    assert step != "Migrate" or "permission denied for schema public" in answer["reason"]
