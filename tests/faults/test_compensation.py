"""What goes wrong while a release is taken back, or before we take it back: rows 20, 23 and 28."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome
from tidegate.domain.rollout import Direction
from tidegate.ledger.time import parse_iso

from tests.e2e import histories, scenarios
from tests.e2e.support import SampleCloud
from tests.faults.people import Person
from tests.faults.stage import SOON, Stage, unswept
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

# A person who rolls back waits for two roll-outs of some seconds, and never for the minute of the sweep.
ROLLED_BACK_SECONDS = 30.0


def test_row_20_compensation_fails_then_a_person_unlocks(cloud: SampleCloud) -> None:
    """Compensation itself fails: FailedDirty, lock kept, page; the next release waits until a person unlocks.

    Without `if deployment.outcome is Outcome.FAILED_DIRTY: return` in steps.ending.leave the next release runs into
    the mess.
    """
    scenarios.listen(cloud)
    stage = Stage.make(cloud, "stuck", {"api": 1, "worker": 2})
    ada = Person.named(cloud, "ada")
    good = stage.released("before the mess")
    with _pages(cloud) as pages:
        dirty = _made_a_mess(stage, ada)
        assert stage.timeline(dirty).count(Outcome.FAILED_DIRTY.value) == 1
        assert scenarios.heard(cloud, "Deployment Failed", dirty.id)["severity"] == "critical"
        paged = wait_until(lambda: pages(dirty.id), what="the page", seconds=SOON)
        assert (paged["detail-type"], paged["detail"]["outcome"]) == ("Deployment Failed", "FailedDirty")
    assert stage.lock.held_by(dirty.id)
    assert stage.current == 1

    follower = stage.queued(stage.arrived(following := stage.announce("waits behind the mess")))
    assert scenarios.sweep(cloud)["handed_over"] == 0, "the sweep does not hand a mess on"
    assert stage.now(follower).outcome is None
    assert stage.lock.held_by(dirty.id)

    fence = stage.lock.fence
    answer = ada.unlock(*stage.place, "looked: the worker was what failed").done()
    assert (answer["did"], answer["owner"], answer["by"]) == ("unlocked", dirty.id, ada.arn)
    assert "unlocked" in stage.timeline(dirty)
    done = stage.ended(follower)
    assert done.fence == fence + 1, "it was handed on, at once"
    stage.check(
        following.digest,
        current=3,
        outcomes={done.id: Outcome.SUCCEEDED, dirty.id: Outcome.FAILED_DIRTY},
    )
    assert ada.unlock(*stage.place, "again").code == "refused", "nothing is locked any more"
    assert good.digest != following.digest


def test_row_20_compensation_fails_then_a_person_rolls_back(cloud: SampleCloud) -> None:
    """Compensation itself fails: a rollback by a person needs no unlocking, and all is as before in seconds.

    Without `given_up` in steps.planning._back_to it says Succeeded and leaves the worker as ECS gave it up.
    """
    stage = Stage.make(cloud, "mended", {"api": 1, "worker": 2})
    stage.released("one release too far")
    good = stage.released("before the mess")
    dirty = _made_a_mess(stage, Person.named(cloud, "ada"))
    waiting = stage.queued(stage.arrived(stage.announce("waits behind the mess")))

    execution = stage.rollback()
    document = histories.document(cloud, execution, ROLLED_BACK_SECONDS)
    assert (document["outcome"], document["release"]) == ("Succeeded", "r2"), document
    rollback = stage.of(execution)
    took = parse_iso(rollback.finished_at or "") - parse_iso(rollback.started_at)
    assert took.total_seconds() < ROLLED_BACK_SECONDS
    entered = stage.path(execution)
    assert entered[:6] == [
        "PlanRelease",
        "Planned?",
        "AcquireLock",
        "StillPlanned?",
        "PlanAgain",
        "Replanned?",
    ]
    assert entered[6] == "RollBackServices"
    assert entered[-3:] == ["RecordSuccess", "Recorded?", "Succeeded"]
    assert "unlocked" not in stage.timeline(dirty)
    stage.check(
        good.digest,
        current=2,
        outcomes={
            rollback.id: Outcome.SUCCEEDED,
            waiting.id: Outcome.SUPERSEDED,
            dirty.id: Outcome.FAILED_DIRTY,
        },
    )


def test_row_23_two_of_three_rolled_and_the_third_trips(cloud: SampleCloud) -> None:
    """2 of 3 services rolled, the third trips: all three on the old release, newest wave first.

    Without `[::-1]` in steps.failing.begin_compensation the first wave comes back before the second.
    """
    stage = Stage.make(cloud, "trio", {"api": 1, "web": 1, "worker": 2})
    good = stage.released("all three")
    before = stage.system.task_definitions()
    with stage.fault("worker", "crash"):
        bad = stage.announce("the third trips")
        done = stage.ended(stage.arrived(bad))
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    waves = [
        [step.given["service"] for step in _steps(stage, done, "RollService")],
        [step.given["service"] for step in _steps(stage, done, "RevertService")],
    ]
    assert (sorted(waves[0][:2]), waves[0][2:]) == (["api", "web"], ["worker"]), waves
    assert (waves[1][:1], sorted(waves[1][1:])) == (["worker"], ["api", "web"]), waves
    outline = [state for state in stage.path(done.execution) if state not in ("RollService", "RevertService")]
    assert outline == [
        *("PlanRelease", "Planned?", "AcquireLock", "StillPlanned?"),
        *("RollWave", "WaveHealthy?", "RollWave", "WaveHealthy?"),
        *("BeginCompensation", "MoreToRevert?", "RevertWave", "MoreToRevert?", "RevertWave", "MoreToRevert?"),
        *("RecordFailure", "Clean?", "FailedClean"),
    ]
    assert stage.system.task_definitions() == before
    assert {key: service["outcome"] for key, service in done.services.items()} == dict.fromkeys(
        before, "Reverted"
    )
    stage.check(good.digest, current=1, outcomes={done.id: Outcome.FAILED_CLEAN})


@pytest.mark.parametrize("heard", [True, False], ids=["told by an event", "found by the sweep"])
def test_row_28_ecs_own_circuit_breaker_acts_first(cloud: SampleCloud, heard: bool) -> None:
    """ECS's own circuit breaker acts first: outcome read from ECS, reported as failure, its way back adopted.

    Without the call of `_adoptable` in steps.roll_service._Rolling._started a second deployment is started beside
    ECS's.
    """
    stage = Stage.make(cloud, "breaker" if heard else "unheard", {"api": 1})
    good = stage.released("before the breaker opens")
    before, started = stage.system.task_definitions()["api"], stage.service_deployments("api")
    with stage.fault("api", "crash"):
        if heard:
            done = stage.ended(stage.arrived(stage.announce("the breaker opens")))
        else:
            with unswept(cloud), _unheard(cloud):
                deployment = stage.arrived(stage.announce("the breaker opens"))
                stage.rolling(deployment, "api")
                _went_back(stage, before)
                assert stage.now(deployment).outcome is None, "nobody has heard of it"
                scenarios.sweep(cloud)
                done = stage.ended(deployment)
    back = _went_back(stage, before)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    rollouts = {rollout.direction: rollout for rollout in cloud.ledger.rollouts(done.id)}
    assert rollouts[Direction.ROLL].outcome == "RolledBack", "as ECS says"
    assert rollouts[Direction.REVERT].ecs_deployment == back["id"], (
        "ECS's deployment is the one that took it back"
    )
    assert "adopted ECS's own way back" in stage.timeline(done)
    assert "reverting" not in stage.timeline(done)
    assert stage.service_deployments("api") == started + 1, "UpdateService was called once"
    (report,) = cloud.ledger.reports(done.id)
    assert (report.service, report.tasks[0]["exit_code"]) == ("api", 1)
    stage.check(good.digest, current=1, outcomes={done.id: Outcome.FAILED_CLEAN})


def _made_a_mess(stage: Stage, somebody: Person) -> Deployment:
    """A deployment that ended FailedDirty: its worker came up neither on the new release nor on the one before.

    While it runs, nobody can unlock.
    """
    with stage.fault("worker", "crash", every=True):
        with stage.held("deploy", "RecordFailure") as comes:
            deployment = stage.arrived(stage.announce("nothing of it comes back"))
            comes()
            refused = somebody.unlock(*stage.place, "too early")
            assert (refused.status, refused.code) == (409, "refused"), refused
            assert deployment.id in refused.message
        dirty = stage.ended(deployment)
    assert dirty.outcome is Outcome.FAILED_DIRTY, dirty.explanation
    assert (dirty.services["api"]["outcome"], dirty.services["worker"]["outcome"]) == (
        "Reverted",
        "NotReverted",
    )
    ended = histories.over(stage.cloud, dirty.execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "FailedDirty")
    return dirty


def _steps(stage: Stage, deployment: Deployment, state: str) -> list[histories.Entered]:
    histories.over(stage.cloud, deployment.execution)
    return [step for step in histories.entered(stage.cloud, deployment.execution) if step.state == state]


def _went_back(stage: Stage, before: str) -> dict[str, Any]:
    """ECS's completed deployment of the task definition before."""

    def look() -> dict[str, Any] | None:
        primary: dict[str, Any] = stage.system.described()["api"]["deployments"][0]
        done = primary["rolloutState"] == "COMPLETED"
        return primary if done and primary["taskDefinition"] == before else None

    return wait_until(look, what="ECS to go back by itself", seconds=SOON, pause=0.1)


@contextmanager
def _unheard(cloud: SampleCloud) -> Iterator[None]:
    """ECS sends no event."""
    cloud.control.silence("aws.ecs")
    try:
        yield
    finally:
        cloud.control.end_silence("aws.ecs")


@contextmanager
def _pages(cloud: SampleCloud) -> Iterator[Any]:
    """What reaches the topic that pages somebody: a function that gives the event with this text in it, or None."""
    sqs, sns = cloud.client("sqs"), cloud.client("sns")
    name = f"pager-{uuid4().hex[:8]}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = "arn:aws:sns:us-east-1:000000000000:tidegate-critical"
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)["SubscriptionArn"]

    def look(part: str) -> dict[str, Any] | None:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(json.loads(message["Body"])["Message"])
            if part in json.dumps(event):
                return dict(event)
        return None

    try:
        yield look
    finally:
        sns.unsubscribe(SubscriptionArn=subscription)
        sqs.delete_queue(QueueUrl=url)
