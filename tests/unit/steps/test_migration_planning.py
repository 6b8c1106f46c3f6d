"""What a plan says of migrations: done once, refused where the database is another, never a step back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tidegate.domain.migration_lint import LINT
from tidegate.domain.plan import Plan
from tidegate.steps.migration_planning import LINTER_LABEL
from tidegate.steps.plan_release import MIGRATED

from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, Answer, Shop, digest

COMMAND = ["alembic", "upgrade", "head"]
EXPAND = "ALTER TABLE a ADD COLUMN b int"
CONTRACT = "ALTER TABLE a DROP COLUMN b"


@pytest.fixture
def task_shop(shop: Shop) -> Shop:
    shop.migrations(service="api", command=COMMAND)
    return shop


@pytest.fixture
def sql_shop(shop: Shop) -> Shop:
    """Version 2 brings one file, version 3 one more."""
    shop.migrations(runner="sql", secret="shop/migrator")
    shop.put_sql(2, _0001_a=EXPAND)
    shop.put_sql(3, _0001_a=EXPAND, _0002_b=EXPAND)
    return shop


@pytest.fixture
def contracted(sql_shop: Shop) -> Shop:
    """r1 has succeeded, then r2, whose migration took something away."""
    sql_shop.put_sql(3, _0001_a=EXPAND, _0002_b=CONTRACT)
    sql_shop.go_out(2)
    sql_shop.go_out(3)
    return sql_shop


def _plan(shop: Shop, planned: Answer) -> Plan:
    plan = shop.deployment(planned).plan
    assert plan is not None
    return plan


def _pending(shop: Shop, planned: Answer) -> list[str]:
    migration = _plan(shop, planned).migration
    return [] if migration is None else [file.name for file in migration.pending]


def _alone(shop: Shop, version: int, **request: Any) -> Answer:
    return shop.release(version, only="migrations", **request)


def test_a_task_takes_the_shape_the_image_and_the_network_of_its_service(task_shop: Shop) -> None:
    planned = task_shop.release(2)
    migration = _plan(task_shop, planned).migration
    assert migration is not None
    assert (migration.runner, migration.service, migration.ecs_service) == ("task", "api", "shop-api")
    assert migration.command == tuple(COMMAND)
    assert migration.image_uri.endswith(f"{REPOSITORY}@{digest(2)}")
    assert planned["migration"] == migration.longest > 900
    assert task_shop.timeline(planned)[0].detail == "r1: migrations (app), then api, then worker"


def test_sql_files_are_planned_as_they_will_run(sql_shop: Shop) -> None:
    planned = sql_shop.release(3)
    assert _pending(sql_shop, planned) == ["0001_a.sql", "0002_b.sql"]
    assert sql_shop.timeline(planned)[0].detail == "r1: migrations (2 files), then api, then worker"


def test_the_linters_findings_are_those_of_the_image(sql_shop: Shop) -> None:
    sql_shop.world.images.labels[REPOSITORY, digest(2)] = {LINTER_LABEL: "squawk 2"}
    migration = _plan(sql_shop, sql_shop.release(2)).migration
    assert migration is not None
    assert migration.linter == "squawk 2"


def test_findings_that_had_no_room_are_counted(sql_shop: Shop) -> None:
    """They are of no file, so no file can tell of them."""
    lint = '{"findings": [], "left_out": {"": 3}}'
    sql_shop.world.images.labels[REPOSITORY, digest(2)] = {LINTER_LABEL: "squawk 2", LINT: lint}
    migration = _plan(sql_shop, sql_shop.release(2)).migration
    assert migration is not None
    assert migration.linter == "squawk 2; 3 more findings were left out of the image's label"


def test_an_image_is_read_once(sql_shop: Shop) -> None:
    sql_shop.plan_again(*_under_lock(sql_shop, sql_shop.release(2)))
    sql_shop.release(2, reason="again")
    assert sql_shop.world.images.called("folder") == 1


def _under_lock(shop: Shop, planned: Answer) -> tuple[Answer, int]:
    return planned, shop.acquire(planned)


class TestDoneOnce:
    def test_the_same_image_is_never_migrated_twice(self, task_shop: Shop) -> None:
        """Guards `schema.done` in `propose_migration`."""
        task_shop.go_out(2)
        assert task_shop.release(2)["outcome"] == "NoChange"
        task_shop.go_out(3)
        back = task_shop.release(2)
        assert _plan(task_shop, back).migration is None
        assert back["migration"] == 0

    def test_nor_when_its_deployment_failed_after_it(self, task_shop: Shop) -> None:
        planned = task_shop.release(2)
        fence = task_shop.acquire(planned)
        task_shop.migrated(planned, fence)
        assert task_shop.record(planned, "Fail", fence, execution={}, request={})["outcome"] == "FailedClean"
        assert _plan(task_shop, task_shop.release(2)).migration is None

    def test_one_that_failed_is_done_again(self, task_shop: Shop) -> None:
        planned = task_shop.release(2)
        fence = task_shop.acquire(planned)
        task_shop.migrate(planned, "Prepare", fence)
        task_shop.migrate(planned, "Record", fence, outcome="Failed", reason="exit code 1")
        task_shop.record(planned, "Fail", fence, execution={}, request={})
        assert _plan(task_shop, task_shop.release(2)).migration is not None

    def test_by_force_it_is(self, task_shop: Shop) -> None:
        task_shop.go_out(2)
        assert _plan(task_shop, _alone(task_shop, 2, force=True)).migration is not None

    def test_another_command_is_another_migration(self, task_shop: Shop) -> None:
        task_shop.go_out(2)
        task_shop.migrations(service="api", command=[*COMMAND, "--sql"])
        assert _plan(task_shop, _alone(task_shop, 2)).migration is not None

    def test_a_new_image_with_the_same_files_brings_nothing(self, sql_shop: Shop) -> None:
        """Guards `_identity`: of SQL files it is what they say, whichever image they come in."""
        sql_shop.go_out(2)
        sql_shop.put_sql(3, _0001_a=EXPAND)
        planned = sql_shop.release(3)
        assert planned["outcome"] == "Ready"
        assert _plan(sql_shop, planned).migration is None
        assert [wave["services"] for wave in planned["waves"]] == [["api"], ["worker"]]

    def test_what_ran_is_not_pending_any_more(self, sql_shop: Shop) -> None:
        sql_shop.go_out(2)
        assert _pending(sql_shop, sql_shop.release(3)) == ["0002_b.sql"]

    def test_a_rollback_migrates_nothing(self, sql_shop: Shop) -> None:
        sql_shop.go_out(2)
        sql_shop.go_out(3)
        planned = sql_shop.plan(step="PlanRollback")
        assert planned["outcome"] == "Ready"
        assert _plan(sql_shop, planned).migration is None


class TestRefusals:
    """At plan time: nothing has been touched."""

    @staticmethod
    def refused(shop: Shop, version: int, field: str, *said: str) -> None:
        planned = shop.release(version)
        assert planned["outcome"] == "Refused"
        assert planned["reason"].startswith(f"{field}: ")
        for words in said:
            assert words in planned["reason"]

    def test_a_file_that_changed_since_it_ran(self, sql_shop: Shop) -> None:
        sql_shop.go_out(2)
        sql_shop.put_sql(3, _0001_a=EXPAND + " DEFAULT 1")
        self.refused(sql_shop, 3, "migrations", "0001_a.sql changed since the database has it")

    def test_a_database_that_is_ahead(self, sql_shop: Shop) -> None:
        sql_shop.go_out(3)
        self.refused(sql_shop, 2, "migrations", "the database is ahead", "0002_b.sql")

    def test_a_file_that_comes_too_late(self, sql_shop: Shop) -> None:
        sql_shop.put_sql(2, _0002_b=EXPAND)
        sql_shop.go_out(2)
        self.refused(sql_shop, 3, "migrations", "0001_a.sql never ran", "0002_b.sql")

    def test_an_image_without_files(self, sql_shop: Shop) -> None:
        sql_shop.put_sql(3)
        self.refused(sql_shop, 3, "migrations.directory", "no SQL files in /migrations")

    def test_a_file_that_is_none(self, sql_shop: Shop) -> None:
        sql_shop.put_sql(3, _first=EXPAND)
        self.refused(sql_shop, 3, "migrations.directory", "first.sql")

    def test_files_that_a_task_runs_itself_are_only_looked_at(self, shop: Shop) -> None:
        """Alembic knows its own history better: rendered SQL may change without harm."""
        shop.migrations(service="api", command=COMMAND, directory="/migrations")
        shop.put_sql(2, _0001_a=EXPAND)
        shop.put_sql(3, _0001_a=CONTRACT)
        shop.go_out(2)
        planned = shop.release(3)
        assert planned["outcome"] == "Ready"

    def test_migrations_alone_without_any(self, shop: Shop) -> None:
        planned = _alone(shop, 2)
        assert planned["outcome"] == "Refused"
        assert planned["reason"].startswith("only: ")


class TestAContractStep:
    @pytest.fixture
    def planned(self, sql_shop: Shop) -> Answer:
        sql_shop.go_out(2)
        sql_shop.put_sql(3, _0001_a=EXPAND, _0002_b=CONTRACT)
        return sql_shop.release(3)

    def test_needs_a_person(self, sql_shop: Shop, planned: Answer) -> None:
        """Guards `contracts` in `propose_deploy`."""
        assert planned["outcome"] == "Approval"
        assert sql_shop.deployment(planned).approval == "required"
        migration = _plan(sql_shop, planned).migration
        assert migration is not None
        [step] = migration.contracts
        assert step.name == "0002_b.sql"
        assert step.reasons

    def test_that_is_already_done_needs_none(self, sql_shop: Shop) -> None:
        sql_shop.put_sql(3, _0001_a=CONTRACT)
        sql_shop.go_out(3)
        sql_shop.put_sql(2, _0001_a=CONTRACT)
        assert sql_shop.release(2)["outcome"] == "Ready"

    def test_keeps_the_environments_own_approval(self, shop: Shop) -> None:
        shop.register(approval={"by": "other"})
        text = shop.world.registry.manifest(SYSTEM, ENVIRONMENT)
        assert isinstance(text, dict)
        migrations = {"runner": "sql", "secret": "shop/migrator"}
        shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, {**text, "migrations": migrations})
        shop.put_sql(2, _0001_a=CONTRACT)
        assert shop.deployment(shop.release(2)).approval == "other"

    def test_is_asked_about_again_when_the_plan_is_another_by_then(
        self, sql_shop: Shop, planned: Answer
    ) -> None:
        """Guards the migration in `Plan.hash`: what was approved is this migration and no other."""
        sql_shop.await_approval(planned)
        self.approve(sql_shop, planned)
        assert sql_shop.answers["approval-token"]["outcome"] == "Approved"
        fence = sql_shop.acquire(planned)
        assert sql_shop.plan_again(planned, fence)["outcome"] == "Ready"
        sql_shop.migrations(runner="sql", secret="shop/migrator", statement_timeout="1h")
        assert sql_shop.plan_again(planned, fence)["outcome"] == "Approval"

    @staticmethod
    def approve(shop: Shop, planned: Answer) -> None:
        plan = _plan(shop, planned).hash
        status, said = shop.command("approve", deployment=planned["deployment"], plan=plan, reason="seen")
        assert status < 300, said


class TestAStepBack:
    """Over a step that cannot be undone: the code that ran before it may need what is gone."""

    @pytest.mark.parametrize(
        ("back", "field"),
        [
            (lambda shop, **more: shop.plan(step="PlanRollback", **more), "to"),
            (lambda shop, **more: shop.plan(step="PlanRollback", to="r1", **more), "to"),
            (lambda shop, **more: shop.plan(release="r1", **more), "release"),
        ],
    )
    def test_is_refused_unless_it_is_forced(
        self, contracted: Shop, back: Callable[..., Answer], field: str
    ) -> None:
        """Guards `refuse_step_back`."""
        refused = back(contracted)
        assert refused["outcome"] == "Refused"
        assert refused["reason"].startswith(f"{field}: r1 ran here before 0002_b.sql (r2)")
        assert "--force" in refused["reason"]

    def test_a_forced_rollback_passes(self, contracted: Shop) -> None:
        planned = contracted.plan(step="PlanRollback", to="r1", force=True)
        assert planned["outcome"] == "Ready"
        assert contracted.plan_again(*_under_lock(contracted, planned))["outcome"] == "Ready"

    def test_a_forced_release_of_old_code_passes_where_the_task_knows_its_database(self, shop: Shop) -> None:
        """With the runner sql the files themselves refuse it: the database is ahead of them."""
        shop.migrations(service="api", command=COMMAND, directory="/migrations")
        shop.put_sql(2, _0001_a=EXPAND)
        shop.put_sql(3, _0001_a=EXPAND, _0002_b=CONTRACT)
        shop.go_out(2)
        shop.go_out(3)
        assert shop.plan(release="r1")["outcome"] == "Refused"
        assert shop.plan(release="r1", force=True)["outcome"] == "Ready"

    def test_a_release_that_succeeded_since_passes(self, contracted: Shop) -> None:
        contracted.world.images.push(REPOSITORY, digest(4), "c4")
        contracted.put_sql(4, _0001_a=EXPAND, _0002_b=CONTRACT)
        contracted.go_out(4)
        assert contracted.plan(step="PlanRollback")["outcome"] == "Ready"

    def test_the_release_that_runs_passes(self, contracted: Shop) -> None:
        """It ran when the step was taken: r3 took it and failed, r2 is what runs, and is gone back to."""
        contracted.world.images.push(REPOSITORY, digest(4), "c4")
        contracted.put_sql(4, _0001_a=EXPAND, _0002_b=CONTRACT, _0003_c=CONTRACT)
        planned = contracted.release(4)
        fence = contracted.acquire(planned)
        contracted.migrated(planned, fence)
        assert contracted.plan(step="PlanRollback", to="r2")["outcome"] in ("Ready", "NoChange")
        contracted.record(planned, "Fail", fence, execution={}, request={})
        assert contracted.plan(release="r2")["outcome"] == "NoChange"

    def test_migrations_alone_are_no_step_back(self, contracted: Shop) -> None:
        assert _alone(contracted, 2)["outcome"] == "NoChange"


class TestMigrationsAlone:
    def test_roll_nothing_and_wait_for_nobody(self, task_shop: Shop) -> None:
        planned = _alone(task_shop, 2)
        plan = _plan(task_shop, planned)
        assert (planned["outcome"], planned["waves"]) == ("Ready", [])
        assert plan.changed == ()
        assert plan.migration is not None
        assert (plan.bake, plan.guard) == (None, None)
        assert task_shop.timeline(planned)[0].what == "migrations requested by ada"

    def test_do_not_wait_for_an_ecs_deployment_of_somebody_else(self, task_shop: Shop) -> None:
        revision = task_shop.world.containers.add_task_definition("shop-api")
        task_shop.world.containers.supersede("shop-api", revision.arn)
        planned, fence = _under_lock(task_shop, _alone(task_shop, 2))
        assert task_shop.plan_again(planned, fence)["outcome"] == "Ready"

    def test_do_not_become_current_and_publish_no_image(self, task_shop: Shop) -> None:
        """Guards `releases` of the deployment, and `only_migrations` before `publish_image`."""
        planned, fence = _under_lock(task_shop, _alone(task_shop, 2))
        task_shop.migrated(planned, fence)
        assert task_shop.record(planned, "Succeed", fence)["outcome"] == "Succeeded"
        current = task_shop.ledger.current(SYSTEM, ENVIRONMENT)
        assert current is None or current.release == 0
        assert task_shop.world.registry.images == {}
        assert task_shop.running("shop-api") == digest(1)
        assert task_shop.ledger.standing(SYSTEM, ENVIRONMENT, 1) is None
        assert task_shop.owner is None

    def test_are_not_run_again_by_the_release_that_follows(self, task_shop: Shop) -> None:
        planned, fence = _under_lock(task_shop, _alone(task_shop, 2))
        task_shop.migrated(planned, fence)
        task_shop.record(planned, "Succeed", fence)
        follows = task_shop.release(2)
        assert follows["outcome"] == "Ready"
        assert _plan(task_shop, follows).migration is None
        assert _alone(task_shop, 2)["reason"] == MIGRATED

    def test_that_fail_leave_no_verdict_on_the_release(self, task_shop: Shop) -> None:
        planned, fence = _under_lock(task_shop, _alone(task_shop, 2))
        task_shop.migrate(planned, "Prepare", fence)
        task_shop.migrate(planned, "Record", fence, outcome="Failed", reason="exit code 1")
        assert task_shop.record(planned, "Fail", fence, execution={}, request={})["outcome"] == "FailedClean"
        assert task_shop.ledger.standing(SYSTEM, ENVIRONMENT, 1) is None
