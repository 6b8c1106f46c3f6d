"""One service's desired count, to where it is wanted or back: `Start` of the function `roll_service` for a deployment
that scales.

What waits is named `ecs-count/<cluster>/<service>`: ECS tells of a service, not of a deployment, when a count is
reached (`ECS Service Action`, SERVICE_STEADY_STATE).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.deployment import Deployment, Line, Phase, Rollout
from tidegate.domain.errors import NotFoundError
from tidegate.domain.plan import ServicePlan
from tidegate.domain.rollout import Direction, RolloutOutcome, RolloutVerdict, ServiceState
from tidegate.domain.scaling import ScalePlan, judge_count, missing
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.fencing import insist_on_lock
from tidegate.steps.resuming import awaited_count, rolled_out
from tidegate.steps.stopping import abort_of, aborted


def start_scaling(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
) -> Mapping[str, Any]:
    """Give the service its count, unless it has it, and leave the task token with the service."""
    scale, service, cluster = _parts(deployment)
    direction, fence = Direction(event["direction"]), int(event["fence"])
    forward = direction is Direction.ROLL
    abort = abort_of(ports, deployment.id) if forward else None
    if abort is not None:
        # Before anything is written: a service that was not touched needs no way back.
        ports.executions.succeed(event["token"], aborted(abort))
        return {"waiting_for": None}
    state = _state(ports, cluster, service)
    primary = None if state is None else state.primary
    known = ledger.rollout(deployment.id, service.key, direction)
    rollout = replace(
        known or Rollout(service.key, direction, event["execution"], ledger.now()),
        execution=event["execution"],
        task_definition=service.previous,
        # Tasks that a count starts belong to the service's deployment: the report finds them by it.
        ecs_deployment=None if primary is None else primary.id,
    )
    ledger.save_rollout(deployment, rollout, fence=fence)
    count = scale.wanted(direction)
    if state is None or state.desired_count != count:
        if forward and _is_taken_back(ledger, deployment):
            # A call that comes late, of a roll whose time is over: the count may be back already.
            late = RolloutVerdict(RolloutOutcome.STUCK, "the deployment is being taken back")
            ports.executions.succeed(event["token"], rolled_out({}, late))
            return {"waiting_for": None}
        insist_on_lock(ports, deployment, fence)
        ports.containers.set_desired_count(cluster, service.service, count)
        was = "unknown" if state is None else str(state.desired_count)
        what = "scaling" if forward else "putting the count back"
        line = Line(ledger.now(), what, service.key, f"desired count {count}, which was {was}")
        ledger.save_rollout(deployment, rollout, line, fence=fence)
    return _wait(event, ports, ledger, deployment, abortable=forward)


def _wait(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment, *, abortable: bool
) -> Mapping[str, Any]:
    """The event, or an abort, may have come before the token: so look."""
    scale, service, cluster = _parts(deployment)
    awaited = awaited_count(cluster, service.service)
    waiting = {
        "token": event["token"],
        "deployment": deployment.id,
        "service": service.key,
        "direction": event["direction"],
        "cluster": cluster,
        "ecs_service": service.service,
        "count": scale.wanted(Direction(event["direction"])),
        "autoscaled": scale.autoscaled,
    }
    ledger.keep_token(awaited, event["execution"], waiting)
    abort = abort_of(ports, deployment.id) if abortable else None
    if abort is not None:
        told = ports.executions.succeed(event["token"], aborted(abort))
    else:
        verdict = judge_count(_state(ports, cluster, service), waiting)
        told = verdict is not None and ports.executions.succeed(event["token"], rolled_out(waiting, verdict))
    if told:
        ledger.answered(awaited, event["execution"], event["token"], deployment.id)
    return {"waiting_for": awaited}


def _is_taken_back(ledger: Ledger, deployment: Deployment) -> bool:
    """As it is now: by the fence alone both directions are one run's."""
    now = ledger.deployment(deployment.system, deployment.environment, deployment.id)
    return now is None or now.phase is Phase.COMPENSATING


def why_not(ports: Ports, deployment: Deployment) -> str:
    """What is missing of the count, for the report."""
    scale, service, cluster = _parts(deployment)
    return missing(_state(ports, cluster, service), scale)


def _parts(deployment: Deployment) -> tuple[ScalePlan, ServicePlan, str]:
    plan = deployment.plan
    if plan is None or plan.scale is None:
        raise NotFoundError(f"deployment {deployment.id} has no count in its plan", field="deployment")
    return plan.scale, plan.service(plan.scale.service), plan.cluster


def _state(ports: Ports, cluster: str, service: ServicePlan) -> ServiceState | None:
    return ports.containers.services(cluster, [service.service]).get(service.service)
