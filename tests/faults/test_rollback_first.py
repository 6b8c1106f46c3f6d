"""Row 33: on-call rolls back while a deployment is under way; the rollback wins, whatever the deployment was doing."""

from __future__ import annotations

import pytest
from tidegate.domain.deployment import Deployment, Phase
from tidegate.domain.outcome import Outcome

from tests.e2e import histories
from tests.e2e.support import SampleCloud
from tests.faults.stage import Stage

pytestmark = pytest.mark.emulator

WAVES = {"api": 1, "worker": 2}
# States that are entered, of all machines together, between the request and the first UpdateService that it causes.
AT_MOST_ALONE = 9
AT_MOST_IN_FLIGHT = 12


def test_row_33_while_its_first_wave_hangs(cloud: SampleCloud) -> None:
    """On-call rolls back during a deployment that hangs in ECS: aborted, rollback wins, one final state.

    Without `clear_the_way` in steps.lock._queued the rollback waits until ECS gives up.
    """
    stage = Stage.make(cloud, "hanging", WAVES)
    good = stage.released("current")
    before = stage.system.task_definitions()
    with stage.fault("api", "hang"):
        deployment = stage.rolling(stage.arrived(stage.announce("hangs")), "api")
        execution = stage.rollback()
        aborted, rollback = stage.ended(deployment), stage.ended(stage.of(execution))
    assert stage.path(aborted.execution) == [
        *(
            "PlanRelease",
            "Planned?",
            "AcquireLock",
            "StillPlanned?",
            "RollWave",
            "RollService",
            "WaveHealthy?",
        ),
        *("BeginCompensation", "MoreToRevert?", "RevertWave", "RevertService", "MoreToRevert?"),
        *("RecordFailure", "Clean?", "FailedClean"),
    ]
    assert aborted.explanation.startswith(f"aborted by ada: rollback {rollback.id}"), aborted.explanation
    assert not cloud.ledger.reports(aborted.id), "nothing has failed"
    _won(stage, execution, rollback)
    assert stage.system.task_definitions() == before
    stage.check(
        good.digest,
        current=1,
        outcomes={rollback.id: Outcome.SUCCEEDED, aborted.id: Outcome.FAILED_CLEAN},
    )
    _print_and_count(stage, rollback, aborted, AT_MOST_IN_FLIGHT)


def test_row_33_while_one_waits_behind_another(cloud: SampleCloud) -> None:
    """On-call rolls back while one deployment runs and another waits: what only waited is Superseded.

    Without the loop over `_waiting` in steps.queueing.clear_the_way the second is released after the rollback.
    """
    stage = Stage.make(cloud, "lined-up", WAVES)
    good = stage.released("current")
    with stage.fault("api", "hang"):
        running = stage.rolling(stage.arrived(stage.announce("hangs")), "api")
        waiting = stage.queued(stage.arrived(stage.announce("waits behind it")))
        execution = stage.rollback()
        aborted, rollback = stage.ended(running), stage.ended(stage.of(execution))
        superseded = stage.ended(waiting)
    assert stage.path(superseded.execution) == [
        *("PlanRelease", "Planned?", "AcquireLock", "StillPlanned?", "Conclude", "Clean?", "Unchanged"),
    ]
    assert f"rollback {rollback.id} by ada" in superseded.explanation
    _won(stage, execution, rollback)
    stage.check(
        good.digest,
        current=1,
        outcomes={
            rollback.id: Outcome.SUCCEEDED,
            superseded.id: Outcome.SUPERSEDED,
            aborted.id: Outcome.FAILED_CLEAN,
        },
    )


def test_row_33_while_it_bakes(cloud: SampleCloud) -> None:
    """On-call rolls back while all services run the new release and bake: all go back to the current one.

    Without the tokens under their deployment (`token_of` in ledger.records.Ledger.keep_token) the bake goes on.
    """
    alarm = "baking-5xx"
    metric = {"Namespace": "baking", "MetricName": "5xx", "Statistic": "Sum", "Period": 60}
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName=alarm,
        **metric,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloud.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="quiet")
    stage = Stage.make(cloud, "baking", WAVES)
    good = stage.released("current")
    before = stage.system.task_definitions()
    stage.apply(bake={"for": "10m", "alarms": [alarm]})
    deployment = stage.waiting(stage.arrived(stage.announce("bakes")), Phase.BAKING)
    execution = stage.rollback()
    aborted, rollback = stage.ended(deployment), stage.ended(stage.of(execution))
    entered = stage.path(aborted.execution)
    at = entered.index("Bake")
    assert entered[at - 1 : at + 2] == ["WaveHealthy?", "Bake", "BeginCompensation"], entered
    assert entered.count("RevertService") == len(WAVES)
    _won(stage, execution, rollback)
    assert stage.system.task_definitions() == before
    stage.check(
        good.digest,
        current=1,
        outcomes={rollback.id: Outcome.SUCCEEDED, aborted.id: Outcome.FAILED_CLEAN},
    )


