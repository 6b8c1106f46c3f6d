"""What all ends of a run have in common: the plan compared with ECS, the lock handed on, the answer to the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.domain.deployment import Deployment, Line
from tidegate.domain.errors import NotFoundError
from tidegate.domain.outcome import Outcome
from tidegate.domain.plan import Plan
from tidegate.domain.rollout import Direction, ServiceState
from tidegate.domain.scaling import has_count
from tidegate.ledger.handover import release
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import parse_iso
from tidegate.ports import Ports

_PAGED = "paged"


def plan_of(deployment: Deployment) -> Plan:
    if deployment.plan is None:
        raise NotFoundError(f"deployment {deployment.id} has no plan in the ledger", field="deployment")
    return deployment.plan


def states_of(ports: Ports, plan: Plan) -> dict[str, ServiceState]:
    return ports.containers.services(plan.cluster, sorted({service.service for service in plan.services}))


def runs(state: ServiceState | None, task_definition: str) -> bool:
    return state is not None and state.runs(task_definition)


def arrived(plan: Plan, direction: Direction, state: ServiceState | None, task_definition: str) -> bool:
    """Whether a service is where it was to go; of one that is scaled its count says so, whatever it runs."""
    if plan.scale is None:
        return runs(state, task_definition)
    return has_count(state, plan.scale.wanted(direction), autoscaled=plan.scale.autoscaled)


def described(plan: Plan, task_definitions: Mapping[str, str], changed: str) -> dict[str, dict[str, Any]]:
    reverted, scale = changed == "Reverted", plan.scale
    return {
        service.key: {
            "outcome": changed if service.changed else "Unchanged",
            "task_definition": task_definitions[service.key],
            **({} if reverted else {"digest": service.digest}),
            **({} if scale is None else {"desired": scale.before if reverted else scale.count}),
        }
        for service in plan.services
    }


def fence_of(event: Mapping[str, Any], ports: Ports, deployment: Deployment) -> int | None:
    """The fence that this run acquired; if it never heard of one, that of a hand-over it missed, or None."""
    acquired = int(event.get("fence", -1))
    if acquired >= 0:
        return acquired
    lock = Locks(ports.store, ports.clock).read(deployment.system, deployment.environment)
    return lock.fence if lock.held_by(deployment.id) else None


def unfinished(ports: Ports, deployment: Deployment) -> bool:
    """Whether an attempt before recorded the end and may have got no further: handing the lock on comes last. After
    that nothing is said twice, and no image is published over the one of a successor."""
    lock = Locks(ports.store, ports.clock).read(deployment.system, deployment.environment)
    return lock.held_by(deployment.id)


def note_page(ports: Ports, deployment: Deployment) -> None:
    """After the critical topic was told that a deployment ended FailedDirty: without this note, the sweep tells it."""
    line = Line(deployment.finished_at or "", "on-call was told")
    Ledger(ports.store, ports.clock).tell_once(deployment.id, _PAGED, line)


def is_paged(ports: Ports, deployment: Deployment) -> bool:
    return Ledger(ports.store, ports.clock).was_told(deployment.id, _PAGED, deployment.finished_at or "")


def leave(ports: Ports, deployment: Deployment) -> None:
    """What it waited for, what people did about it, the queue and the lock; FailedDirty keeps that until a person has
    looked."""
    ledger = Ledger(ports.store, ports.clock)
    for item in ledger.tokens_of(deployment.id):
        # A bake that went well, or an approval that never came: their tasks timed out and nobody answered.
        ledger.answered(item["awaited"], item["execution"], item["token"], deployment.id)
    interventions = Interventions(ports.store, ports.clock)
    interventions.close_abort(deployment.id)
    if deployment.approval is not None:
        interventions.forget_approval(deployment.system, deployment.environment, deployment.id)
    if deployment.outcome is Outcome.FAILED_DIRTY:
        return
    Locks(ports.store, ports.clock).leave(deployment.system, deployment.environment, deployment.id)
    release(ports, deployment.system, deployment.environment, deployment.id)


def count(ports: Ports, deployment: Deployment) -> None:
    outcome = deployment.document().outcome.value
    ports.metrics.count(outcome, system=deployment.system, environment=deployment.environment)
    seconds = (parse_iso(deployment.finished_at or "") - parse_iso(deployment.started_at)).total_seconds()
    ports.metrics.count(
        "DeploymentDuration",
        seconds,
        "Seconds",
        system=deployment.system,
        environment=deployment.environment,
    )


def open_document(deployment: Deployment, reason: str) -> dict[str, Any]:
    return {
        "outcome": None,
        "deployment": deployment.id,
        "release": deployment.release_name,
        "reason": reason,
        "services": {},
    }


def answer(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "outcome": document["outcome"],
        "document": dict(document),
        "waves": [],
        "end_migration": False,
    }
