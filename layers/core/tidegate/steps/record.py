"""Function `record`: how a run ends, and what follows from it: what is current, the lock, the announcement.

`Conclude` ends a run that changed nothing (NoChange, Refused, Superseded); `Succeed` compares every service with the
plan, looks at the alarms of the bake once more and makes the release current; `BeginCompensation` says what has to be
undone, newest wave first; `Fail` looks whether the previous state is back and ends the run FailedClean or
FailedDirty. Each may run twice: a run ends once. Those of rotations alone are in `steps.rotation_ending`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.deployment import Current, Deployment, Machine
from tidegate.domain.errors import AbortedError
from tidegate.domain.ids import deployment_id
from tidegate.domain.outcome import Outcome, OutcomeDocument
from tidegate.domain.plan import Plan
from tidegate.domain.release import Standing, Verdict
from tidegate.domain.rollout import Direction
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import parse_iso
from tidegate.ports import Ports, Write
from tidegate.steps.announce import announce
from tidegate.steps.ending import (
    answer,
    arrived,
    count,
    described,
    fence_of,
    leave,
    open_document,
    plan_of,
    states_of,
    unfinished,
)
from tidegate.steps.failing import begin_compensation, error_text, fail
from tidegate.steps.resuming import alarm_report
from tidegate.steps.rotation_ending import begin_restoring, begin_retire, begin_rotation, rotated

# A transaction takes 100 writes. Older ones than these stay Succeeded; being later than what is current, they are
# neither gone back to nor brought back by an event all the same.
_LEFT_AT_MOST = 50
NOT_RECORDED = "Drifted"
_OF_ROTATIONS = {
    "BeginRotation": begin_rotation,
    "BeginRetire": begin_retire,
    "BeginRestoring": begin_restoring,
}


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`{"step", "system", "environment", "deployment", "fence", …}`; gives `{"outcome", "document", "waves",
    "end_migration"}`."""
    ledger = Ledger(ports.store, ports.clock)
    deployment = _deployment(event, ledger)
    if event["step"] == "Conclude":
        return _conclude(event, ports, ledger, deployment)
    if deployment is None:
        return _nothing_recorded(event)
    if event["step"] in _OF_ROTATIONS:
        return _OF_ROTATIONS[event["step"]](event, ports, deployment)
    if event["step"] == "Rotated":
        return rotated(event, ports, ledger, deployment)
    if event["step"] == "Succeed":
        return _succeed(ports, ledger, deployment, int(event["fence"]))
    if event["step"] == "BeginCompensation":
        return begin_compensation(event, ports, ledger, deployment)
    return fail(event, ports, ledger, deployment)


def _deployment(event: Mapping[str, Any], ledger: Ledger) -> Deployment | None:
    """The deployment of an event; a run that failed before it was planned knows only its execution and request."""
    identity = event.get("deployment")
    system, environment = event.get("system"), event.get("environment")
    if identity is None:
        execution, request = event["execution"], event.get("request")
        identity = deployment_id(execution["name"], parse_iso(execution["started_at"]))
        if isinstance(request, Mapping):
            identity = request.get("recover") or identity
            system, environment = request.get("system"), request.get("environment")
    if not (isinstance(system, str) and isinstance(environment, str)):
        return None
    return ledger.deployment(system, environment, str(identity))


def _conclude(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment | None
) -> Mapping[str, Any]:
    document = event["document"]
    outcome = Outcome(document["outcome"])
    if deployment is None:
        _announce_unrecorded(event, ports, document)
        return answer(document)
    first = deployment.outcome is None
    if first:
        fence = fence_of(event, ports, deployment)
        try:
            deployment = ledger.end(deployment, outcome, document["reason"], fence=fence)
        except AbortedError:
            return fail(event, ports, ledger, deployment)
        count(ports, deployment)
    if first or unfinished(ports, deployment):
        announce(ports, deployment, deployment.event)
    leave(ports, deployment)
    return answer(deployment.document().to_json())