def test_row_33_while_it_awaits_approval(cloud: SampleCloud) -> None:
    """On-call rolls back while a deployment waits for a person: it has changed nothing, so the rollback leaves the
    current release, and the deployment is Superseded.

    Without the call of supersede_waiting in steps.lock._acquire an approval would undo the rollback.
    """
    stage = Stage.make(cloud, "asking", WAVES)
    good = stage.released("to go back to")
    stage.released("current")
    stage.apply(approval="required")
    deployment = stage.waiting(stage.arrived(stage.announce("asks")), Phase.AWAITING_APPROVAL)
    execution = stage.rollback()
    rollback, superseded = stage.ended(stage.of(execution)), stage.ended(deployment)
    assert stage.path(superseded.execution)[-5:] == [
        *("AwaitApproval", "Approved?", "Conclude", "Clean?", "Unchanged"),
    ]
    _won(stage, execution, rollback)
    stage.check(
        good.digest,
        current=1,
        outcomes={rollback.id: Outcome.SUCCEEDED, superseded.id: Outcome.SUPERSEDED},
    )


def test_row_33_two_rollbacks_at_once(cloud: SampleCloud) -> None:
    """Two people roll back the same deployment: both succeed, and nobody goes back one release too far.

    Without `request = replace(request, to=deployment.release)` in steps.plan_release._plan_again they do.
    """
    stage = Stage.make(cloud, "twice", WAVES)
    stage.released("one release too far")
    good = stage.released("current")
    with stage.fault("api", "hang"):
        deployment = stage.rolling(stage.arrived(stage.announce("hangs")), "api")
        with stage.held("rollback", "AcquireLock") as comes:
            executions = [stage.rollback(), stage.rollback()]
            comes()
            rollbacks = [stage.of(execution) for execution in executions]
        aborted = stage.ended(deployment)
        ended = [stage.ended(rollback) for rollback in rollbacks]
    stage.check(
        good.digest,
        current=2,
        outcomes={
            **{rollback.id: Outcome.SUCCEEDED for rollback in ended},
            aborted.id: Outcome.FAILED_CLEAN,
        },
    )
    for execution, rollback in zip(executions, ended, strict=True):
        _won(stage, execution, rollback)


def test_row_33_when_it_has_just_succeeded(cloud: SampleCloud) -> None:
    """A rollback when the deployment has just succeeded goes back to the release before.

    Once it was asked for while the deployment was still under way, once after its success was recorded. Without the
    branch for an unfinished deployment in steps.planning._rollback_target the first goes one release too far.
    """
    stage = Stage.make(cloud, "done", WAVES)
    good = stage.released("to go back to")
    with stage.held("deploy", "RecordSuccess") as comes:
        first = stage.arrived(stage.announce("succeeds under the rollback's eyes"))
        comes()
        with stage.held("rollback", "AcquireLock") as asks:
            execution = stage.rollback()
            asks()
            cloud.control.release("deploy", "RecordSuccess", stage.name)
            assert stage.ended(first).outcome is Outcome.SUCCEEDED
            assert stage.current == 2
    early = stage.ended(stage.of(execution))
    _won(stage, execution, early)
    assert (early.release, stage.current) == (1, 1)

    with stage.held("deploy", "Recorded?") as comes:
        second = stage.arrived(stage.announce("has just succeeded"))
        comes()
        assert stage.ended(second).outcome is Outcome.SUCCEEDED
        execution = stage.rollback()
        late = stage.ended(stage.of(execution))
    _won(stage, execution, late)
    stage.check(
        good.digest,
        current=1,
        outcomes={
            late.id: Outcome.SUCCEEDED,
            second.id: Outcome.SUCCEEDED,
            early.id: Outcome.SUCCEEDED,
            first.id: Outcome.SUCCEEDED,
        },
    )
    _print_and_count(stage, late, None, AT_MOST_ALONE)


def _won(stage: Stage, execution: str, rollback: Deployment) -> None:
    entered = [state for state in stage.path(execution) if state != "RollService"]
    replanned = ["PlanAgain", "Replanned?"] if "PlanAgain" in entered else []
    assert entered == [
        *("PlanRelease", "Planned?", "AcquireLock", "StillPlanned?", *replanned),
        *("RollBackServices", "RolledBack?", "RecordSuccess", "Recorded?", "Succeeded"),
    ]
    assert rollback.outcome is Outcome.SUCCEEDED, rollback.explanation


def _print_and_count(stage: Stage, rollback: Deployment, aborted: Deployment | None, at_most: int) -> None:
    """What was entered between the rollback's start and the first UpdateService after it."""
    runs = [entry for entry in (rollback, aborted) if entry is not None]
    rolls = [rollout.execution for entry in runs for rollout in stage.cloud.ledger.rollouts(entry.id)]
    steps = histories.all_entered(stage.cloud, [*(entry.execution for entry in runs), *rolls])
    begun = next(step.at for step in steps if step.name == "rollback.PlanRelease")
    # It calls UpdateService, and nothing before it does.
    first = next(step.at for step in steps if step.name == "roll.StartRollout" and step.at > begun)
    between = [step for step in steps if begun <= step.at <= first]
    names = ", ".join(step.name for step in between)
    seconds = (first - begun).total_seconds()
    print(f"\n{len(between)} transitions in {seconds:.1f} s before the first UpdateService: {names}")  # noqa: T201
    assert len(between) <= at_most, names
