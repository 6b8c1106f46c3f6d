"""The ways to the states of `deploy` and `roll`: what has to be the case for a run to come there."""

from __future__ import annotations

from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks

from tests.faults.standing import ENVIRONMENT, SERVICE, Run, Way, new_id


def _straight(run: Run) -> None:
    if not run.spot.waits:
        run.hold()
    run.start()
    run.arrive()


def _approved(run: Run) -> None:
    """Somebody approves; the plan is the same under the lock."""
    run.hold()
    run.start()
    _approve(run)
    run.arrive()


def _approved_anew(run: Run) -> None:
    """Somebody approves, and IaC has changed the task definition in the meantime."""
    run.hold()
    run.start()
    run.waits("AwaitApproval")
    run.register_a_revision()
    _approve(run)
    run.arrive()


def _approve(run: Run) -> None:
    run.waits("AwaitApproval")
    people = Interventions(run.cloud.ports.store, run.cloud.ports.clock)
    approval = people.approval(run.name, ENVIRONMENT, run.deployment)
    assert approval is not None
    run.scene.somebody.approve(run.deployment, approval.plan).done()


def _behind_somebody_elses(run: Run) -> None:
    """IaC has begun an ECS deployment that hangs."""
    run.fail_with("hang")
    arn = run.register_a_revision()
    run.cloud.client("ecs").update_service(
        cluster=run.name, service=run.system.services[SERVICE], taskDefinition=arn
    )
    run.before[SERVICE] = arn
    _straight(run)


def _queued(run: Run) -> None:
    """Another release has the lock."""
    other = new_id()
    run.hold("deploy", "RollWave")
    run.start(commit=2, deployment=other)
    run.stands("deploy", "RollWave")
    run.other = run.cloud.ledger.find(other)
    execution = run.start()
    locks = Locks(run.cloud.ports.store, run.cloud.ports.clock)
    run.wait(
        lambda: run.deployment in [waiter.deployment for waiter in locks.waiters(run.name, ENVIRONMENT)],
        "the queue",
    )
    run.stood = execution


def _crashing(run: Run) -> None:
    run.fail_with("crash")
    _straight(run)


def _never_back(run: Run) -> None:
    """Neither the new nor the old revision stays up."""
    run.fail_with("crash", everywhere=True)
    _straight(run)


def _hanging(run: Run) -> None:
    run.fail_with("hang")
    _straight(run)


def _asked_for_ever(run: Run) -> None:
    """The service rolls, and does not answer well."""
    run.start()
    run.wait(lambda: run.name in run.scene.smoke.asked, "its smoke check")
    (rollout,) = run.cloud.ledger.rollouts(run.deployment)
    run.stood = rollout.execution


def _answering_well(run: Run) -> None:
    run.scene.smoke.well.add(run.name)
    _straight(run)


def _child_lost(run: Run) -> None:
    """Somebody stops the execution that rolls the service."""
    run.fail_with("hang")
    run.hold()
    run.start()
    run.stop(run.waits("StartRollout"))
    run.arrive()


def _revert_lost(run: Run) -> None:
    """Somebody stops the execution that takes the service back; ECS's circuit breaker does it as well."""
    run.fail_with("crash")
    run.hold("deploy", "BeginCompensation")
    run.start()
    run.stands("deploy", "BeginCompensation")
    run.hold("roll", "StartRollout")
    run.hold()
    run.let_go("deploy", "BeginCompensation")
    run.stop(run.stands("roll", "StartRollout"))
    run.let_go("roll", "StartRollout")
    run.arrive()


def _second_wave(run: Run) -> None:
    """The first wave has rolled."""
    run.hold("deploy", "WaveHealthy?")
    run.start()
    run.stands("deploy", "WaveHealthy?")
    run.hold()
    run.let_go("deploy", "WaveHealthy?")
    run.arrive()


def _recovering(run: Run) -> None:
    """Its execution was stopped when all had rolled, and the sweep has started another one."""
    run.hold("deploy", "RecordSuccess")
    run.start()
    run.stop(run.stands("deploy", "RecordSuccess"))
    run.let_go("deploy", "RecordSuccess")
    if not run.spot.waits:
        run.hold()
    recovery = run.recovered()
    if run.spot.waits:
        run.wait(lambda: run.path(recovery)[-1:] == [run.spot.state], run.spot.state)
        run.stood = recovery
    else:
        run.arrive()


def _frozen(run: Run) -> None:
    """The environment takes no release."""
    run.scene.somebody.freeze(run.name, ENVIRONMENT, "the audit").done()
    _straight(run)


def _as_it_is(run: Run) -> None:
    """What runs already is asked for."""
    run.hold()
    run.start(commit=0)
    run.arrive()


def _rolling_back(run: Run) -> None:
    """A release has succeeded, and a person goes back to what ran before it."""
    first = new_id()
    run.start(deployment=first)
    run.other = run.cloud.ended(first)
    run.wait(lambda: not run.owner(), "the lock of the release before")
    run.hold()
    run.execute("rollback", {"to": "previous", "reason": "it is slow"})
    run.arrive()


STRAIGHT = Way(_straight)
APPROVED = Way(_approved, {"approval": "required"})
UNAPPROVED = Way(_straight, {"approval": "required"})
APPROVED_ANEW = Way(_approved_anew, {"approval": "required"})
BEHIND_SOMEBODY_ELSES = Way(_behind_somebody_elses)
QUEUED = Way(_queued)
BAKING = Way(_straight, bakes=True)
MIGRATING = Way(_straight, migrates=True)
CRASHING = Way(_crashing)
NEVER_BACK = Way(_never_back)
HANGING = Way(_hanging)
UNWELL = Way(_asked_for_ever, smokes=True)
WELL = Way(_answering_well, smokes=True)
CHILD_LOST = Way(_child_lost)
REVERT_LOST = Way(_revert_lost)
SECOND_WAVE = Way(_second_wave, waves=2)
RECOVERING = Way(_recovering)
FROZEN = Way(_frozen)
AS_IT_IS = Way(_as_it_is)
ROLLING_BACK = Way(_rolling_back)
