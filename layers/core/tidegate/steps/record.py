"""Function `record`: how a run ends, and what follows from it: what is current, the lock, the announcement.

`Conclude` ends a run that changed nothing (NoChange, Refused); `Succeed` compares every service with the plan and
makes the release current; `BeginCompensation` says what has to be undone, newest wave first; `Fail` looks whether
the previous state is back and ends the run FailedClean or FailedDirty. Each may run twice: a run ends once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.causes import readable
from tidegate.domain.deployment import Current, Deployment, Line, Machine, Phase
from tidegate.domain.errors import NotFoundError
from tidegate.domain.ids import deployment_id
from tidegate.domain.outcome import Outcome, OutcomeDocument
from tidegate.domain.plan import Plan, ServicePlan, waves_of
from tidegate.domain.release import Standing, Verdict
from tidegate.domain.rollout import Direction, ServiceState
from tidegate.ledger.handover import release
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import parse_iso
from tidegate.ports import Ports, Write
from tidegate.steps.announce import announce

_REASON_LIMIT = 1000
# A transaction takes 100 writes. Older ones than these stay Succeeded; being later than what is current, they are
# neither gone back to nor brought back by an event all the same.
_LEFT_AT_MOST = 50
NOT_RECORDED = "Drifted"


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`{"step", "system", "environment", "deployment", "fence", …}`; gives `{"outcome", "document", "waves"}`."""
    ledger = Ledger(ports.store, ports.clock)
    deployment = _deployment(event, ledger)
    if event["step"] == "Conclude":
        return _conclude(event, ports, ledger, deployment)
    if deployment is None:
        return _nothing_recorded(event)
    if event["step"] == "Succeed":
        return _succeed(ports, ledger, deployment, int(event["fence"]))
    if event["step"] == "BeginCompensation":
        return _begin_compensation(event, ledger, deployment)
    return _fail(event, ports, ledger, deployment)


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
        return _answer(document)
    first = deployment.outcome is None
    if first:
        fence = _fence(event, ports, deployment)
        deployment = ledger.end(deployment, outcome, document["reason"], fence=fence)
        _count(ports, deployment)
    if first or _unfinished(ports, deployment):
        announce(ports, deployment, deployment.document().outcome.event)
    _leave(ports, deployment)
    return _answer(deployment.document().to_json())


def _succeed(ports: Ports, ledger: Ledger, deployment: Deployment, fence: int) -> Mapping[str, Any]:
    first = deployment.outcome is None
    if first:
        plan = _plan(deployment)
        targets = _targets(ledger, deployment, plan)
        states = _states(ports, plan)
        astray = [
            service.key
            for service in plan.changed
            if not _runs(states.get(service.service), targets[service.key])
        ]
        if astray:
            what = "a service does not run what was rolled out"
            ledger.tell(deployment.id, what, detail=", ".join(astray))
            return _answer({**_open_document(deployment, what), "outcome": NOT_RECORDED})
        services = _described(plan, targets, "Rolled")
        deployment = ledger.end(
            deployment,
            Outcome.SUCCEEDED,
            deployment.reason,
            fence=fence,
            services=services,
            also=_now_current(ledger, deployment, targets, services, fence),
        )
        _count(ports, deployment)
    if deployment.outcome is Outcome.SUCCEEDED and (first or _unfinished(ports, deployment)):
        announce(ports, deployment, Outcome.SUCCEEDED.event)
        for service in _plan(deployment).services:
            # What runs now, for infrastructure as code to deploy.
            ports.registry.publish_image(
                deployment.system, deployment.environment, service.image, service.image_uri
            )
    _leave(ports, deployment)
    return _answer(deployment.document().to_json())


