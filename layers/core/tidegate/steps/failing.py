"""Taking a deployment back, and looking whether the previous state is there again: FailedClean or FailedDirty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.causes import readable
from tidegate.domain.deployment import Deployment, Line, Machine, Phase
from tidegate.domain.outcome import Outcome
from tidegate.domain.plan import ServicePlan, waves_of
from tidegate.domain.release import Standing, Verdict
from tidegate.domain.rollout import Direction
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports, Write
from tidegate.steps.announce import announce
from tidegate.steps.ending import (
    answer,
    arrived,
    count,
    described,
    fence_of,
    leave,
    note_page,
    open_document,
    plan_of,
    states_of,
    unfinished,
)
from tidegate.steps.migration_ending import left_alive, schema_ahead, still_migrating
from tidegate.steps.rotation_ending import attempted, how_it_failed
from tidegate.steps.stopping import abort_of

_REASON_LIMIT = 1000


def begin_compensation(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
) -> Mapping[str, Any]:
    """Which services may have been touched, newest wave first: those with a record of an intention. `end_migration`
    says that a migration was begun and may still be at work."""
    if deployment.outcome is not None:
        # What failed came after the end was recorded, e.g. the hand-over: there is nothing to undo.
        return answer(deployment.document().to_json())
    plan = plan_of(deployment)
    touched = {rollout.service for rollout in ledger.rollouts(deployment.id)}
    waves = waves_of(service for service in plan.changed if service.key in touched)[::-1]
    if deployment.phase is not Phase.COMPENSATING:
        line = Line(
            ledger.now(), "taking every service back", detail=", ".join(k for wave in waves for k in wave)
        )
        ledger.save(replace(deployment, phase=Phase.COMPENSATING), line, fence=int(event["fence"]))
    return {
        **answer(open_document(deployment, "")),
        "waves": [{"services": wave} for wave in waves],
        "end_migration": still_migrating(ports, deployment),
    }


def fail(event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment) -> Mapping[str, Any]:
    first = deployment.outcome is None
    if first:
        outcome, explanation, services = _how_it_failed(event, ports, ledger, deployment)
        fence = fence_of(event, ports, deployment)
        also: list[Write] = []
        if deployment.plan is not None and fence is not None and (deployment.release or deployment.rotation):
            also = [*_failed_standing(ledger, deployment), *attempted(ports, deployment, outcome)]
        deployment = ledger.end(deployment, outcome, explanation, fence=fence, services=services, also=also)
        count(ports, deployment)
    ended = deployment.document().outcome
    # An end that another step recorded is that step's to announce: this one is there when it could not.
    if first or (ended.failed and unfinished(ports, deployment)):
        announce(ports, deployment, deployment.event)
        if ended is Outcome.FAILED_DIRTY:
            note_page(ports, deployment)
    leave(ports, deployment)
    return answer(deployment.document().to_json())


def _how_it_failed(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
) -> tuple[Outcome, str, dict[str, dict[str, Any]]]:
    reason = _why(event, ports, ledger, deployment)
    if deployment.rotation:
        return how_it_failed(event, ports, ledger, deployment, reason)
    touched = {rollout.service for rollout in ledger.rollouts(deployment.id)}
    ahead = schema_ahead(ports, deployment)
    if left_alive(ports, deployment):
        reason = f"{reason}; its migration may still be at work in the database"
        return Outcome.FAILED_DIRTY, reason, {}
    if deployment.plan is None or not touched:
        return Outcome.FAILED_CLEAN, f"{reason}; {ahead or 'nothing had been changed'}", {}
    reason = f"{reason}; {ahead}" if ahead else reason
    plan = deployment.plan
    previous = {service.key: _way_back(ledger, deployment, service) for service in plan.services}
    states = states_of(ports, plan)
    astray = [
        service.key
        for service in plan.services
        if service.key in touched
        and not arrived(plan, Direction.REVERT, states.get(service.service), previous[service.key])
    ]
    services = described(plan, previous, "Reverted")
    for key in astray:
        state = states.get(plan.service(key).service)
        services[key] |= {
            "outcome": "Unknown" if state is None else "NotReverted",
            "task_definition": "" if state is None else state.task_definition,
        }
    if astray:
        return (
            Outcome.FAILED_DIRTY,
            f"{reason}; not back on the previous {'count' if plan.scale else 'release'}: {', '.join(astray)}",
            services,
        )
    return Outcome.FAILED_CLEAN, reason, services


def _why(event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment) -> str:
    abort = abort_of(ports, deployment.id)
    if abort is not None:
        return abort.told[:_REASON_LIMIT]
    reports = ledger.reports(deployment.id)
    if reports:
        return "; ".join(dict.fromkeys(report.summary() for report in reports))[:_REASON_LIMIT]
    fallback = "its execution ended without an outcome" if deployment.recoveries else "a service did not roll"
    return error_text(event) or fallback


def error_text(event: Mapping[str, Any]) -> str:
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
    if deployment.machine is Machine.ROLLBACK or not deployment.releases:
        return []
    if ledger.standing(*place, deployment.release or 0) is not None:
        return []
    standing = Standing(deployment.release or 0, Verdict.FAILED, deployment.id, ledger.now())
    return [ledger.standing_write(*place, standing)]
