"""How a migration ends: recorded once, reported with what its task said, and told as schema ahead where it stays."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.errors import OutsideError
from tidegate.domain.migration import PART, MigrationRun
from tidegate.steps import record

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Answer, Shop, crashing

COMMAND = ["alembic", "upgrade", "head"]
Begun = tuple[Shop, Answer, int]


def _run(shop: Shop, planned: Answer) -> MigrationRun:
    found = shop.schemas.run_of(planned["deployment"])
    assert found is not None
    return found


def _record(begun: Begun, outcome: str, **more: Any) -> Answer:
    shop, planned, fence = begun
    return shop.migrate(planned, "Record", fence, outcome=outcome, **{"reason": "", **more})


def _fail(begun: Begun) -> Answer:
    """As `deploy` ends when its migration, or a service after it, has failed."""
    shop, planned, fence = begun
    shop.record(planned, "BeginCompensation", fence)
    ended = shop.record(planned, "Fail", fence, execution={}, request={})
    document: Answer = ended["document"]
    return document


@pytest.fixture
def begun(shop: Shop) -> Begun:
    shop.migrations(service="api", command=COMMAND)
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.migrate(planned, "Prepare", fence)
    return shop, planned, fence


@pytest.fixture
def ran(begun: Begun) -> Begun:
    """Its task runs."""
    shop, planned, fence = begun
    shop.migrate(planned, "RunTask", fence, purpose="Migrate")
    return begun


@pytest.fixture
def sql(shop: Shop) -> Begun:
    shop.migrations(runner="sql", secret="shop/migrator")
    shop.put_sql(2, _0001_a="SELECT 1", _0002_b="SELECT 2")
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.migrate(planned, "Prepare", fence)
    return shop, planned, fence


class TestOneThatWentWell:
    def test_is_what_the_schema_is_since(self, sql: Begun) -> None:
        shop, planned, fence = sql
        assert _record(sql, "Migrated", head="0002_b.sql", head_before=None) == {
            "outcome": "Migrated",
            "reason": "",
            "head": "0002_b.sql",
        }
        schema = shop.schemas.schema(SYSTEM, ENVIRONMENT)
        assert schema is not None
        assert (schema.release, schema.deployment, schema.fence) == (1, planned["deployment"], fence)
        assert (schema.head, sorted(schema.files)) == ("0002_b.sql", ["0001_a.sql", "0002_b.sql"])

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    def test_and_its_schema_are_recorded_in_one_write(self, sql: Begun, lost: str) -> None:
        """Guards `also` in `_migrated`: one without the other would run it twice, or never."""
        shop, planned, _ = sql
        with crashing(shop.world.store, "transact", lost, 0), pytest.raises(Exception, match="transact"):
            _record(sql, "Migrated")
        written = _run(shop, planned).outcome is not None
        assert written == (lost == "loses") == (shop.schemas.schema(SYSTEM, ENVIRONMENT) is not None)
        assert _record(sql, "Migrated")["outcome"] == "Migrated"
        assert shop.schemas.schema(SYSTEM, ENVIRONMENT) is not None

    def test_stays_so_whatever_is_said_afterwards(self, sql: Begun) -> None:
        """The write took effect and its answer was lost: the machine goes to RecordFailure."""
        _record(sql, "Migrated", head="0002_b.sql")
        assert _record(sql, "Failed", reason="a time-out")["outcome"] == "Migrated"
        shop, planned, _ = sql
        assert (_run(shop, planned).outcome, _run(shop, planned).reason) == ("Migrated", "")
        assert shop.ledger.reports(planned["deployment"]) == []


class TestOneThatFailed:
    def test_is_reported_with_its_exit_code_and_last_lines(self, ran: Begun) -> None:
        shop, planned, _ = ran
        [arn] = shop.world.containers.one_offs
        shop.world.logs.write("/ecs/shop-api", f"ecs/app/{arn.rsplit('/', 1)[-1]}", "relation a exists")
        shop.world.containers.end_task(arn, exit_code=1)
        said = _record(ran, "Failed", reason="container app exited with code 1")
        assert said["outcome"] == "Failed"
        [report] = shop.ledger.reports(planned["deployment"])
        assert report.service == PART
        [task] = report.tasks
        assert (task["exit_code"], task["logs"]) == (1, ["relation a exists"])
        assert _fail(ran)["reason"].startswith("the migration: container app exited with code 1")

    def test_counts_once_and_tells_once(self, ran: Begun) -> None:
        shop, planned, fence = ran
        shop.migrate(planned, "StopTask", fence)
        for _ in range(2):
            _record(ran, "Failed", reason="it failed")
        assert [line.what for line in shop.timeline(planned)].count("migration failed") == 1
        assert shop.world.metrics.total("MigrationFailed", system=SYSTEM) == 1

    def test_has_no_password_in_its_reason(self, begun: Begun) -> None:
        shop, planned, _ = begun
        _record(begun, "Failed", reason="postgresql://app:s3cret@db/shop refused")
        [report] = shop.ledger.reports(planned["deployment"])
        assert "s3cret" not in f"{_run(shop, planned)} {report} {shop.timeline(planned)}"

    def test_before_anything_ran_has_changed_nothing(self, begun: Begun) -> None:
        _record(begun, "Failed", reason="the database shop-db is stopped")
        document = _fail(begun)
        assert document["outcome"] == "FailedClean"
        assert document["reason"].endswith("the database shop-db is stopped; nothing had been changed")

    @pytest.mark.parametrize(
        ("found", "ahead"),
        [
            ({"head": "0001_a.sql", "head_before": None}, True),
            ({"head": "0001_a.sql", "head_before": "0000_z.sql"}, True),
            ({"head": "0000_z.sql", "head_before": "0000_z.sql"}, False),
            ({"head": None, "head_before": "0000_z.sql"}, False),
        ],
    )
    def test_in_part_says_how_far_the_schema_is(
        self, sql: Begun, found: dict[str, str | None], ahead: bool
    ) -> None:
        """Guards `may_have_changed`: the first file of an empty database has no head before it."""
        _record(sql, "Failed", reason="0002_b.sql failed", **found)
        document = _fail(sql)
        assert document["outcome"] == "FailedClean"
        if ahead:
            assert "schema may be ahead: the migration of r1 ran in part (0001_a.sql)" in document["reason"]
        else:
            assert document["reason"].endswith("nothing had been changed")


class TestADeploymentThatFailsAfterIt:
    """Row 34."""

    def test_says_that_the_schema_is_ahead(self, sql: Begun) -> None:
        """Guards `schema_ahead` in steps.failing."""
        _record(sql, "Migrated", head="0002_b.sql")
        document = _fail(sql)
        assert document["outcome"] == "FailedClean"
        ahead = "schema ahead: the migration of r1 ran and stays (0002_b.sql)"
        assert document["reason"].endswith(f"; {ahead}")

    def test_says_so_where_services_went_back_as_well(self, sql: Begun) -> None:
        shop, planned, fence = sql
        _record(sql, "Migrated", head="0002_b.sql")
        shop.roll(planned, "api", fence)
        shop.world.containers.fail("shop-api", rollback=False)
        shop.roll(planned, "api", fence, "Revert")
        shop.world.containers.complete("shop-api")
        document = _fail(sql)
        assert document["outcome"] == "FailedClean"
        assert "schema ahead" in document["reason"]

    def test_says_nothing_of_one_that_found_nothing_to_do(self, sql: Begun) -> None:
        _record(sql, "Migrated", head="0002_b.sql", head_before="0002_b.sql")
        assert "ahead" not in _fail(sql)["reason"]


class TestOneThatNobodyEnded:
    """Rows 13 and 22: its execution was stopped, or died."""

    def test_is_to_be_ended_before_services_go_back(self, ran: Begun) -> None:
        shop, planned, fence = ran
        assert shop.record(planned, "BeginCompensation", fence)["end_migration"] is True
        assert shop.migrate(planned, "Prepare", fence, stop=True)["outcome"] == "Stop"
        shop.migrate(planned, "StopTask", fence, token="stop")
        _record(ran, "Failed", reason="its run ended without an outcome")
        assert shop.record(planned, "BeginCompensation", fence)["end_migration"] is False
        assert _fail(ran)["outcome"] == "FailedClean"

    def test_and_that_could_not_be_ended_leaves_the_deployment_dirty(self, ran: Begun) -> None:
        """Guards `left_alive`: a lock that is freed lets the next one migrate beside it."""
        shop, planned, _ = ran
        document = _fail(ran)
        assert document["outcome"] == "FailedDirty"
        assert "its migration may still be at work in the database" in document["reason"]
        assert shop.owner == planned["deployment"]

    def test_one_that_was_recorded_needs_no_end(self, sql: Begun) -> None:
        shop, planned, fence = sql
        _record(sql, "Migrated")
        assert shop.record(planned, "BeginCompensation", fence)["end_migration"] is False

    def test_once_the_deployment_has_ended_nothing_is_recorded_any_more(self, ran: Begun) -> None:
        _fail(ran)
        shop, planned, _ = ran
        before = _run(shop, planned)
        assert _record(ran, "Migrated")["outcome"] == "Failed"
        assert _run(shop, planned) == before
        assert shop.schemas.schema(SYSTEM, ENVIRONMENT) is None


def test_a_deployment_without_migrations_ends_as_ever(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    event = {"step": "BeginCompensation", **shop.place(planned), "fence": fence}
    assert record.run(event, shop.world.ports)["end_migration"] is False
    ended = shop.record(planned, "Fail", fence, execution={}, request={})
    assert ended["document"]["reason"].endswith("nothing had been changed")


def test_nothing_rolls_before_it_has_migrated(begun: Begun) -> None:
    """Guards `_insist_on_migration`: Step Functions goes on with the definition that an execution began with, and one
    from before migrations knows of none."""
    shop, planned, fence = begun
    with pytest.raises(OutsideError, match="migration has not run"):
        shop.roll(planned, "api", fence)
    assert shop.ledger.rollouts(planned["deployment"]) == []
    _record(begun, "Migrated")
    shop.roll(planned, "api", fence, token="later")
    assert len(shop.ledger.rollouts(planned["deployment"])) == 1