def _unfinished(ports: Ports, deployment: Deployment) -> bool:
    """Whether an attempt before recorded the end and may have got no further: handing the lock on comes last. After
    that nothing is said twice, and no image is published over the one of a successor."""
    lock = Locks(ports.store, ports.clock).read(deployment.system, deployment.environment)
    return lock.held_by(deployment.id)


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
    writes = [
        ledger.current_write(*place, Current(number, deployment.id, now, fence, services)),
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


def _begin_compensation(
    event: Mapping[str, Any], ledger: Ledger, deployment: Deployment
) -> Mapping[str, Any]:
    """Which services may have been touched, newest wave first: those with a record of an intention."""
    if deployment.outcome is not None:
        # What failed came after the end was recorded, e.g. the hand-over: there is nothing to undo.
        return _answer(deployment.document().to_json())
    plan = _plan(deployment)
    touched = {rollout.service for rollout in ledger.rollouts(deployment.id)}
    waves = waves_of(service for service in plan.changed if service.key in touched)[::-1]
    if deployment.phase is not Phase.COMPENSATING:
        line = Line(
            ledger.now(), "taking every service back", detail=", ".join(k for wave in waves for k in wave)
        )
        ledger.save(replace(deployment, phase=Phase.COMPENSATING), line, fence=int(event["fence"]))
    return {**_answer(_open_document(deployment, "")), "waves": [{"services": wave} for wave in waves]}


def _fail(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
) -> Mapping[str, Any]:
    first = deployment.outcome is None
    if first:
        outcome, explanation, services = _how_it_failed(event, ports, ledger, deployment)
        fence = _fence(event, ports, deployment)
        also: list[Write] = []
        if deployment.release and deployment.plan is not None and fence is not None:
            also = _failed_standing(ledger, deployment)
        deployment = ledger.end(deployment, outcome, explanation, fence=fence, services=services, also=also)
        _count(ports, deployment)
    ended = deployment.document().outcome
    # An end that another step recorded is that step's to announce: this one is there when it could not.
    if first or (ended.failed and _unfinished(ports, deployment)):
        announce(ports, deployment, ended.event)
    _leave(ports, deployment)
    return _answer(deployment.document().to_json())


def _how_it_failed(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
) -> tuple[Outcome, str, dict[str, dict[str, Any]]]:
    reason = _why(event, ledger, deployment)
    touched = {rollout.service for rollout in ledger.rollouts(deployment.id)}
    if deployment.plan is None or not touched:
        return Outcome.FAILED_CLEAN, f"{reason}; nothing had been changed", {}
    plan = deployment.plan
    previous = {service.key: _way_back(ledger, deployment, service) for service in plan.services}
    states = _states(ports, plan)
    astray = [
        service.key
        for service in plan.services
        if service.key in touched and not _runs(states.get(service.service), previous[service.key])
    ]
    services = _described(plan, previous, "Reverted")
    for key in astray:
        state = states.get(plan.service(key).service)
        services[key] |= {
            "outcome": "Unknown" if state is None else "NotReverted",
            "task_definition": "" if state is None else state.task_definition,
        }
    if astray:
        return (
            Outcome.FAILED_DIRTY,
            f"{reason}; not back on the previous release: {', '.join(astray)}",
            services,
        )
    return Outcome.FAILED_CLEAN, reason, services


def _why(event: Mapping[str, Any], ledger: Ledger, deployment: Deployment) -> str:
    reports = ledger.reports(deployment.id)
    if reports:
        return "; ".join(report.summary() for report in reports)[:_REASON_LIMIT]
    fallback = "its execution ended without an outcome" if deployment.recoveries else "a service did not roll"
    return _error_text(event) or fallback


def _error_text(event: Mapping[str, Any]) -> str:
    """What a Catch caught, in one sentence."""
    error = event.get("error") or {}
    if not error:
        return ""
    return readable(f"{error.get('name', 'error')}: {error.get('cause') or ''}")[:_REASON_LIMIT].rstrip(": ")


def _way_back(ledger: Ledger, deployment: Deployment, service: ServicePlan) -> str:
    """The revision that stands for the previous state: a copy of it, where it had become INACTIVE."""
    reverted = ledger.rollout(deployment.id, service.key, Direction.REVERT)
    return (reverted.task_definition if reverted else None) or service.previous


def _failed_standing(ledger: Ledger, deployment: Deployment) -> list[Write]:
    place = deployment.system, deployment.environment
    if deployment.machine is Machine.ROLLBACK or ledger.standing(*place, deployment.release or 0) is not None:
        return []
    standing = Standing(deployment.release or 0, Verdict.FAILED, deployment.id, ledger.now())
    return [ledger.standing_write(*place, standing)]


def _targets(ledger: Ledger, deployment: Deployment, plan: Plan) -> dict[str, str]:
    rolled = {
        rollout.service: rollout.task_definition
        for rollout in ledger.rollouts(deployment.id)
        if rollout.direction is Direction.ROLL
    }
    return {service.key: rolled.get(service.key) or service.target or "" for service in plan.services}


def _states(ports: Ports, plan: Plan) -> dict[str, ServiceState]:
    return ports.containers.services(plan.cluster, sorted({service.service for service in plan.services}))


def _runs(state: ServiceState | None, task_definition: str) -> bool:
    return state is not None and state.runs(task_definition)


def _described(plan: Plan, task_definitions: Mapping[str, str], changed: str) -> dict[str, dict[str, Any]]:
    reverted = changed == "Reverted"
    return {
        service.key: {
            "outcome": changed if service.changed else "Unchanged",
            "task_definition": task_definitions[service.key],
            **({} if reverted else {"digest": service.digest}),
        }
        for service in plan.services
    }


def _fence(event: Mapping[str, Any], ports: Ports, deployment: Deployment) -> int | None:
    """The fence that this run acquired; if it never heard of one, that of a hand-over it missed, or None."""
    acquired = int(event.get("fence", -1))
    if acquired >= 0:
        return acquired
    lock = Locks(ports.store, ports.clock).read(deployment.system, deployment.environment)
    return lock.fence if lock.held_by(deployment.id) else None


def _leave(ports: Ports, deployment: Deployment) -> None:
    """The queue and the lock; FailedDirty keeps it until a person has looked."""
    if deployment.outcome is Outcome.FAILED_DIRTY:
        return
    Locks(ports.store, ports.clock).leave(deployment.system, deployment.environment, deployment.id)
    release(ports, deployment.system, deployment.environment, deployment.id)


def _plan(deployment: Deployment) -> Plan:
    if deployment.plan is None:
        raise NotFoundError(f"deployment {deployment.id} has no plan in the ledger", field="deployment")
    return deployment.plan


def _count(ports: Ports, deployment: Deployment) -> None:
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


def _open_document(deployment: Deployment, reason: str) -> dict[str, Any]:
    return {
        "outcome": None,
        "deployment": deployment.id,
        "release": deployment.release_name,
        "reason": reason,
        "services": {},
    }


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
    reason = f"{_error_text(event)}; nothing had been changed"
    document = OutcomeDocument(Outcome.FAILED_CLEAN, identity, None, reason)
    return _answer(document.to_json())


def _answer(document: Mapping[str, Any]) -> dict[str, Any]:
    return {"outcome": document["outcome"], "document": dict(document), "waves": []}
