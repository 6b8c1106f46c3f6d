"""Rows 7, 8, 9, 10, 12, 13 and 31 of a migration, against the real machines and the functions that they call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from tidegate.domain.deployment import Deployment
from tidegate.domain.migration import MigrationOutcome
from tidegate.domain.outcome import Outcome
from tidegate.ledger import keys
from tidegate.ledger.schemas import Schemas
from tidegate.ports import Put

from tests.e2e.migrating_system import Database, Migrating
from tests.e2e.support import SampleCloud
from tests.faults.standing import entered, events
from tests.faults.wires import SENT, Call, Fault, first_time, shortened, wired
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

BARE = "-- tidegate: no-transaction\n"
PAGES = {"0001_pages.sql": "CREATE TABLE pages (id int PRIMARY KEY);\n"}
# A statement that waits for the test, between two that must not run twice.
FILL = {
    "0001_fill.sql": f"{BARE}CREATE TABLE two (id int);\nINSERT INTO two VALUES (1);\n"
    "INSERT INTO gate VALUES (1);\nINSERT INTO two VALUES (2);\n"
}
# Each task of the machine is tried once and six times again: 63 s of back-off at most, and botocore's own.
ATTEMPTS = 7
GIVES_UP = 150.0
# Less than botocore waits for an answer, so that Lambda is what ends the function.
SHORT = 5
AFTER_FAILURE = ["RecordFailure", "NotMigrated"]


# --- rows 7 and 8: calls and answers that are lost


def test_row_07_the_retry_of_what_was_cut_off_before_a_call_completes(cloud: SampleCloud) -> None:
    """Crash before each AWS call: the retry completes. Each change that `run_migration` makes, in two releases, and
    the first call of each read, in a third; each call fails for good in its attempt.

    Red where "TransientError" is not in the Retry of RunTask (statemachines/migrate.asl.json).
    """
    shop, met, done = Migrating.of_command(cloud, "cut"), set[str](), dict[str, Deployment]()
    for chosen in (_changes(0), _changes(1), lambda call: not call.changes and call.nth == 0):
        with wired(cloud, "run_migration", first_time(Fault.CUT, chosen, SENT)) as wire:
            build = shop.push()
            one = shop.deployed(build)
        assert one.outcome is Outcome.SUCCEEDED, one.explanation
        assert len(_failures(shop, one)) >= 3, wire.met
        met |= set(wire.faults(Fault.CUT))
        done[one.id] = one
    assert {"RegisterTaskDefinition 0", "RunTask 0", "DescribeServices 0", "GetItem 0"} <= met
    # The plan of the machine, the intention, the revision, the question, its answer, the token, the end.
    assert {f"TransactWriteItems {number}" for number in range(6)} <= met
    _each_ran_once(shop, done)
    assert _revisions(shop) == 1 + len(done)
    shop.check(build.digest, current=3, outcomes=dict.fromkeys(done, Outcome.SUCCEEDED))


def test_row_08_what_took_effect_unheard_is_read_back(cloud: SampleCloud) -> None:
    """The call took effect, its answer was lost: read back, no second effect. Each change that `run_migration` makes:
    once, so that the SDK sends it again, and for good in its attempt, so that the machine does, in two releases. A
    revision that was registered unheard stays behind, which changes nothing: ECS knows no token for it.

    Red where the `clientToken` of RunTask (adapters/ecs.py) is another one each time: two tasks migrate.
    """
    shop, met, done = Migrating.of_command(cloud, "unheard"), set[str](), dict[str, Deployment]()
    for chosen, times in ((lambda call: call.changes, 1), (_changes(0), SENT), (_changes(1), SENT)):
        with wired(cloud, "run_migration", first_time(Fault.LOST, chosen, times)) as wire:
            build = shop.push()
            one = shop.deployed(build)
        assert one.outcome is Outcome.SUCCEEDED, one.explanation
        if times == SENT:
            met |= set(wire.faults(Fault.LOST))
            assert _failures(shop, one), "the machine tried again"
        done[one.id] = one
    assert {"RegisterTaskDefinition 0", "RunTask 0", *(f"TransactWriteItems {n}" for n in range(5))} <= met
    _each_ran_once(shop, done)
    shop.check(build.digest, current=3, outcomes=dict.fromkeys(done, Outcome.SUCCEEDED))


def test_row_08_and_09_a_function_that_is_ended_while_its_statement_goes_on(cloud: SampleCloud) -> None:
    """Lambda time-out in `migrate_sql`, whose statement goes on in the database, and may take effect unheard: the next
    one looks what there is, and does the rest.

    Red where "Sandbox.Timedout" is not in the Retry of MigrateSql (statemachines/migrate.asl.json).
    """
    shop, database = Migrating.of_files(cloud, "ended", lock_timeout="60s")
    database.run("CREATE TABLE gate (id int)")
    build = shop.push(FILL)
    with shortened(cloud, "migrate_sql", SHORT):
        with _closed(database):
            running = shop.of(shop.begin("deploy", commit=build.commit))
            shop.until(lambda: "Sandbox.Timedout" in _failures(shop, running), "Lambda to end the function")
        done = shop.ended(running)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert database.run("SELECT id FROM two ORDER BY id") == [[1], [2]], "each statement once"
    assert database.run("SELECT id FROM gate") == [[1]]
    assert _path(shop, done)[-6:] == [
        *("MigrateSql", "Applied?", "VerifyDatabase", "SchemaVerified?", "RecordMigration", "Migrated"),
    ]
    assert shop.run_of(done).head == "0001_fill.sql"
    assert _backends(database) == []
    shop.check(build.digest, current=1, outcomes={done.id: Outcome.SUCCEEDED})


# --- row 9: time-outs


def test_row_09_a_function_that_lambda_ends_at_each_step(cloud: SampleCloud) -> None:
    """Lambda time-out at Prepare, at RunTask, whose call took effect, and at Record: retried, the intention consulted.

    Red where `_started` (run_migration.py) asks under another token than before: nobody would know of the first task.
    """
    shop = Migrating.of_command(cloud, "slow")

    def decide(call: Call) -> Fault | None:
        if str(call) == "RunTask 0" and not met("RunTask"):
            return Fault.SILENT
        if str(call) == "TransactWriteItems 0" and not met("TransactWriteItems 0"):
            return Fault.SWALLOWED
        ends = call.operation == "TransactWriteItems" and b'"Migrated"' in call.body
        return Fault.SWALLOWED if ends and len(wire.met) < 3 else None

    def met(call: str) -> bool:
        return any(one.startswith(call) for one, _ in wire.met)

    with wired(cloud, "run_migration", decide, timeout=SHORT) as wire:
        build = shop.push()
        done = shop.deployed(build)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert [fault for _, fault in wire.met] == [Fault.SWALLOWED, Fault.SILENT, Fault.SWALLOWED]
    assert _failures(shop, done) == ["Sandbox.Timedout"] * 3
    _each_ran_once(shop, {done.id: done})
    shop.check(build.digest, current=1, outcomes={done.id: Outcome.SUCCEEDED})


def test_row_09_and_13_lambda_ends_the_function_that_stops_the_task(cloud: SampleCloud) -> None:
    """Lambda time-out at StopTask, of a task that took too long: asked to stop again, and waited for.

    Red where "Sandbox.Timedout" is not in the Retry of StopTask: the task lives on, and so does the lock.
    """
    shop = Migrating.of_command(cloud, "unstopped", timeout="5s")
    before, rollouts = shop.system.digests(), shop.rollouts()

    def decide(call: Call) -> Fault | None:
        return Fault.SWALLOWED if call.operation == "StopTask" and not wire.met else None

    with shop.task_fault("hang"), wired(cloud, "run_migration", decide, timeout=SHORT) as wire:
        done = shop.deployed(shop.push())
    assert wire.met == [("StopTask 0", Fault.SWALLOWED)]
    assert _failures(shop, done) == ["States.Timeout", "Sandbox.Timedout"]
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    (task,) = shop.one_off_tasks()
    assert task["lastStatus"] == "STOPPED"
    assert (shop.system.digests(), shop.rollouts()) == (before, rollouts)
    _nothing_left(shop, done)


# --- row 10: too many requests


def test_row_10_throttled_at_every_call_a_migration_comes_through(cloud: SampleCloud) -> None:
    """Throttling on any API: back-off. Each read and change of both functions, once or for good in its attempt.

    Red where "ThrottlingException" is not among TRANSIENT_CODES (adapters/errors.py).
    """
    shop, database = Migrating.of_files(cloud, "throttled")
    seldom = first_time(Fault.THROTTLED, lambda call: call.nth == 0, SENT - 1)
    long = first_time(Fault.THROTTLED, lambda call: call.nth == 0, SENT)
    with wired(cloud, "run_migration", seldom) as ecs, wired(cloud, "migrate_sql", long) as sql:
        build = shop.push(PAGES)
        done = shop.deployed(build)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert {"GetItem 0", "TransactWriteItems 0"} <= set(ecs.faults(Fault.THROTTLED))
    assert {"GetSecretValue 0", "BatchGetImage 0", "GetDownloadUrlForLayer 0"} <= set(
        sql.faults(Fault.THROTTLED)
    )
    assert set(_failures(shop, done)) == {"TransientError"}
    assert database.columns("pages") == ["id"]
    assert shop.run_of(done).head == "0001_pages.sql"
    shop.check(build.digest, current=1, outcomes={done.id: Outcome.SUCCEEDED})


def test_row_10_throttled_for_ever_it_is_given_up(cloud: SampleCloud) -> None:
    """Throttling on RunTask that does not end: back-off, then compensation, never a hang. Nobody knows whether a task
    runs: it is looked for before the lock is free.

    Red where "TransientError" is not in the Retry of RunTask (statemachines/migrate.asl.json): given up at once.
    """
    shop = Migrating.of_command(cloud, "refused")
    before, rollouts = shop.system.digests(), shop.rollouts()
    busy = {"RunTask"}

    def decide(call: Call) -> Fault | None:
        return Fault.THROTTLED if call.operation in busy else None

    cloud.control.hold("migrate", "StopTask", shop.name)
    try:
        with wired(cloud, "run_migration", decide) as wire:
            running = shop.of(shop.begin("deploy", commit=shop.push().commit))
            _stands(shop, "StopTask")
            assert not shop.lock.free
            busy.clear()
            cloud.control.release("migrate", "StopTask", shop.name)
            done = shop.ended(running)
    finally:
        cloud.control.release("migrate", "StopTask", shop.name)
    assert len(wire.met) == ATTEMPTS * SENT
    assert _failures(shop, done) == ["TransientError"] * ATTEMPTS
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "ThrottlingException" in done.explanation
    assert _path(shop, done)[-4:] == ["StopTask", "Stopped?", *AFTER_FAILURE]
    assert {task["lastStatus"] for task in shop.one_off_tasks()} <= {"STOPPED"}
    assert (shop.system.digests(), shop.rollouts()) == (before, rollouts)
    _nothing_left(shop, done)


# --- row 12: no capacity


def test_row_12_capacity_that_never_comes(cloud: SampleCloud) -> None:
    """RunTask answers with failures: retried, then FailedClean, since nothing had been changed; the next one migrates.

    Red where `_started` (run_migration.py) takes NO_CAPACITY for an answer that was lost: a task that nobody started
    would be asked for, and the schema said to be ahead.
    """
    shop = Migrating.of_command(cloud, "full")
    before, rollouts = shop.system.digests(), shop.rollouts()
    cloud.control.refuse_tasks(shop.group, 1000)
    try:
        running = shop.of(shop.begin("deploy", commit=shop.push().commit))
        done = shop.ended(running, GIVES_UP)
    finally:
        cloud.control.refuse_tasks(shop.group, 0)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "no capacity" in done.explanation
    assert done.explanation.endswith("nothing had been changed"), done.explanation
    assert _failures(shop, done) == ["TransientError"] * ATTEMPTS
    assert _path(shop, done)[-5:] == ["RunTask", "StopTask", "Stopped?", *AFTER_FAILURE]
    assert shop.one_off_tasks() == []
    assert (shop.system.digests(), shop.rollouts()) == (before, rollouts)
    _nothing_left(shop, done)
    build = shop.push()
    after = shop.deployed(build)
    shop.check(build.digest, current=2, outcomes={after.id: Outcome.SUCCEEDED, done.id: Outcome.FAILED_CLEAN})


# --- row 13: a time-out while the task lives


def test_row_13_the_task_and_its_statement_end_before_the_lock_is_free(cloud: SampleCloud) -> None:
    """A state times out while its task lives: StopTask first, then what it has left running in the database, which is
    rolled back.

    Red where Stopped? of `migrate` goes on to RecordFailure at once: the statement goes on behind the next release.
    """
    shop, database = Migrating.of_command_and_database(cloud, "lives", timeout="8s")
    before, rollouts = shop.system.digests(), shop.rollouts()
    with shop.task_fault("hang"), shop.held("migrate", "TerminateBackends") as come:
        running = shop.migrating_now(shop.begin("deploy", commit=shop.push().commit))
        with database.connected(f"tidegate-migrate-{running.id}") as backend:
            # As its process would, which ECS kills while PostgreSQL is busy with what it was told.
            backend.run("BEGIN")
            backend.run("CREATE TABLE half (id int)")
            come()
            (task,) = shop.one_off_tasks()
            assert task["lastStatus"] == "STOPPED", "the task first"
            assert _backends(database) == [f"tidegate-migrate-{running.id}"]
            assert shop.lock.owner == running.id
            cloud.control.release("migrate", "TerminateBackends", shop.name)
            done = shop.ended(running)
            assert _backends(database) == []
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "it did not end within 8 s" in done.explanation
    assert _path(shop, done)[-6:] == [
        *("RunTask", "StopTask", "Stopped?", "TerminateBackends"),
        *AFTER_FAILURE,
    ]
    assert database.columns("half") == []
    assert (shop.system.digests(), shop.rollouts()) == (before, rollouts)
    _nothing_left(shop, done)


# --- row 31: upgraded mid-run


def test_row_31_upgraded_while_a_task_migrates(cloud: SampleCloud) -> None:
    """Orchestrator upgraded mid-run: what the older version wrote still parses, what a newer one adds is no matter, and
    the execution that runs finishes.

    Red where `from_json` of MigrationRun or MigrationPlan (domain/migration.py) takes each field as it comes.
    """
    shop = Migrating.of_command(cloud, "upgraded")
    with shop.task_fault("hang"):
        build = shop.push()
        running = shop.migrating_now(shop.begin("deploy", commit=build.commit))
        _rewrite(shop, keys.migration(running.id), {"of_another_version": 1}, without=("alive", "snapshot"))
        key = keys.deployment(*shop.place, running.id)
        item = shop.cloud.ports.store.get(key)
        assert item is not None
        plan = {**item["plan"], "of_another_version": 1}
        plan["migration"] = {**plan["migration"], "of_another_version": 1}
        _rewrite(shop, key, {"plan": plan, "of_another_version": 1})
        with shortened(cloud, "run_migration", 29), shortened(cloud, "wake", 29):
            # New processes of the functions, as after an upgrade.
            shop.cloud.control.clear_fault(shop.group)
            done = shop.ended(running)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    _each_ran_once(shop, {done.id: done})
    shop.check(build.digest, current=1, outcomes={done.id: Outcome.SUCCEEDED})


# --- how they are told


def _changes(turn: int) -> Any:
    """Every second change of each operation."""
    return lambda call: call.changes and call.nth % 2 == turn


def _failures(shop: Migrating, deployment: Deployment) -> list[str]:
    """The errors of the tasks of its machine `migrate`, in order; empty before it began."""
    run = Schemas(shop.cloud.ports.store, shop.cloud.ports.clock).run_of(deployment.id)
    if run is None:
        return []
    kinds = ("taskFailedEventDetails", "taskTimedOutEventDetails")
    return [
        str(event[kind]["error"])
        for event in events(shop.cloud, run.execution)
        for kind in kinds
        if kind in event
    ]


def _path(shop: Migrating, deployment: Deployment) -> list[str]:
    """The states of the machine `migrate` that it entered."""
    return entered(shop.cloud, shop.run_of(deployment).execution)


def _each_ran_once(shop: Migrating, done: Mapping[str, Deployment]) -> None:
    """One task, of the revision that is recorded, one line of each kind for each; the schema has them all."""
    cloud = shop.cloud
    tasks = shop.one_off_tasks()
    assert sorted(task["startedBy"] for task in tasks) == sorted(f"tidegate/{identity}" for identity in done)
    revisions = {task["startedBy"]: task["taskDefinitionArn"] for task in tasks}
    for identity, deployment in done.items():
        said = shop.timeline(deployment)
        for what in ("migrating", "migration task started", "migrated"):
            assert said.count(what) == 1, said
        run = shop.run_of(deployment)
        assert run.task_definition == revisions[f"tidegate/{identity}"]
        assert (run.outcome, run.asking) == (MigrationOutcome.MIGRATED.value, None)
        assert cloud.ledger.tokens_of(identity) == []
    schema = Schemas(cloud.ports.store, cloud.ports.clock).schema(*shop.place)
    assert schema is not None
    assert len(schema.done) == len(done)


def _revisions(shop: Migrating) -> int:
    family = shop.system.services["api"]
    listed = shop.cloud.client("ecs").list_task_definitions(familyPrefix=family)
    return len(listed["taskDefinitionArns"])


def _nothing_left(shop: Migrating, failed: Deployment) -> None:
    """The lock is free, nobody waits, it ended once and is not said to be at work."""
    shop.until(lambda: shop.lock.free, "a free lock")
    assert shop.waiters() == []
    assert shop.cloud.ledger.tokens_of(failed.id) == []
    assert not shop.run_of(failed).alive
    assert [what for what in shop.timeline(failed) if what in set(Outcome)] == [failed.outcome]


def _stands(shop: Migrating, state: str) -> None:
    wait_until(
        lambda: [
            one for one in shop.cloud.control.held() if (one["system"], one["state"]) == (shop.name, state)
        ],
        what=f"the machine to come to {state}",
        seconds=GIVES_UP,
    )


@contextmanager
def _closed(database: Database) -> Iterator[None]:
    """Nobody else gets at the table `gate`."""
    with database.connected("somebody else") as session:
        session.run("BEGIN")
        session.run("LOCK TABLE gate")
        yield
        session.run("COMMIT")


def _backends(database: Database) -> list[str]:
    """The application_name of each connection of a migration."""
    rows = database.run(
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
        " AND starts_with(application_name, 'tidegate-migrate')"
    )
    return [str(row[0]) for row in rows]


def _rewrite(shop: Migrating, key: Any, more: Mapping[str, Any], without: tuple[str, ...] = ()) -> None:
    """An item with more in it, or less, as another version of Tidegate writes it."""
    store = shop.cloud.ports.store
    item = store.get(key)
    assert item is not None
    kept = {name: value for name, value in item.items() if name not in (*without, "pk", "sk")}
    store.transact([Put(key, {**kept, **more})])
