"""Rows 7, 8, 9, 22 and 24 to 29 of a rotation, against the real machines and the functions that they call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome
from tidegate.domain.rotation import version_of

from tests.e2e.rotating_system import TAKEN_OVER_SECONDS, Rotating, Shared
from tests.e2e.scenarios import sweep
from tests.e2e.support import SampleCloud
from tests.faults.stage import unswept
from tests.faults.standing import entered, events
from tests.faults.wires import SENT, Call, Fault, first_time, wired

pytestmark = pytest.mark.emulator

FUNCTION = "rotate_secret"
# Less than botocore waits for an answer, so that Lambda is what ends the function.
SHORT = 5


# --- rows 7, 8 and 9: calls and answers that are lost, and a function that is ended


def test_row_07_the_retry_of_what_was_cut_off_before_a_call_completes(cloud: SampleCloud) -> None:
    """Crash before each AWS call: the retry completes. Each call of `rotate_secret`, for good in its attempt.

    Red where "TransientError" is not in the Retry of Promote (statemachines/rotate.asl.json).
    """
    shop, database = Rotating.of_database(cloud, "cut")
    old = shop.value()
    with wired(cloud, FUNCTION, first_time(Fault.CUT, lambda call: True, SENT)) as wire:
        done = shop.rotated()
    assert done.outcome is Outcome.ROTATED, done.explanation
    assert {"PutSecretValue 0", "UpdateSecretVersionStage 0", "UpdateSecretVersionStage 1"} <= set(
        wire.faults(Fault.CUT)
    )
    assert {"GetSecretValue 0", "DescribeSecret 0", "GetRandomPassword 0"} <= set(wire.faults(Fault.CUT))
    assert len(failures(shop, done)) >= 6, wire.met
    _rotated_once(shop, done)
    new = shop.value()
    assert database.admits(new["username"], new["password"])
    assert not database.admits(old["username"], old["password"])


@pytest.mark.parametrize("kind", ["database", "token"])
def test_row_08_what_took_effect_unheard_is_read_back(cloud: SampleCloud, kind: str) -> None:
    """The call took effect, its answer was lost: read back, no second effect. Each change of a version, for good in its
    attempt: a value is written once, and the promotion is not taken for somebody else's.

    Red where `_promote` (rotate_secret.py) wants to see its version pending, or `retire` (rotating_tokens.py) does not
    look whether its own is current already.
    """
    shop = (
        Rotating.of_token(cloud, "unheard") if kind == "token" else Rotating.of_database(cloud, "unheard")[0]
    )
    with wired(cloud, FUNCTION, first_time(Fault.LOST, lambda call: call.changes, SENT)) as wire:
        done = shop.rotated()
    assert done.outcome is Outcome.ROTATED, done.explanation
    assert {"PutSecretValue 0", "UpdateSecretVersionStage 0"} <= set(wire.faults(Fault.LOST))
    assert len(failures(shop, done)) >= 2, wire.met
    _rotated_once(shop, done, "retired" if kind == "token" else "")


def test_row_09_a_function_that_is_ended_after_the_promotion(cloud: SampleCloud) -> None:
    """Lambda time-out while the promotion is asked for, which takes effect: it is found done, once.

    Red where "Sandbox.Timedout" is not in the Retry of Promote (statemachines/rotate.asl.json).
    """
    shop, database = Rotating.of_database(cloud, "ended")

    def decide(call: Call) -> Fault | None:
        moves = call.operation == "UpdateSecretVersionStage" and b"AWSCURRENT" in call.body
        return Fault.SILENT if moves and not wire.met else None

    with wired(cloud, FUNCTION, decide, timeout=SHORT) as wire:
        done = shop.rotated()
    assert [fault for _, fault in wire.met] == [Fault.SILENT]
    assert "Sandbox.Timedout" in failures(shop, done)
    assert done.outcome is Outcome.ROTATED, done.explanation
    _rotated_once(shop, done)
    new = shop.value()
    assert database.admits(new["username"], new["password"])


# --- row 22: stopped by hand

FORWARD = ("Retire", "RecordSuccess")
STATES = ("Precheck", "Stage", "Set", "Test", "Promote", "RollWave", "RestoreCurrent", "RevertWave", *FORWARD)


@dataclass(frozen=True)
class Stopped:
    """A rotation that was stopped in that state; `tasks` ran then."""

    state: str
    shop: Rotating
    database: Shared
    version: str
    old: Mapping[str, Any]
    running: Deployment
    tasks: Mapping[str, frozenset[str]]


def test_row_22_stopped_by_hand(cloud: SampleCloud) -> None:
    """StopExecution in any state: the sweep finishes or reverts, and frees the lock. One credential opens the database
    and is current, with which every consumer has started; and the next rotation goes well.

    Red where TakenOver? (statemachines/rotate.asl.json) goes to RecordFailure whatever was found.
    """
    stopped = []
    with unswept(cloud):
        for state in STATES:
            stopped.append(_stopped(cloud, state))
            # All wait at the same time until no function of theirs can be at work any more.
            sweep(cloud)
        for one in stopped:
            done = one.shop.finished(one.running, TAKEN_OVER_SECONDS)
            _check_stopped(one, done)
    for one in stopped:
        assert one.shop.rotated().outcome is Outcome.ROTATED, one.state


def _stopped(cloud: SampleCloud, state: str) -> Stopped:
    shop, database = Rotating.of_database(cloud, "stopped")
    version, old = shop.version, shop.value()
    failing = ["api"] if state in ("RestoreCurrent", "RevertWave") else []
    with shop.only_with(version, *failing), shop.stopped_in(state) as come:
        running = shop.of(shop.begin())
        come()
        tasks = shop.tasks()
        shop.stop(running)
    return Stopped(state, shop, database, version, old, running, tasks)


def _check_stopped(one: Stopped, done: Deployment) -> None:
    shop, state = one.shop, one.state
    assert "recovery started" in shop.timeline(done), state
    now = shop.value()
    assert one.database.admits(now["username"], now["password"]), state
    if state in FORWARD:
        assert done.outcome is Outcome.ROTATED, (state, done.explanation)
        _rotated_once(shop, done)
        assert not one.database.admits(one.old["username"], one.old["password"])
        return
    assert done.outcome is Outcome.FAILED_CLEAN, (state, done.explanation)
    assert (shop.version, now, shop.at("AWSPENDING")) == (one.version, one.old, None), state
    if state in ("RollWave", "RestoreCurrent", "RevertWave"):
        assert shop.started_since(one.tasks) == ["api", "worker"], state


# --- row 24: somebody else moves the current version


def test_row_24_moved_after_the_promotion(cloud: SampleCloud) -> None:
    """Somebody moves AWSCURRENT mid-rotation: stop. After the promotion their value stays, nothing is disabled, and a
    person is asked: tasks hold a value that is current no more.

    Red where `retire` (rotating_logins.py) does not look what is current.
    """
    shop, database = Rotating.of_database(cloud, "late-move")
    old = shop.value()
    with shop.stopped_in("Retire") as come:
        running = shop.of(shop.begin())
        come()
        ours = shop.value()
        theirs = shop.written_by_hand({**old, "note": "mine"})
        cloud.control.release("rotate", "Retire", shop.name)
        done = shop.ended(running)
    assert done.outcome is Outcome.FAILED_DIRTY, done.explanation
    assert theirs in done.explanation
    assert (shop.version, shop.value()["note"]) == (theirs, "mine")
    assert database.admits(old["username"], old["password"]), "what they have made current"
    assert database.admits(ours["username"], ours["password"]), "what the consumers have"
    assert not shop.lock.free


# --- row 25: not seen for a moment


def test_row_25_a_version_that_is_not_seen_yet(cloud: SampleCloud) -> None:
    """The pending version is invisible for a moment: retry. In each step that reads it, also in the retry of the one
    that wrote it unheard.

    Red where `version` (adapters/secrets.py) gives None for one that has a label: Stage generates again, which only a
    refusal of Secrets Manager keeps from being written.
    """
    shop, database = Rotating.of_database(cloud, "unseen")
    unseen: list[str] = []

    def decide(call: Call) -> Fault | None:
        written = any(passed.operation == "PutSecretValue" for passed in wire.passed)
        if call.operation == "PutSecretValue" and len(lost) < SENT:
            lost.append(str(call))
            return Fault.LOST
        asked = json.loads(call.body).get("VersionId") if call.operation == "GetSecretValue" else None
        # Every second time it is asked for.
        if written and asked == ours[0]:
            unseen.append(asked)
            return Fault.UNSEEN if len(unseen) % 2 else None
        return None

    lost: list[str] = []
    ours = [""]
    with shop.stopped_in("Stage") as come, wired(cloud, FUNCTION, decide) as wire:
        running = shop.of(shop.begin())
        come()
        ours[0] = version_of(running.id)
        cloud.control.release("rotate", "Stage", shop.name)
        done = shop.finished(running)
    assert done.outcome is Outcome.ROTATED, done.explanation
    assert [fault for _, fault in wire.met].count(Fault.UNSEEN) >= 3, wire.met
    assert failures(shop, done).count("TransientError") >= 4
    _rotated_once(shop, done)
    new = shop.value()
    assert database.admits(new["username"], new["password"])


# --- row 26: the administrator's password


def test_row_26_the_admins_password_is_rotated_meanwhile(cloud: SampleCloud) -> None:
    """Admin password rotated mid-Set: reread, retry. The database has the new one, the secret the old one for a while.

    Red where `_admin` (rotating_logins.py) raises FailedError in Set as it does in Precheck.
    """
    shop, database = Rotating.of_database(cloud, "admin")
    admin, new = f"{database.name}/production/admin", "canary-of-another-admin"
    asked: list[str] = []

    def decide(call: Call) -> Fault | None:
        if call.operation == "GetSecretValue" and json.loads(call.body)["SecretId"] == admin:
            asked.append(admin)
            if len(asked) == 4:
                value = {**database.credential(database.admin), "password": new}
                manager = cloud.client("secretsmanager")
                manager.put_secret_value(SecretId=admin, SecretString=json.dumps(value))
        return None

    with shop.stopped_in("Set") as come, wired(cloud, FUNCTION, decide):
        running = shop.of(shop.begin())
        come()
        asked.clear()
        database.run(f"ALTER ROLE {database.admin} PASSWORD '{new}'")
        cloud.control.release("rotate", "Set", shop.name)
        done = shop.finished(running)
    assert done.outcome is Outcome.ROTATED, done.explanation
    assert failures(shop, done) == ["TransientError"], "read twice in each attempt"
    _rotated_once(shop, done)


# --- row 27: auto scaling


@pytest.mark.parametrize("fails", [False, True])
def test_row_27_tasks_that_start_between_promotion_and_roll(cloud: SampleCloud, fails: bool) -> None:
    """Auto scaling starts tasks between Promote and Roll: both credentials work, and those tasks are replaced, on the
    way back as well.

    Red where `replaces` (rotation_ending.py) is left empty: ECS's own tasks with the new value would stay.
    """
    shop, database = Rotating.of_database(cloud, "scaled")
    version, old, before = shop.version, shop.value(), shop.tasks()
    with shop.only_with(version, *(["api"] if fails else [])), shop.stopped_in("RollWave") as come:
        running = shop.of(shop.begin())
        come()
        new = shop.value()
        for service in shop.system.services.values():
            cloud.client("ecs").update_service(cluster=shop.name, service=service, desiredCount=2)
        shop.until(lambda: all(len(arns) == 2 for arns in shop.tasks().values()), "the new tasks")
        shop.system.settle()
        tasks = shop.tasks()
        assert all(before[key] < tasks[key] for key in tasks), "the old ones beside them"
        for value in (old, new):
            assert database.admits(value["username"], value["password"])
        cloud.control.release("rotate", "RollWave", shop.name)
        done = shop.finished(running)
    assert done.outcome is (Outcome.FAILED_CLEAN if fails else Outcome.ROTATED), done.explanation
    assert shop.value() == (old if fails else new)
    assert shop.started_since(tasks) == ["api", "worker"]
    if fails:
        # Not by the restart that an event of the old value asks for, which comes behind.
        assert "worker" in shop.order(done, "reverting")
    assert {key: len(arns) for key, arns in shop.tasks().items()} == {"api": 2, "worker": 2}


# --- rows 28 and 29: ECS acts first, or has no image


def test_row_28_the_circuit_breaker_acts_first(cloud: SampleCloud) -> None:
    """ECS's own circuit breaker acts first: the outcome is read from ECS, and told as a failure. Its own way back
    starts tasks with the new value, which is current still: it is no way back of a rotation.

    Red where `_adoptable` (roll_service.py) does not look into `_replaced`.
    """
    shop, database = Rotating.of_database(cloud, "breaker")
    version, old = shop.version, shop.value()
    with shop.only_with(version, "api"), shop.stopped_in("RestoreCurrent") as come:
        running = shop.of(shop.begin())
        come()
        own = shop.ecs_deployments()["api"]
        assert shop.version != version
        cloud.control.release("rotate", "RestoreCurrent", shop.name)
        done = shop.finished(running)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "ECS deployment failed" in shop.timeline(done)
    assert "adopted ECS's own way back" not in shop.timeline(done)
    shop.system.settle()
    ((identity, _),) = shop.ecs_deployments()["api"]
    assert identity not in {known for known, _ in own}
    assert (shop.version, shop.value()) == (version, old)
    assert database.admits(old["username"], old["password"])


def test_row_29_no_task_can_start_any_more(cloud: SampleCloud) -> None:
    """Image deleted from ECR between plan and roll: here with either value no new task comes up, so that the way back
    cannot start any either. The old value is current and opens the database; a person is asked, since ECS can start
    nothing.

    Red where `_restore` (rotate_secret.py) leaves the new value current.
    """
    shop, database = Rotating.of_database(cloud, "imageless")
    version, old = shop.version, shop.value()
    with shop.fault("api", "crash", every=True), shop.stopped_in("RollWave") as come:
        running = shop.of(shop.begin())
        come()
        cloud.control.release("rotate", "RollWave", shop.name)
        done = shop.ended(running)
        assert done.outcome is Outcome.FAILED_DIRTY, done.explanation
        assert "the value before is current again, but did not start with it: api" in done.explanation
        assert (shop.version, shop.value()) == (version, old)
        assert database.admits(old["username"], old["password"])
        assert not shop.lock.free


# --- how they are told


def failures(shop: Rotating, deployment: Deployment) -> list[str]:
    """The errors of the tasks of its execution, in order."""
    kinds = ("taskFailedEventDetails", "taskTimedOutEventDetails")
    return [
        str(event[kind]["error"])
        for event in events(shop.cloud, deployment.execution)
        for kind in kinds
        if kind in event
    ]


def _rotated_once(shop: Rotating, done: Deployment, part: str = "") -> None:
    """One version was written, and it is current; everything is told once and nobody waits."""
    manager = shop.cloud.client("secretsmanager")
    labels: Mapping[str, list[str]] = manager.describe_secret(SecretId=shop.secret)["VersionIdsToStages"]
    current = version_of(done.id, part)
    assert shop.version == current
    assert sorted(stage for stages in labels.values() for stage in stages) == ["AWSCURRENT", "AWSPREVIOUS"]
    assert shop.order(done) == ["api", "worker"]
    assert [what for what in shop.timeline(done) if what in set(Outcome)] == [Outcome.ROTATED]
    assert shop.cloud.ledger.tokens_of(done.id) == []
    assert shop.waiters() == []
    standing = shop.standing
    assert standing is not None
    assert standing.version == current
    assert "RecordSuccess" in entered(shop.cloud, done.execution)
