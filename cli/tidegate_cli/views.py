"""What the ledger knows, as the contract's JSON documents. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegate.domain.deployment import Deployment, FailureReport, Line
from tidegate.domain.intervention import Abort
from tidegate.domain.lock import Lock
from tidegate.domain.migration import MigrationRun
from tidegate.domain.release import release_name

from tidegate_cli.environments import Standstill
from tidegate_cli.in_flight import about, what_of
from tidegate_cli.migration_views import migration_entry, schema_entry


def history_entry(deployment: Deployment) -> dict[str, Any]:
    """One entry of `history`; `reason` is the one that was given for it, `what` is `in_flight.what_of`;
    `secret` is there where one is rotated or adopted, `scale` where a count is changed."""
    return {
        "deployment": deployment.id,
        "what": what_of(deployment),
        "release": deployment.release_name,
        "commit": deployment.commit,
        "outcome": None if deployment.outcome is None else deployment.outcome.value,
        "actor": deployment.actor,
        "reason": deployment.reason,
        "started_at": deployment.started_at,
        "finished_at": deployment.finished_at,
        **about(deployment),
    }


def shown_deployment(
    deployment: Deployment,
    timeline: Iterable[Line],
    reports: Sequence[FailureReport],
    approval: Mapping[str, Any] | None = None,
    abort: Abort | None = None,
    migration: MigrationRun | None = None,
) -> dict[str, Any]:
    """The document of `show`. `explanation` is how it ended, in a sentence; `failures` is there when several
    services failed; `approval` (`approvals.approval_entry`) and `abort` are null where nobody was asked, or asked,
    `migration` where none was begun."""
    document = {
        **history_entry(deployment),
        "system": deployment.system,
        "environment": deployment.environment,
        "machine": deployment.machine.value,
        "phase": deployment.phase.value,
        "execution": deployment.execution,
        "explanation": deployment.explanation,
        "services": {key: dict(value) for key, value in deployment.services.items()},
        "approval": None if approval is None else dict(approval),
        "abort": None if abort is None else {"by": abort.by, "reason": abort.reason, "at": abort.at},
        "migration": migration_entry(migration),
        "timeline": [line.to_json() for line in timeline],
        "failure": None,
    }
    failures = [failure_entry(report) for report in most_telling_first(reports)]
    if failures:
        document["failure"] = failures[0]
    if len(failures) > 1:
        document["failures"] = failures
    return document


def most_telling_first(reports: Sequence[FailureReport]) -> list[FailureReport]:
    """A service whose container exited says more than one that was only stopped."""

    def silence(report: FailureReport) -> tuple[bool, bool]:
        exited = any(task.get("exit_code") not in (None, 0) for task in report.tasks)
        return (not exited, not report.tasks)

    return sorted(reports, key=silence)


def failure_entry(report: FailureReport) -> dict[str, Any]:
    return {
        "service": report.service,
        "reason": report.reason,
        "tasks": [
            {
                "reason": task.get("reason"),
                "exit_code": task.get("exit_code"),
                **task,
                "logs": list(task.get("logs") or []),
            }
            for task in report.tasks
        ],
        "events": list(report.events),
        "alarms": list(report.alarms),
        "direction": report.direction.value,
    }


def lock_entry(lock: Lock) -> dict[str, Any] | None:
    if lock.free:
        return None
    return {"owner": lock.owner, "reason": lock.reason, "since": lock.since, "fence": lock.fence}


def status_entry(standstill: Standstill) -> dict[str, Any]:
    """One entry of `status`. `phase` is that of the deployment in flight; `queue` waits for the lock behind its owner,
    next one first."""
    current = standstill.current
    return {
        "system": standstill.system,
        "environment": standstill.environment,
        "release": None if current is None else release_name(current.release),
        "since": None if current is None else current.since,
        "services": {
            key: {
                "digest": service.digest,
                "task_definition": service.task_definition,
                "desired": service.desired,
                "running": service.running,
            }
            for key, service in standstill.services.items()
        },
        "schema": schema_entry(standstill.schema, current),
        "lock": lock_entry(standstill.lock),
        "freeze": None if standstill.freeze is None else dict(standstill.freeze),
        "in_flight": standstill.in_flight,
        "phase": None if standstill.phase is None else standstill.phase.value,
        "queue": [
            {"deployment": waiter.deployment, "reason": waiter.reason, "since": waiter.since}
            for waiter in standstill.queue
        ],
    }
