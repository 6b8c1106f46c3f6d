"""What a release does to a database before its first wave, as stories that end in one certain way.

Like those of `tests.e2e.scenarios`, each needs nothing of another, and runs under IAM enforcement; each makes a system
of its own, since a schema does not go back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.domain.deployment import Deployment
from tidegate.domain.intervention import Approval
from tidegate.domain.migration import PART
from tidegate.domain.outcome import Outcome
from tidegate.ledger.interventions import Interventions
from tidegate.steps.resuming import awaited_approval

from tests.e2e import histories
from tests.e2e.migrating_system import COMMAND, Migrating
from tests.e2e.scenarios import scenario, sweep
from tests.e2e.support import SWEPT_SECONDS, SampleCloud
from tests.faults.people import Person
from tests.faults.stage import unswept

VISITS = {"0001_visits.sql": "CREATE TABLE visits (id int PRIMARY KEY, page text);\n"}
MORE = {**VISITS, "0002_seen.sql": "ALTER TABLE visits ADD COLUMN seen timestamptz;\n"}
LESS = {**MORE, "0003_no_page.sql": "ALTER TABLE visits DROP COLUMN page;\n"}


# --- a command in the release's image


@scenario
def a_task_migrates_before_the_first_wave(cloud: SampleCloud) -> None:
    """In the image of the release, in the network of the service."""
    shop = Migrating.of_command(cloud, "before", verify=["manage", "check"])
    build = shop.push()
    done = shop.deployed(build)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert set(shop.system.digests().values()) == {build.digest}
    said = shop.timeline(done)
    assert said.index("migration task started") < said.index("migrated") < _first_rollout(said)
    migration, look = shop.one_off_tasks()
    for task, command in ((migration, COMMAND), (look, ["manage", "check"])):
        (override,) = task["overrides"]["containerOverrides"]
        assert override["command"] == command
        given = {entry["name"]: entry["value"] for entry in override["environment"]}
        assert given["PGAPPNAME"] == f"tidegate-migrate-{done.id}"
        assert "lock_timeout=" in given["PGOPTIONS"]
        assert (task["group"], task["startedBy"]) == (shop.group, f"tidegate/{done.id}")
        assert _image(shop, task).endswith(f"@{build.digest}")


@scenario
def a_migration_that_fails_leaves_the_services_alone(cloud: SampleCloud) -> None:
    shop = Migrating.of_command(cloud, "failing")
    before, rollouts = shop.system.task_definitions(), shop.rollouts()
    with shop.task_fault("crash"):
        done = shop.deployed(shop.push())
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "schema may be ahead: the migration of r1 ran in part" in done.explanation
    assert (shop.system.task_definitions(), shop.rollouts()) == (before, rollouts)
    (report,) = cloud.ledger.reports(done.id)
    assert report.service == PART
    (task,) = report.tasks
    assert task["exit_code"] == 1
    assert task["logs"], "the last log lines are in the report"
    assert "migration failed" in shop.timeline(done)
    mended = shop.deployed(shop.push())
    assert mended.outcome is Outcome.SUCCEEDED, mended.explanation


@scenario
def a_migration_that_takes_too_long_is_stopped(cloud: SampleCloud) -> None:
    """Before the run ends: nothing of it may go on."""
    shop = Migrating.of_command(cloud, "too-long", timeout="5s")
    rollouts = shop.rollouts()
    with shop.task_fault("hang"):
        done = shop.deployed(shop.push())
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "it did not end within 5 s" in done.explanation
    assert shop.rollouts() == rollouts
    (task,) = shop.one_off_tasks()
    assert task["lastStatus"] == "STOPPED"
    assert done.finished_at is not None
    assert task["stoppedAt"].isoformat() < done.finished_at
    assert not shop.run_of(done).alive


@scenario
def a_task_that_finds_no_capacity_is_started_again(cloud: SampleCloud) -> None:
    """One task, though ECS had no room twice."""
    shop = Migrating.of_command(cloud, "no-room")
    cloud.control.refuse_tasks(shop.group, 2)
    done = shop.deployed(shop.push())
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert len(shop.one_off_tasks()) == 1


@scenario
def a_migration_is_aborted_by_a_person(cloud: SampleCloud) -> None:
    shop, grace = Migrating.of_command(cloud, "aborted"), Person.named(cloud, "grace")
    rollouts = shop.rollouts()
    with shop.task_fault("hang"):
        running = shop.migrating_now(shop.begin("deploy", commit=shop.push().commit))
        grace.abort(running.id, "it locks the orders").done()
        done = shop.ended(running)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "it locks the orders" in done.explanation
    assert [task["lastStatus"] for task in shop.one_off_tasks()] == ["STOPPED"]
    assert shop.rollouts() == rollouts


@scenario
def a_stopped_migration_is_ended_by_the_sweep(cloud: SampleCloud) -> None:
    """Nobody waits for the task any more: the recovery stops it before it frees the lock."""
    shop = Migrating.of_command(cloud, "stopped")
    rollouts = shop.rollouts()
    with shop.task_fault("hang"), unswept(cloud):
        running = shop.migrating_now(shop.begin("deploy", commit=shop.push().commit))
        cloud.client("stepfunctions").stop_execution(executionArn=running.execution)
        sweep(cloud)
        done = shop.ended(running, SWEPT_SECONDS)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "recovery started" in shop.timeline(done)
    assert [task["lastStatus"] for task in shop.one_off_tasks()] == ["STOPPED"]
    shop.until(lambda: shop.lock.free, "a free lock")
    assert shop.rollouts() == rollouts


@scenario
def a_stopped_migration_whose_task_has_ended(cloud: SampleCloud) -> None:
    """The recovery finds nothing that it would have to stop, and waits for nothing."""
    shop = Migrating.of_command(cloud, "stopped-late")
    ecs = cloud.client("ecs")
    with shop.task_fault("hang"), unswept(cloud):
        running = shop.migrating_now(shop.begin("deploy", commit=shop.push().commit))
        cloud.client("stepfunctions").stop_execution(executionArn=running.execution)
        (task,) = shop.one_off_tasks()
        ecs.stop_task(cluster=shop.name, task=task["taskArn"])
        shop.until(lambda: shop.one_off_tasks()[0]["lastStatus"] == "STOPPED", "the task to stop")
        sweep(cloud)
        done = shop.ended(running, SWEPT_SECONDS)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "stopping the migration task" not in shop.timeline(done)
    shop.until(lambda: shop.lock.free, "a free lock")


@scenario
def a_task_whose_end_nobody_told_is_swept(cloud: SampleCloud) -> None:
    shop = Migrating.of_command(cloud, "untold")
    rule = "tidegate-ecs-task"
    cloud.client("events").disable_rule(Name=rule)
    try:
        done = _swept(shop, shop.of(shop.begin("deploy", commit=shop.push().commit)))
    finally:
        cloud.client("events").enable_rule(Name=rule)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert len(shop.one_off_tasks()) == 1


@scenario
def a_snapshot_of_a_cluster_is_made_first(cloud: SampleCloud) -> None:
    name = "snapshot-cluster"
    rds = cloud.client("rds")
    shop = Migrating.of_command(cloud, "kept-cluster", database={"cluster": name}, snapshot="before")
    _cluster(cloud, name)
    done = shop.deployed(shop.push())
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    made = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=shop.run_of(done).snapshot)
    assert [(entry["Status"], entry["DBClusterIdentifier"]) for entry in made["DBClusterSnapshots"]] == [
        ("available", name)
    ]


@scenario
def a_snapshot_is_made_first(cloud: SampleCloud) -> None:
    name = "snapshot-database"
    rds = cloud.client("rds")
    shop = Migrating.of_command(cloud, "kept", database={"instance": f"{name}-kept"}, snapshot="before")
    _instance(cloud, f"{name}-kept")
    done = shop.deployed(shop.push())
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    said = shop.timeline(done)
    assert said.index("snapshot begun") < said.index("migration task started")
    made = rds.describe_db_snapshots(DBSnapshotIdentifier=shop.run_of(done).snapshot)["DBSnapshots"]
    assert [(entry["Status"], entry["DBInstanceIdentifier"]) for entry in made] == [
        ("available", f"{name}-kept")
    ]


@scenario
def a_snapshot_that_fails_lets_nothing_begin(cloud: SampleCloud) -> None:
    """RDS sends no event then: the sweep finds it."""
    name = "snapshot-database-failing"
    _instance(cloud, name)
    _not_kept(cloud, {"instance": name})


@scenario
def a_snapshot_of_a_cluster_that_fails_lets_nothing_begin(cloud: SampleCloud) -> None:
    name = "snapshot-cluster-failing"
    _cluster(cloud, name)
    _not_kept(cloud, {"cluster": name})


@scenario
def migrations_alone(cloud: SampleCloud) -> None:
    """Of a release that is known; its services are left as they are."""
    shop = Migrating.of_command(cloud, "alone")
    wanted = shop.system.manifest["migrations"]
    plain = {key: value for key, value in shop.system.manifest.items() if key != "migrations"}
    cloud.ports.registry.put_manifest(*shop.place, plain)
    first, second = (shop.deployed(shop.push()) for _ in range(2))
    assert (first.outcome, second.outcome) == (Outcome.SUCCEEDED, Outcome.SUCCEEDED)
    assert shop.one_off_tasks() == []
    shop = shop.migrating(wanted)
    rollouts, running = shop.rollouts(), shop.system.digests()
    document = shop.done("migrate", release="r2")
    assert document["outcome"] == "Migrated", document
    assert len(shop.one_off_tasks()) == 1
    again = shop.done("migrate", release="r2")
    assert again["outcome"] == "NoChange", again
    unknown = shop.done("migrate", release="r9")
    assert unknown["outcome"] == "Refused", unknown
    assert "r9" in unknown["reason"]
    with shop.task_fault("crash"):
        failed = shop.done("migrate", release="r1")
    assert failed["outcome"] in {"Failed", "FailedClean"}, failed
    assert (shop.rollouts(), shop.system.digests()) == (rollouts, running)
    assert shop.current == 2, "it stays the release that runs"


# --- SQL files


@scenario
def sql_files_run_before_the_first_wave(cloud: SampleCloud) -> None:
    """Those of the image, each once."""
    shop, database = Migrating.of_files(cloud, "files")
    build = shop.push(VISITS)
    done = shop.deployed(build)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert database.columns("visits") == ["id", "page"]
    assert set(shop.system.digests().values()) == {build.digest}
    said = shop.timeline(done)
    assert said.index("migrated") < _first_rollout(said)
    assert shop.run_of(done).head == "0001_visits.sql"
    again = shop.deployed(shop.push(VISITS))
    assert again.outcome is Outcome.SUCCEEDED, again.explanation
    assert "migrated" not in shop.timeline(again), "there was nothing to do"
    third = shop.deployed(shop.push(MORE))
    assert third.outcome is Outcome.SUCCEEDED, third.explanation
    assert database.columns("visits") == ["id", "page", "seen"]


@scenario
def a_sql_file_that_fails_is_undone(cloud: SampleCloud) -> None:
    """The files before it stay; its reason is told."""
    shop, database = Migrating.of_files(cloud, "wrong")
    rollouts = shop.rollouts()
    wrong = "ALTER TABLE visits ADD COLUMN half int;\nALTER TABLE nobody ADD COLUMN id int;\n"
    done = shop.deployed(shop.push({**VISITS, "0002_wrong.sql": wrong}))
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "0002_wrong.sql" in done.explanation
    assert "schema may be ahead" in done.explanation
    assert database.columns("visits") == ["id", "page"]
    assert shop.rollouts() == rollouts


@scenario
def a_later_wave_that_fails_leaves_the_schema_ahead(cloud: SampleCloud) -> None:
    """The code goes back, the schema stays; the next release finds it so."""
    shop, database = Migrating.of_files(cloud, "ahead")
    first = shop.push(VISITS)
    assert shop.deployed(first).outcome is Outcome.SUCCEEDED
    with shop.fault("worker", "crash"):
        done = shop.deployed(shop.push(MORE))
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "schema ahead: the migration of r2 ran and stays (0002_seen.sql)" in done.explanation
    assert set(shop.system.digests().values()) == {first.digest}
    assert database.columns("visits") == ["id", "page", "seen"]
    mended = shop.deployed(shop.push(MORE))
    assert mended.outcome is Outcome.SUCCEEDED, mended.explanation
    assert "migrated" not in shop.timeline(mended)


@scenario
def what_cannot_be_undone_is_approved_and_not_stepped_over(cloud: SampleCloud) -> None:
    """A rollback over it needs force."""
    shop, database = Migrating.of_files(cloud, "contract")
    grace = Person.named(cloud, "grace")
    first, second = shop.push(MORE), shop.push(LESS)
    assert shop.deployed(first).outcome is Outcome.SUCCEEDED
    execution = shop.begin("deploy", commit=second.commit)
    waiting = shop.of(execution)
    asked = _asks(shop, waiting)
    assert database.columns("visits") == ["id", "page", "seen"]
    assert shop.lock.free
    grace.approve(waiting.id, asked.plan).done()
    done = shop.ended(waiting)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    histories.over(cloud, execution)
    assert database.columns("visits") == ["id", "seen"]
    back: Mapping[str, Any] = {"to": "previous", "reason": "slow"}
    refused = shop.done("rollback", **back)
    assert refused["outcome"] == "Refused", refused
    assert "0003_no_page.sql (r2)" in refused["reason"]
    assert set(shop.system.digests().values()) == {second.digest}
    forced = shop.done("rollback", **back, force=True)
    assert forced["outcome"] == "Succeeded", forced
    assert set(shop.system.digests().values()) == {first.digest}


# --- how they are told


def _first_rollout(said: list[str]) -> int:
    return next(number for number, what in enumerate(said) if what.startswith("ECS deployment"))


def _image(shop: Migrating, task: Mapping[str, Any]) -> str:
    ecs = shop.cloud.client("ecs")
    definition = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
    return str(definition["containerDefinitions"][0]["image"])


def _instance(cloud: SampleCloud, name: str) -> None:
    rds = cloud.client("rds")
    try:
        rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.t4g.micro",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="shop",
            MasterUserPassword="a-password",
        )
    except rds.exceptions.DBInstanceAlreadyExistsFault:
        return
    rds.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def _cluster(cloud: SampleCloud, name: str) -> None:
    rds = cloud.client("rds")
    try:
        rds.create_db_cluster(
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            MasterUsername="shop",
            MasterUserPassword="a-password",
        )
    except rds.exceptions.DBClusterAlreadyExistsFault:
        return
    rds.get_waiter("db_cluster_available").wait(
        DBClusterIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def _not_kept(cloud: SampleCloud, database: Mapping[str, str]) -> None:
    (name,) = database.values()
    shop = Migrating.of_command(cloud, "unkept", database=database, snapshot="before")
    cloud.control.set_snapshot_fault(name, "fail")
    try:
        done = _swept(shop, shop.of(shop.begin("deploy", commit=shop.push().commit)))
    finally:
        cloud.control.clear_snapshot_fault(name)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert done.explanation.endswith("nothing had been changed"), done.explanation
    assert shop.one_off_tasks() == []


def _swept(shop: Migrating, deployment: Deployment) -> Deployment:
    """The deployment with the outcome that it has by the sweep."""

    def ended() -> bool:
        sweep(shop.cloud)
        return shop.now(deployment).outcome is not None

    shop.until(ended, "the sweep to find it")
    return shop.now(deployment)


def _asks(shop: Migrating, deployment: Deployment) -> Approval:
    people = Interventions(shop.cloud.ports.store, shop.cloud.ports.clock)
    shop.until(
        lambda: shop.cloud.ledger.waiting_for(awaited_approval(deployment.id)), "the question for approval"
    )
    asked = people.approval(*shop.place, deployment.id)
    assert asked is not None
    return asked
