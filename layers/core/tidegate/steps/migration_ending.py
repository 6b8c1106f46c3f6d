"""How a migration ended: what the ledger keeps of it, and the report of one that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.causes import readable
from tidegate.domain.deployment import Deployment, FailureReport, Line
from tidegate.domain.errors import NotFoundError
from tidegate.domain.migration import PART, MigrationOutcome, MigrationPlan, MigrationRun, Schema
from tidegate.domain.redaction import redacted
from tidegate.ledger.records import Ledger
from tidegate.ledger.schemas import Schemas
from tidegate.ports import Ports
from tidegate.steps.reporting import task_lines

_REASON_LIMIT = 1000


def record(
    event: Mapping[str, Any], ports: Ports, deployment: Deployment, plan: MigrationPlan
) -> Mapping[str, Any]:
    """Gives `{"outcome": "Migrated" | "Failed", "reason", "head"}`."""
    schemas = Schemas(ports.store, ports.clock)
    ledger = Ledger(ports.store, ports.clock)
    run = schemas.run_of(deployment.id)
    if run is None:
        # A run that was given up before it had begun.
        return {"outcome": MigrationOutcome.FAILED.value, "reason": _reason(event), "head": None}
    if run.outcome is not None or deployment.outcome is not None:
        outcome = run.outcome or MigrationOutcome.FAILED.value
        return {"outcome": outcome, "reason": run.reason, "head": run.head}
    ended = replace(
        run,
        outcome=event["outcome"],
        reason=_reason(event),
        head=event.get("head") or run.head,
        head_before=event.get("head_before") or run.head_before,
        finished_at=ledger.now(),
    )
    if event["outcome"] == MigrationOutcome.MIGRATED.value:
        return _migrated(event, ledger, schemas, deployment, plan, ended)
    return _failed(event, ports, ledger, schemas, deployment, ended)


def _reason(event: Mapping[str, Any]) -> str:
    return redacted(readable(event.get("reason") or ""))[:_REASON_LIMIT]


def _migrated(
    event: Mapping[str, Any],
    ledger: Ledger,
    schemas: Schemas,
    deployment: Deployment,
    plan: MigrationPlan,
    ended: MigrationRun,
) -> Mapping[str, Any]:
    place = deployment.system, deployment.environment
    fence = int(event["fence"])
    before = schemas.schema(*place) or Schema(deployment.release or 0, "", "", fence)
    schema = before.after(deployment.release or 0, deployment.id, ledger.now(), fence, plan, ended)
    line = Line(ledger.now(), "migrated", detail=None if ended.head is None else f"head {ended.head}")
    schemas.save_run(deployment, ended, line, fence=fence, also=[schemas.schema_write(*place, schema)])
    return {"outcome": MigrationOutcome.MIGRATED.value, "reason": "", "head": ended.head}


def _failed(
    event: Mapping[str, Any],
    ports: Ports,
    ledger: Ledger,
    schemas: Schemas,
    deployment: Deployment,
    ended: MigrationRun,
) -> Mapping[str, Any]:
    cluster = "" if deployment.plan is None else deployment.plan.cluster
    # ECS was asked for a task and never answered: it may run.
    alive = ended.asking is not None
    tasks: list[Mapping[str, Any]] = []
    for arn in (ended.task, ended.verify_task):
        if arn is None:
            continue
        try:
            stopped = ports.containers.task(cluster, arn)
        except NotFoundError:
            # ECS forgets a task an hour after its end.
            continue
        if stopped is None:
            alive = True
        elif stopped.failed:
            tasks += task_lines(ports, stopped)
    reason = ended.reason
    if alive:
        reason = f"{reason}; its task could not be stopped and may still change the database"
    ended = replace(ended, alive=alive, reason=reason)
    ledger.save_report(deployment.id, FailureReport(PART, reason, tuple(tasks)))
    line = Line(ledger.now(), "migration failed", detail=reason)
    schemas.save_run(deployment, ended, line, fence=int(event["fence"]))
    ports.metrics.count("MigrationFailed", system=deployment.system, environment=deployment.environment)
    return {"outcome": MigrationOutcome.FAILED.value, "reason": reason[:300], "head": ended.head}


def schema_ahead(ports: Ports, deployment: Deployment) -> str:
    """What a deployment that is taken back leaves behind in the database, in words; empty where it is nothing."""
    if deployment.plan is None or deployment.plan.migration is None:
        return ""
    run = Schemas(ports.store, ports.clock).run_of(deployment.id)
    if run is None or not run.may_have_changed:
        return ""
    known = run.outcome == MigrationOutcome.MIGRATED.value
    head = f" ({run.head})" if run.head else ""
    if known:
        return f"schema ahead: the migration of {deployment.release_name} ran and stays{head}"
    return f"schema may be ahead: the migration of {deployment.release_name} ran in part{head}"


def still_migrating(ports: Ports, deployment: Deployment) -> bool:
    """Whether a migration was begun and nobody recorded its end."""
    run = Schemas(ports.store, ports.clock).run_of(deployment.id)
    return run is not None and run.outcome is None


def left_alive(ports: Ports, deployment: Deployment) -> bool:
    """Whether its migration may still be at work."""
    run = Schemas(ports.store, ports.clock).run_of(deployment.id)
    return run is not None and (run.alive or run.outcome is None)
