"""Row 21: an old execution is redriven, long after its deployment was finished by others or has ended."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome

from tests.e2e import histories, scenarios
from tests.e2e.support import SampleCloud
from tests.faults.stage import Stage, unswept

pytestmark = pytest.mark.emulator


def test_row_21_redrive_two_weeks_later(cloud: SampleCloud) -> None:
    """Redrive two weeks later: a run that was stopped while it rolled, one that had failed, and one that waited.

    The newest release stays as it is: without the look at the outcome in steps.lock.run the one that waited takes the
    lock again.
    """
    stage = Stage.make(cloud, "redriven", {"api": 1}, queue="fifo")
    stage.released("before them")
    with stage.fault("api", "hang"):
        stopped = stage.rolling(stage.arrived(stage.announce("is stopped while it rolls")), "api")
        waiting = stage.queued(stage.arrived(stage.announce("is stopped while it waits")))
        for run in (waiting, stopped):
            cloud.client("stepfunctions").stop_execution(executionArn=run.execution, error="ByHand")
        scenarios.sweep(cloud)
        for run in (waiting, stopped):
            assert stage.ended(run, seconds=120).outcome is Outcome.FAILED_CLEAN
    with stage.fault("api", "crash"):
        failed = stage.ended(stage.arrived(stage.announce("crashes")))
    assert failed.outcome is Outcome.FAILED_CLEAN
    newest = stage.released("long since")

    known = _everything(stage, [stopped, waiting, failed])
    _redriven(stage, stopped)
    assert stage.path(stopped.execution) == [
        *("PlanRelease", "Planned?", "AcquireLock", "StillPlanned?", "RollWave", "RollService"),
        *("RollWave", "RollService", "WaveHealthy?", "BeginCompensation", "MoreToRevert?"),
        *("RecordFailure", "Clean?", "FailedClean"),
    ]
    _redriven(stage, waiting)
    assert stage.path(waiting.execution) == [
        *("PlanRelease", "Planned?", "AcquireLock", "AcquireLock", "StillPlanned?"),
        *("RecordFailure", "Clean?", "FailedClean"),
    ]
    _redriven(stage, failed)
    assert stage.path(failed.execution)[-2:] == ["FailedClean", "FailedClean"]
    assert _everything(stage, [stopped, waiting, failed]) == known
    last = stage.arrived(newest)
    stage.check(newest.digest, current=last.release or 0, outcomes={last.id: Outcome.SUCCEEDED})


def test_row_21_redriven_in_the_queue_before_anybody_noticed(cloud: SampleCloud) -> None:
    """Redrive of a run that waited: it takes its place again, and plans again under the lock that it gets."""
    stage = Stage.make(cloud, "requeued", {"api": 1}, queue="fifo")
    stage.released("before them")
    with unswept(cloud), stage.fault("api", "hang"):
        first = stage.rolling(stage.arrived(stage.announce("hangs for a while")), "api")
        build = stage.announce("is stopped while it waits")
        waiting = stage.queued(stage.arrived(build))
        place = [waiter.token for waiter in stage.waiters()]
        cloud.client("stepfunctions").stop_execution(executionArn=waiting.execution)
        histories.over(cloud, waiting.execution)
        cloud.client("stepfunctions").redrive_execution(executionArn=waiting.execution)
        stage.until(lambda: [waiter.token for waiter in stage.waiters()] not in ([], place), "a new token")
        assert [waiter.deployment for waiter in stage.waiters()] == [waiting.id], "in the place it had"
    assert stage.ended(first).outcome is Outcome.SUCCEEDED
    assert stage.ended(waiting).outcome is Outcome.SUCCEEDED
    assert stage.path(waiting.execution)[:7] == [
        *(
            "PlanRelease",
            "Planned?",
            "AcquireLock",
            "AcquireLock",
            "StillPlanned?",
            "PlanAgain",
            "Replanned?",
        ),
    ]
    stage.check(
        build.digest, current=3, outcomes={waiting.id: Outcome.SUCCEEDED, first.id: Outcome.SUCCEEDED}
    )


def _redriven(stage: Stage, deployment: Deployment) -> None:
    """Redrive its first execution; it ends with what is recorded."""
    stage.cloud.client("stepfunctions").redrive_execution(executionArn=deployment.execution)
    ended = histories.over(stage.cloud, deployment.execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "FailedClean")
    document = histories.document(stage.cloud, deployment.execution)
    known = stage.now(deployment)
    assert (document["deployment"], document["reason"]) == (known.id, known.explanation)


def _everything(stage: Stage, deployments: list[Deployment]) -> dict[str, Any]:
    """What a run that nobody expects could change."""
    return {
        "ecs": stage.ecs_deployments(),
        "lock": (stage.lock.owner, stage.lock.fence),
        "queue": [waiter.deployment for waiter in stage.waiters()],
        "current": stage.cloud.ledger.current(*stage.place),
        "deployments": [stage.now(one) for one in deployments],
        "reports": [stage.cloud.ledger.reports(one.id) for one in deployments],
        "timelines": [stage.timeline(one) for one in deployments],
        "history": [one.id for one in stage.history()],
    }
