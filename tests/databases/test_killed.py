"""The function is killed while its backend goes on: was the statement never, partly or fully applied? The next run
finds out, and finishes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tidegate.adapters.postgres_connection import PostgresSession
from tidegate.domain.errors import TransientError

from tests.databases.stage import Shop, new_deployment
from tests.support.waiting import wait_until

BARE = "-- tidegate: no-transaction\n"
FILL = """-- tidegate: no-transaction
CREATE TABLE two (id int);
INSERT INTO two VALUES (1);
LOCK TABLE gate;
INSERT INTO two VALUES (2);
"""
PATIENT: dict[str, Any] = {"lock_timeout": 30.0, "statement_timeout": 60.0}


@pytest.fixture
def deployment() -> str:
    return new_deployment()


@contextmanager
def closed_gate(shop: Shop) -> Iterator[None]:
    """A table that no migration can lock, or make an index of, as long as this holds."""
    with shop.session("migrator") as session:
        session.run("CREATE TABLE gate (id int)")
        session.run("BEGIN; INSERT INTO gate VALUES (1)")
        yield
        session.run("COMMIT")


def kill_at_the_gate(shop: Shop, deployment: str) -> None:
    """While its statement waits for a lock; the backend stays."""
    with shop.process("Migrate", deployment=deployment, **PATIENT) as process:
        wait_until(
            lambda: shop.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock' AND starts_with(application_name, 'tidegate-migrate-')"
            ),
            what="the migration to wait at the gate",
        )
        process.kill()
        process.wait()
    assert shop.backends() == [f"tidegate-migrate-{deployment}"]


def test_never_applied(shop: Shop, deployment: str) -> None:
    """The backend has finished its statement, found nobody to tell, and rolled back."""
    shop.release(_1_one="CREATE TABLE one (id int)", _2_two="CREATE TABLE two (id int); LOCK TABLE gate")
    with closed_gate(shop):
        kill_at_the_gate(shop, deployment)
    wait_until(lambda: shop.backends() == [], what="the backend to end")
    assert shop.ledger() == [("1_one.sql", True, 0)]
    assert shop.tables() == ["gate", "one"]
    assert shop.migrate(deployment=deployment)["applied"] == 1
    assert shop.tables() == ["gate", "one", "two"]


def test_terminated_it_leaves_nothing(shop: Shop, deployment: str) -> None:
    shop.release(_1_one="CREATE TABLE one (id int)", _2_two="CREATE TABLE two (id int); LOCK TABLE gate")
    with closed_gate(shop):
        kill_at_the_gate(shop, deployment)
        assert shop.ask("Terminate", deployment=new_deployment())["count"] == 0
        assert shop.ask("Terminate", deployment=deployment) == {
            "outcome": "Terminated",
            "reason": "",
            "head": "1_one.sql",
            "count": 1,
        }
        assert shop.backends() == []


def test_the_next_run_ends_it_by_itself(shop: Shop, deployment: str) -> None:
    shop.release(
        _1_two="CREATE TABLE two (id int); INSERT INTO two SELECT count(*) FROM gate; LOCK TABLE gate"
    )
    with closed_gate(shop):
        kill_at_the_gate(shop, deployment)
        answer = shop.migrate(deployment=deployment, lock_timeout=0.05)
        assert (answer["outcome"], answer["head"]) == ("Failed", None)
        assert shop.tables() == ["gate"]
        # Not in line for the lock until PostgreSQL itself notices that its client is gone.
        assert 1.0 not in shop.patience.waited
    assert shop.migrate(deployment=deployment)["outcome"] == "Migrated"
    assert shop.value("SELECT id FROM two") == 1


@pytest.mark.parametrize("text", ["CREATE TABLE two (id int)", BARE + "CREATE TABLE two (id int)"])
def test_fully_applied(shop: Shop, deployment: str, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """COMMIT took effect, its answer was lost. Guards the row in the same transaction."""
    shop.release(_1_two=text)
    asked = PostgresSession.run

    def lost(session: PostgresSession, sql: str) -> Any:
        rows = asked(session, sql)
        if sql == "COMMIT" and shop.tables() == ["two"]:
            raise TransientError("the connection to the database was lost")
        return rows

    monkeypatch.setattr(PostgresSession, "run", lost)
    with pytest.raises(TransientError):
        shop.migrate(deployment=deployment)
    monkeypatch.undo()
    answer = shop.migrate(deployment=deployment)
    assert (answer["outcome"], answer["head"]) == ("Migrated", "1_two.sql")
    assert shop.ask("Verify")["outcome"] == "Verified"


def test_between_statements_none_runs_twice(shop: Shop, deployment: str) -> None:
    """Guards the transaction of `_recorded`."""
    shop.release(_1_fill=FILL)
    with closed_gate(shop):
        kill_at_the_gate(shop, deployment)
        assert shop.ledger() == [("1_fill.sql", False, 2)]
        assert shop.ask("Terminate", deployment=deployment)["head"] is None
    assert shop.migrate(deployment=deployment)["outcome"] == "Migrated"
    assert shop.rows("SELECT id FROM two ORDER BY 1") == [[1], [2]]


def test_an_index_that_was_made_partly(shop: Shop, deployment: str) -> None:
    """Guards the look at the index of the statement in doubt."""
    shop.release(_1_index=BARE + "CREATE INDEX CONCURRENTLY IF NOT EXISTS of_gate ON gate (id);")
    with closed_gate(shop):
        kill_at_the_gate(shop, deployment)
        assert shop.indexes("gate") == {"of_gate": False}
        shop.ask("Terminate", deployment=deployment)
        assert shop.indexes("gate") == {"of_gate": False}
        assert (
            "DROP INDEX CONCURRENTLY public.of_gate"
            in shop.ask("Verify", runner="task", image=None)["reason"]
        )
    assert shop.migrate(deployment=deployment)["outcome"] == "Migrated"
    assert shop.indexes("gate") == {"of_gate": True}
    assert shop.ledger() == [("1_index.sql", True, 1)]


def test_an_index_that_was_made_fully(shop: Shop, deployment: str) -> None:
    """Guards `valid is True and in_doubt` in `_build`: without IF NOT EXISTS the next run would fail on it."""
    shop.release(_1_index=BARE + "CREATE INDEX CONCURRENTLY of_gate ON gate (id);")
    with closed_gate(shop):
        kill_at_the_gate(shop, deployment)
    wait_until(lambda: shop.backends() == [], what="the backend to finish")
    assert shop.indexes("gate") == {"of_gate": True}
    assert shop.ledger() == [("1_index.sql", False, 0)]
    made = shop.value("SELECT 'of_gate'::regclass::oid")
    assert shop.migrate(deployment=deployment)["outcome"] == "Migrated"
    assert shop.value("SELECT 'of_gate'::regclass::oid") == made


def test_an_index_that_was_dropped_fully(shop: Shop, deployment: str) -> None:
    """Guards `_took_effect`."""
    shop.release(_1_index=BARE + "DROP INDEX CONCURRENTLY of_gate;")
    with shop.session("migrator") as session:
        session.run("CREATE TABLE gate (id int); CREATE INDEX of_gate ON gate (id)")
        session.run("BEGIN; INSERT INTO gate VALUES (1)")
        kill_at_the_gate(shop, deployment)
        session.run("COMMIT")
    wait_until(lambda: shop.backends() == [], what="the backend to finish")
    assert shop.indexes("gate") == {}
    assert shop.ledger() == [("1_index.sql", False, 0)]
    assert shop.migrate(deployment=deployment)["outcome"] == "Migrated"


def test_an_index_of_somebody_else_is_no_doubt(shop: Shop) -> None:
    """Guards `attempting`: what failed for certain is not taken for done by the next run."""
    shop.as_migrator("CREATE TABLE gate (id int); CREATE INDEX of_gate ON gate (id)")
    shop.release(_1_index=BARE + "CREATE TABLE one (id int); CREATE INDEX CONCURRENTLY of_gate ON gate (id);")
    for _ in range(2):
        assert 'relation "of_gate" already exists (42P07)' in shop.migrate()["reason"]
    assert shop.ledger() == [("1_index.sql", False, 1)]