def _succeed(ports: Ports, ledger: Ledger, deployment: Deployment, fence: int) -> Mapping[str, Any]:
    first = deployment.outcome is None
    if first:
        plan = plan_of(deployment)
        targets = _targets(ledger, deployment, plan)
        states = states_of(ports, plan)
        astray = [
            service.key
            for service in plan.changed
            if not arrived(plan, Direction.ROLL, states.get(service.service), targets[service.key])
        ]
        if astray:
            what = "a service does not run what was rolled out"
            ledger.tell(deployment.id, what, detail=", ".join(astray))
            return answer({**open_document(deployment, what), "outcome": NOT_RECORDED})
        ringing = [] if plan.bake is None else ports.alarms.in_alarm(plan.bake.alarms)
        if ringing:
            report = alarm_report(ringing)
            ledger.save_report(deployment.id, report)
            return answer({**open_document(deployment, report.summary()), "outcome": NOT_RECORDED})
        services = described(plan, targets, _did(deployment))
        try:
            deployment = ledger.end(
                deployment,
                Outcome.SUCCEEDED,
                deployment.reason,
                fence=fence,
                services=services,
                also=[]
                if not deployment.releases
                else [
                    *_now_current(ledger, deployment, targets, services, fence),
                    *_guard(ledger, deployment),
                ],
            )
        except AbortedError as abort:
            # It came in the last moment, and before the success: everything goes back.
            return answer({**open_document(deployment, abort.message), "outcome": NOT_RECORDED})
        count(ports, deployment)
    if deployment.outcome is Outcome.SUCCEEDED and (first or unfinished(ports, deployment)):
        _publish(ports, deployment)
        announce(ports, deployment, Outcome.SUCCEEDED.event)
    leave(ports, deployment)
    return answer(deployment.document().to_json())


def _did(deployment: Deployment) -> str:
    """What became of a service that changed."""
    if deployment.scales:
        return "Scaled"
    return "Restarted" if deployment.restart else "Rolled"


def _publish(ports: Ports, deployment: Deployment) -> None:
    """What runs now, for infrastructure as code to deploy; of a service that auto scaling scales, no count."""
    place, plan = (deployment.system, deployment.environment), plan_of(deployment)
    if plan.scale is not None:
        if not plan.scale.autoscaled:
            ports.registry.publish_count(*place, plan.scale.service, plan.scale.count)
        return
    for service in () if deployment.only_migrations else plan.services:
        ports.registry.publish_image(*place, service.image, service.image_uri)


def _guard(ledger: Ledger, deployment: Deployment) -> list[Write]:
    """A rollback has none: once is once."""
    plan = plan_of(deployment)
    if plan.guard is None or deployment.machine is Machine.ROLLBACK:
        return []
    return ledger.guard_writes(deployment.system, deployment.environment, deployment.id, plan.guard)


def _now_current(
    ledger: Ledger,
    deployment: Deployment,
    targets: Mapping[str, str],
    services: Mapping[str, Mapping[str, Any]],
    fence: int,
) -> list[Write]:
    number = deployment.release or 0
    now = ledger.now()
    place = deployment.system, deployment.environment
    standing = Standing(number, Verdict.SUCCEEDED, deployment.id, now, dict(targets))
    before = ledger.current(*place)
    if deployment.machine is Machine.ROLLBACK:
        known = ledger.standing(*place, number)
        # It keeps its place in the order: what was previous before it is previous again.
        standing = replace(standing, at=now if known is None else known.at)
    order = "" if before is None else before.order
    if deployment.machine is Machine.DEPLOY:
        order = max(order, deployment.order)
    writes = [
        ledger.current_write(*place, Current(number, deployment.id, now, fence, services, order)),
        ledger.standing_write(*place, standing),
    ]
    if deployment.machine is Machine.ROLLBACK and before is not None and before.release != number:
        left = [
            known
            for known in ledger.standings(*place)
            if known.release != number and known.verdict is Verdict.SUCCEEDED and known.at > standing.at
        ]
        newest = sorted(left, key=lambda known: known.at, reverse=True)[:_LEFT_AT_MOST]
        writes += [
            ledger.standing_write(
                *place, replace(known, verdict=Verdict.ROLLED_BACK, deployment=deployment.id)
            )
            for known in newest
        ]
    return writes


def _targets(ledger: Ledger, deployment: Deployment, plan: Plan) -> dict[str, str]:
    rolled = {
        rollout.service: rollout.task_definition
        for rollout in ledger.rollouts(deployment.id)
        if rollout.direction is Direction.ROLL
    }
    return {service.key: rolled.get(service.key) or service.target or "" for service in plan.services}


def _announce_unrecorded(event: Mapping[str, Any], ports: Ports, document: Mapping[str, Any]) -> None:
    """A refusal of something that is no deployment: the event is all there is to see of it."""
    ports.bus.emit(
        Outcome(document["outcome"]).event,
        {
            "system": event.get("system"),
            "environment": event.get("environment"),
            "deployment": document["deployment"],
            "release": None,
            "commit": None,
            "actor": "",
            "outcome": document["outcome"],
            "reason": document["reason"],
            "severity": "info",
            "started_at": None,
            "finished_at": None,
            "services": {},
        },
    )


def _nothing_recorded(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run that failed before the ledger knew of it has changed nothing."""
    execution = event["execution"]
    identity = deployment_id(execution["name"], parse_iso(execution["started_at"]))
    reason = f"{error_text(event)}; nothing had been changed"
    document = OutcomeDocument(Outcome.FAILED_CLEAN, identity, None, reason)
    return answer(document.to_json())
