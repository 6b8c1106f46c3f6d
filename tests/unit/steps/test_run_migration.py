"""A migration's task and snapshot: once, whatever is lost in between, and stopped before anything goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from tidegate.domain.errors import LostLockError, NotFoundError, OutsideError, TransientError
from tidegate.domain.migration import MigrationRun
from tidegate.ports import NO_CAPACITY
from tidegate.steps import wake
from tidegate.steps.run_migration import application_name

from tests.unit.steps.conftest import (
    CLUSTER,
    DATABASE,
    ENVIRONMENT,
    REPOSITORY,
    SYSTEM,
    Answer,
    Shop,
    crashing,
    digest,
)

COMMAND, VERIFY = ["alembic", "upgrade", "head"], ["alembic", "current", "--check-heads"]
ABORTED = "aborted by grace: wrong release"


class Migration:
    """The release of version 2 under its lock: a task that migrates, one that verifies, a snapshot before both."""

    def __init__(self) -> None:
        self.shop = Shop()
        self.shop.migrations(service="api", command=COMMAND, verify=VERIFY, snapshot="before")
        self.planned = self.shop.release(2)
        self.fence = self.shop.acquire(self.planned)

    @property
    def run(self) -> MigrationRun:
        found = self.shop.schemas.run_of(self.planned["deployment"])
        assert found is not None
        return found

    @property
    def tasks(self) -> list[str]:
        return list(self.shop.world.containers.one_offs)

    @property
    def waiting(self) -> list[str]:
        return [item["awaited"] for item in self.shop.ledger.open_items() if item["type"] == "token"]

    def step(self, step: str, **more: Any) -> Answer:
        return self.shop.migrate(self.planned, step, self.fence, **more)

    def start(self, token: str = "task", purpose: str = "Migrate") -> Answer | None:
        self.step("RunTask", purpose=purpose, token=token)
        return self.shop.answers.get(token)

    def stop(self, token: str = "stop") -> Answer | None:
        self.step("StopTask", token=token)
        return self.shop.answers.get(token)

    def abort(self) -> None:
        deployment = self.shop.deployment(self.planned)
        assert self.shop.people.ask_abort(deployment.id, deployment, "grace", "wrong release")

    def make_snapshot(self) -> None:
        snapshots = self.shop.world.backups.snapshots
        snapshots.update(dict.fromkeys(snapshots, "available"))

    def all_of_it(self) -> None:
        """As the machine goes, each step again where it raised what is retried."""
        again = self._again
        again(lambda: self.step("Prepare"))
        again(lambda: self.step("AwaitSnapshot", token="snapshot"))
        self.make_snapshot()
        again(self.shop.resume)
        assert self.shop.answers["snapshot"]["outcome"] == "Made"
        for purpose in ("Migrate", "Verify"):
            again(lambda purpose=purpose: self.start(purpose, purpose))  # type: ignore[misc]
            for arn in self.tasks:
                self.shop.world.containers.end_task(arn)
            again(self.shop.resume)
            assert self.shop.answers[purpose] == {"outcome": "Exited", "reason": ""}
        again(lambda: self.step("Record", outcome="Migrated", reason=""))

    @staticmethod
    def _again(step: Callable[[], Any]) -> None:
        try:
            step()
        except TransientError:
            step()


@pytest.fixture
def migration() -> Migration:
    made = Migration()
    made.step("Prepare")
    return made


FAKES = ("store", "containers", "backups", "executions", "metrics")


def _calls() -> list[tuple[str, str, int]]:
    """(fake, method, number) of every call that a whole migration makes, as they are recorded."""
    migration = Migration()
    fakes = {name: getattr(migration.shop.world, name) for name in FAKES}
    before = {name: len(fake.calls) for name, fake in fakes.items() if hasattr(fake, "calls")}
    migration.all_of_it()
    found = []
    for name, begin in before.items():
        made: dict[str, int] = {}
        for method, _ in fakes[name].calls[begin:]:
            found.append((name, method, made.get(method, 0)))
            made[method] = made.get(method, 0) + 1
    return found


CALLS = _calls()


def test_every_change_outside_is_among_the_calls_that_are_cut_off() -> None:
    changes = {(fake, method) for fake, method, _ in CALLS}
    assert {("containers", "run_task"), ("containers", "register"), ("backups", "snapshot")} < changes
    assert ("store", "transact") in changes


class TestCrashes:
    """Rows 7 and 8."""

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize(("fake", "method", "number"), CALLS)
    def test_a_retry_completes_with_one_task_of_each_kind_and_one_snapshot(
        self, fake: str, method: str, number: int, lost: str
    ) -> None:
        """Guards the token of `_one_off`, the look at the run in `run_task`, `await_snapshot` and `_registered`."""
        migration = Migration()
        with crashing(getattr(migration.shop.world, fake), method, lost, number):
            migration.all_of_it()
        one_offs = migration.shop.world.containers.one_offs.values()
        assert [list(one.command) for one in one_offs] == [COMMAND, VERIFY]
        assert len(migration.shop.world.backups.snapshots) == 1
        assert len(migration.shop.world.containers.revisions_of["shop-api"]) == 2
        assert (migration.run.outcome, migration.run.asking) == ("Migrated", None)
        schema = migration.shop.schemas.schema(SYSTEM, ENVIRONMENT)
        assert schema is not None
        assert (schema.release, len(schema.done)) == (1, 1)
        assert migration.waiting == []

    def test_all_of_it_twice_does_nothing_more(self, migration: Migration) -> None:
        migration.all_of_it()
        before = migration.run
        migration.all_of_it()
        assert len(migration.tasks) == 2
        assert len(migration.shop.world.backups.snapshots) == 1
        assert replace(migration.run, execution=before.execution) == before
        told = [line.what for line in migration.shop.timeline(migration.planned)]
        for what in ("migrating", "migration task started", "migrated", "snapshot begun"):
            assert told.count(what) == 1

    def test_a_lost_answer_of_run_task_is_asked_for_again(self, migration: Migration) -> None:
        migration.shop.world.containers.loses("run_task")
        with pytest.raises(TransientError):
            migration.start()
        assert (migration.run.task, migration.run.asking) == (None, "Migrate")
        migration.start()
        assert migration.tasks == [migration.run.task]


class TestThePlanOfTheMachine:
    def test_prepare_says_what_is_to_be_done_and_records_it_first(self) -> None:
        migration = Migration()
        answer = migration.step("Prepare")
        assert (answer["outcome"], answer["runner"], answer["snapshot"]) == ("Ready", "task", True)
        assert (answer["verify"], answer["timeout"], answer["sql"]) == (True, 900, None)
        assert migration.run.outcome is None
        assert migration.shop.deployment(migration.planned).phase.value == "Migrating"

    def test_with_a_credential_it_says_what_the_function_in_the_vpc_needs(self, shop: Shop) -> None:
        shop.migrations(runner="sql", secret="shop/{environment}/migrator", lock_timeout="2s")
        shop.put_sql(2, _0001_a="SELECT 1")
        planned = shop.release(2)
        answer = shop.migrate(planned, "Prepare", shop.acquire(planned))
        assert answer["sql"] == {
            "runner": "sql",
            "release": "r1",
            "secret": "shop/production/migrator",
            "tls": "verify-full",
            "lock_timeout": 2,
            "statement_timeout": 900,
            "transaction_age": 300,
            "image": {"repository": REPOSITORY, "digest": digest(2), "directory": "/migrations"},
        }

    def test_a_secret_that_is_rotated_too_is_read_as_it_is_written(self, shop: Shop) -> None:
        form = {"key": "connection_string", "style": "npgsql"}
        rotated = {"kind": "postgres", "admin": "shop/admin", "format": form}
        shop.migrations(
            {"shop/{environment}/database": rotated}, runner="sql", secret="shop/production/database"
        )
        shop.put_sql(2, _0001_a="SELECT 1")
        planned = shop.release(2)
        answer = shop.migrate(planned, "Prepare", shop.acquire(planned))
        assert (answer["sql"]["secret"], answer["sql"]["format"]) == ("shop/production/database", form)

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            ("stopped", "aws rds start-db-instance --db-instance-identifier shop-db"),
            ("failed", "the database shop-db is failed"),
            (None, "RDS has no instance shop-db"),
        ],
    )
    def test_a_database_that_cannot_answer_fails_before_anything_runs(
        self, status: str | None, said: str
    ) -> None:
        migration = Migration()
        databases = migration.shop.world.backups.databases
        databases.clear()
        if status is not None:
            databases["instance", DATABASE] = status
        answer = migration.step("Prepare")
        assert answer["outcome"] == "Failed"
        assert said in answer["reason"]
        assert migration.tasks == []

    def test_a_deployment_without_a_migration_is_not_found(self, shop: Shop) -> None:
        planned = shop.release(2)
        with pytest.raises(NotFoundError, match="no migration"):
            shop.migrate(planned, "Prepare", shop.acquire(planned))

    def test_what_has_not_begun_runs_no_task(self) -> None:
        with pytest.raises(NotFoundError, match="has begun no migration"):
            Migration().start()


class TestTheTask:
    def test_is_of_the_releases_image_with_the_services_shape_and_the_limits(
        self, migration: Migration
    ) -> None:
        migration.start()
        [one] = migration.shop.world.containers.one_offs.values()
        made = migration.shop.world.containers.task_definition(one.task_definition)
        assert made is not None
        assert made.content["containerDefinitions"][0]["image"].endswith(f"@{digest(2)}")
        assert made.tags["tidegate:deployment"] == migration.planned["deployment"]
        assert (one.cluster, one.service, one.container) == (CLUSTER, "shop-api", "app")
        assert one.started_by == f"tidegate/{migration.planned['deployment']}"
        assert one.group == "tidegate-migrate-shop-api"
        assert len(one.token) <= 64
        assert one.environment["PGOPTIONS"] == "-c lock_timeout=5000 -c statement_timeout=900000"
        assert one.environment["PGAPPNAME"] == application_name(migration.planned["deployment"])
        assert len(one.environment["PGAPPNAME"]) <= 63
        assert (one.environment["TIDEGATE_LOCK_TIMEOUT"], one.environment["TIDEGATE_RELEASE"]) == ("5", "r1")

    def test_shares_its_revision_with_the_roll_of_its_service(self, migration: Migration) -> None:
        migration.start()
        migration.shop.migrate(migration.planned, "Record", migration.fence, outcome="Migrated", reason="")
        migration.shop.roll(migration.planned, "api", migration.fence)
        [one] = migration.shop.world.containers.one_offs.values()
        primary = migration.shop.world.containers.service("shop-api").primary
        assert primary.task_definition == one.task_definition

    def test_that_has_ended_before_the_token_was_left_is_answered_at_once(self, migration: Migration) -> None:
        migration.start("first")
        migration.shop.world.containers.end_task(migration.tasks[0])
        assert migration.start("second") == {"outcome": "Exited", "reason": ""}
        assert migration.waiting == []

    def test_that_ended_is_answered_by_its_event_and_a_late_one_changes_nothing(
        self, migration: Migration
    ) -> None:
        """Row 15: the token is answered once."""
        assert migration.start() is None
        arn = migration.tasks[0]
        migration.shop.world.containers.end_task(arn, exit_code=3)
        event = {
            "detail-type": "ECS Task State Change",
            "detail": {"taskArn": arn, "lastStatus": "STOPPED", "group": "tidegate-migrate-shop-api"},
        }
        for _ in range(2):
            wake.run(event, migration.shop.world.ports)
        assert migration.shop.answers["task"] == {
            "outcome": "Failed",
            "reason": "container app exited with code 3",
        }
        told = [line.what for line in migration.shop.timeline(migration.planned)]
        assert told.count("task ended") == 1
        assert migration.waiting == []

    def test_without_capacity_it_is_tried_again_and_then_fails_cleanly(self, migration: Migration) -> None:
        """Row 12. Guards NO_CAPACITY in `_started`: ECS said that there is no task, so nothing is left alive."""
        full = TransientError("ecs:RunTask: no capacity: RESOURCE:MEMORY", code=NO_CAPACITY)
        migration.shop.world.containers.fails("run_task", full)
        with pytest.raises(TransientError, match="no capacity"):
            migration.start()
        assert (migration.run.asking, migration.run.task) == (None, None)
        assert migration.stop() == {"outcome": "Exited", "reason": ""}
        assert migration.step("Record", outcome="Failed", reason="no capacity")["outcome"] == "Failed"
        ended = migration.shop.record(migration.planned, "Fail", migration.fence, execution={}, request={})
        assert ended["outcome"] == "FailedClean"
        assert ended["document"]["reason"].endswith("nothing had been changed")
        assert migration.shop.owner is None

    def test_that_ecs_refuses_is_not_looked_for(self, migration: Migration) -> None:
        migration.shop.world.containers.fails("run_task", OutsideError("ecs:RunTask: AccessDenied"))
        with pytest.raises(OutsideError):
            migration.start()
        assert migration.run.asking is None


class TestStopping:
    """Row 13."""

    def test_a_time_out_stops_the_task_and_waits_until_it_has(self, migration: Migration) -> None:
        """Guards `_wait_for_task` in `stop_task`."""
        migration.start()
        containers = migration.shop.world.containers
        with _slowly_stopping(containers):
            assert migration.stop() is None
            assert containers.called("stop_task") == 1
            assert migration.shop.resume() == 0
        containers.end_task(migration.tasks[0], exit_code=137, stop_code="UserInitiated")
        assert migration.shop.resume() > 0
        assert migration.shop.answers["stop"] == {"outcome": "Exited", "reason": ""}

    def test_one_that_could_not_be_stopped_ends_dirty(self, migration: Migration) -> None:
        """Guards `alive` in `_failed` and `left_alive` in steps.failing."""
        migration.start()
        with _slowly_stopping(migration.shop.world.containers):
            migration.stop()
            answer = migration.step("Record", outcome="Failed", reason="it did not end within 900 s")
        assert "could not be stopped" in answer["reason"]
        assert migration.run.alive
        ended = migration.shop.record(migration.planned, "Fail", migration.fence, execution={}, request={})
        assert ended["outcome"] == "FailedDirty"
        assert migration.shop.owner == migration.planned["deployment"]

    def test_one_that_was_stopped_ends_clean_and_says_that_the_schema_may_be_ahead(
        self, migration: Migration
    ) -> None:
        migration.start()
        migration.stop()
        answer = migration.step("Record", outcome="Failed", reason="it did not end within 900 s")
        assert answer["outcome"] == "Failed"
        ended = migration.shop.record(migration.planned, "Fail", migration.fence, execution={}, request={})
        assert ended["outcome"] == "FailedClean"
        assert "schema may be ahead: the migration of r1 ran in part" in ended["document"]["reason"]

    @pytest.mark.parametrize("purpose", ["Migrate", "Verify"])
    def test_a_task_whose_arn_was_lost_is_found_and_stopped(self, migration: Migration, purpose: str) -> None:
        """Rows 8 and 13 at once. Guards `asking`, which is recorded before RunTask: without it nobody would know."""
        if purpose == "Verify":
            migration.start()
            migration.shop.world.containers.end_task(migration.tasks[0])
        migration.shop.world.containers.loses("run_task")
        with pytest.raises(TransientError):
            migration.start("lost", purpose)
        [*_, arn] = migration.tasks
        assert migration.run.asking == purpose
        assert migration.stop() == {"outcome": "Exited", "reason": ""}
        assert migration.tasks[-1] == arn, "no task more"
        stopped = migration.shop.world.containers.ended[arn]
        assert stopped is not None
        assert stopped.stop_code == "UserInitiated"

    @pytest.mark.parametrize("error", [TransientError("away"), OutsideError("denied"), NotFoundError("gone")])
    def test_a_task_that_may_run_and_was_never_found_ends_dirty(
        self, migration: Migration, error: Exception
    ) -> None:
        """Guards `first` in `_started`: that a second question is refused does not say how the first one ended."""
        migration.shop.world.containers.loses("run_task")
        with pytest.raises(TransientError):
            migration.start()
        migration.shop.world.containers.fails("run_task", error)
        with pytest.raises(type(error)):
            migration.stop()
        migration.step("Record", outcome="Failed", reason="ECS was away")
        ended = migration.shop.record(migration.planned, "Fail", migration.fence, execution={}, request={})
        assert ended["outcome"] == "FailedDirty"

    def test_a_task_so_new_that_ecs_does_not_list_it_is_stopped_all_the_same(
        self, migration: Migration
    ) -> None:
        """ECS is eventually consistent. Guards `_has_stopped`: what is not listed need not have stopped."""
        migration.start()
        containers = migration.shop.world.containers
        unlisted = NotFoundError("ECS does not know the task")
        containers.fails("task", unlisted)
        migration.stop()
        assert containers.called("stop_task") == 1
        ended = containers.ended[migration.tasks[0]]
        assert ended is not None

    def test_a_task_that_ecs_has_forgotten_does_not_hold_it_up_for_long(self, migration: Migration) -> None:
        migration.start()
        migration.shop.world.containers.ended.clear()
        assert migration.stop() is None
        migration.shop.world.clock.advance(121)
        migration.shop.resume()
        assert migration.shop.answers["stop"]["outcome"] == "Failed"

    def test_twice_is_once(self, migration: Migration) -> None:
        migration.start()
        migration.stop("stop")
        migration.stop("again")
        assert migration.shop.world.containers.called("stop_task") == 1
        assert migration.shop.answers["again"]["outcome"] == "Exited"

    def test_before_anything_began_there_is_nothing_to_wait_for(self) -> None:
        migration = Migration()
        assert migration.step("Prepare", stop=True)["outcome"] == "Stop"
        assert migration.stop() == {"outcome": "Exited", "reason": ""}
        assert migration.step("Record", outcome="Failed", reason="given up")["outcome"] == "Failed"
        assert migration.shop.schemas.run_of(migration.planned["deployment"]) is None


class TestAnAbort:
    """Row 34."""

    def test_before_the_task_starts_none(self, migration: Migration) -> None:
        migration.abort()
        answer = migration.start()
        assert answer is not None
        assert (answer["outcome"], answer["reason"]) == ("Aborted", ABORTED)
        assert migration.tasks == []

    def test_between_the_task_and_its_token_is_heard(self, migration: Migration) -> None:
        """Guards the second look in `_wait`: whoever aborted found no token to answer."""
        containers = migration.shop.world.containers
        real = containers.run_task

        def run_task(wanted: Any) -> str:
            migration.abort()
            return real(wanted)

        containers.run_task = run_task  # type: ignore[method-assign]
        answer = migration.start()
        assert answer is not None
        assert answer["outcome"] == "Aborted"
        assert migration.waiting == []
        assert migration.stop() is not None
        assert containers.ended[migration.tasks[0]] is not None

    def test_while_the_task_runs_answers_its_token(self, migration: Migration) -> None:
        migration.start()
        status, _ = migration.shop.command("abort", **self._named(migration))
        assert status in (200, 202)
        assert migration.shop.answers["task"]["outcome"] == "Aborted"

    def test_while_the_task_is_being_stopped_does_not_cut_that_short(self, migration: Migration) -> None:
        """Guards `stopping` in steps.stopping.stop: nothing goes on while a task may still change the database."""
        migration.start()
        with _slowly_stopping(migration.shop.world.containers):
            migration.stop()
            migration.shop.command("abort", **self._named(migration))
        assert "stop" not in migration.shop.answers
        migration.shop.world.containers.end_task(migration.tasks[0], exit_code=137)
        migration.shop.resume()
        assert migration.shop.answers["stop"]["outcome"] == "Exited"

    def test_does_not_hold_up_the_stop(self, migration: Migration) -> None:
        migration.start()
        migration.abort()
        assert migration.stop() == {"outcome": "Exited", "reason": ""}

    def test_before_it_was_prepared_leaves_no_trace(self) -> None:
        migration = Migration()
        migration.abort()
        assert migration.step("Prepare")["outcome"] == "Failed"
        assert migration.shop.schemas.run_of(migration.planned["deployment"]) is None

    def test_before_the_snapshot_makes_none(self, migration: Migration) -> None:
        migration.abort()
        migration.step("AwaitSnapshot", token="snapshot")
        assert migration.shop.answers["snapshot"]["outcome"] == "Aborted"
        assert migration.shop.world.backups.snapshots == {}

    def test_between_two_invocations_that_run_files_is_the_last_of_them(self, migration: Migration) -> None:
        """Guards `abort_of` in `go_on`: while files run, whoever aborts finds no token to answer."""
        assert migration.step("GoOn") == {"outcome": "GoOn", "reason": ""}
        migration.abort()
        for _ in range(2):
            assert migration.step("GoOn") == {"outcome": "Aborted", "reason": ABORTED}
        assert migration.run.outcome is None

    @staticmethod
    def _named(migration: Migration) -> dict[str, str]:
        return {"deployment": migration.planned["deployment"], "reason": "wrong release"}


class TestAVoidFence:
    """Row 16."""

    @pytest.mark.parametrize(
        ("step", "more"),
        [
            ("Prepare", {}),
            ("AwaitSnapshot", {}),
            ("GoOn", {}),
            ("RunTask", {"purpose": "Migrate"}),
            ("RunTask", {"purpose": "Verify"}),
            ("Record", {"outcome": "Migrated", "reason": ""}),
            ("Record", {"outcome": "Failed", "reason": "it failed"}),
        ],
    )
    def test_changes_nothing(self, step: str, more: dict[str, str]) -> None:
        """Guards the fence in `save_run`, `insist_on_lock` before RunTask, before the snapshot and in `go_on`."""
        migration = Migration()
        if step != "Prepare":
            migration.step("Prepare")
        migration.shop.locks.take_over(SYSTEM, ENVIRONMENT, migration.planned["deployment"], "arn:other")
        before = migration.shop.schemas.run_of(migration.planned["deployment"])
        with pytest.raises(LostLockError):
            migration.step(step, **more)
        assert migration.shop.schemas.run_of(migration.planned["deployment"]) == before
        assert migration.shop.schemas.schema(SYSTEM, ENVIRONMENT) is None
        assert migration.tasks == []
        assert migration.shop.world.backups.snapshots == {}

    @pytest.mark.parametrize("step", ["RunTask", "StopTask"])
    def test_starts_no_task_that_was_asked_for_before(self, migration: Migration, step: str) -> None:
        migration.shop.world.containers.fails("run_task")
        with pytest.raises(TransientError):
            migration.start()
        migration.shop.locks.take_over(SYSTEM, ENVIRONMENT, migration.planned["deployment"], "arn:other")
        with pytest.raises(LostLockError):
            migration.step(step, purpose="Migrate")
        assert migration.tasks == []


class TestTheSnapshot:
    def test_is_named_after_the_deployment_in_lower_case(self, migration: Migration) -> None:
        migration.step("AwaitSnapshot")
        [(kind, name)] = migration.shop.world.backups.snapshots
        assert kind == "instance"
        assert name == f"tidegate-{SYSTEM}-{ENVIRONMENT}-{migration.planned['deployment']}".lower()
        assert migration.run.snapshot == name

    @pytest.mark.parametrize("status", ["failed", "deleting"])
    def test_that_is_not_made_fails(self, migration: Migration, status: str) -> None:
        migration.step("AwaitSnapshot", token="snapshot")
        snapshots = migration.shop.world.backups.snapshots
        snapshots.update(dict.fromkeys(snapshots, status))
        assert migration.shop.resume() == 1
        answer = migration.shop.answers["snapshot"]
        assert answer["outcome"] == "Failed"
        assert answer["reason"].endswith(f"is {status}")


def _slowly_stopping(containers: Any) -> Any:
    """Within, a task that is told to stop goes on."""
    real = containers.stop_task

    class Slow(nullcontext[None]):
        def __enter__(self) -> None:
            def stop_task(*args: Any) -> None:
                containers.calls.append(("stop_task", args))

            containers.stop_task = stop_task

        def __exit__(self, *_: object) -> None:
            containers.stop_task = real

    return Slow()
