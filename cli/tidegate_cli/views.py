"""What the ledger knows, as the contract's JSON documents. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegate.domain.deployment import Deployment, FailureReport, Line
from tidegate.domain.errors import RefusalError
from tidegate.domain.lock import Lock
from tidegate.domain.plan import ServicePlan
from tidegate.domain.redaction import redacted
from tidegate.domain.release import release_name
from tidegate.steps.proposal import Proposal

from tidegate_cli.environments import Standstill

_HIDDEN = "***"
# The manifest's key, which is the field of a refusal as well.
_SCAN = "scan"
_ENVIRONMENT_VALUE = re.compile(r"\.environment\[([^\]]*)\]\.value$")


def history_entry(deployment: Deployment) -> dict[str, Any]:
    """One entry of `history`; `reason` is the one that was given for it."""
    return {
        "deployment": deployment.id,
        "release": deployment.release_name,
        "commit": deployment.commit,
        "outcome": None if deployment.outcome is None else deployment.outcome.value,
        "actor": deployment.actor,
        "reason": deployment.reason,
        "started_at": deployment.started_at,
        "finished_at": deployment.finished_at,
    }


def shown_deployment(
    deployment: Deployment, timeline: Iterable[Line], reports: Sequence[FailureReport]
) -> dict[str, Any]:
    """The document of `show`. `explanation` is how it ended, in a sentence; `failures` is there when several
    services failed."""
    document = {
        **history_entry(deployment),
        "system": deployment.system,
        "environment": deployment.environment,
        "machine": deployment.machine.value,
        "phase": deployment.phase.value,
        "execution": deployment.execution,
        "explanation": deployment.explanation,
        "services": {key: dict(value) for key, value in deployment.services.items()},
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
    }


def lock_entry(lock: Lock) -> dict[str, Any] | None:
    if lock.free:
        return None
    return {"owner": lock.owner, "reason": lock.reason, "since": lock.since, "fence": lock.fence}


def status_entry(standstill: Standstill) -> dict[str, Any]:
    """One entry of `status`."""
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
        "lock": lock_entry(standstill.lock),
        "freeze": None,
        "in_flight": standstill.in_flight,
    }


def plan_document(proposal: Proposal, lock: Lock, scan: str | None = None) -> dict[str, Any]:
    """The document of `plan` for what may go out; `scan` is the severity from which on the environment refuses what
    ECR found, where it asks for its scans: they were passed."""
    return {
        "outcome_if_run": "NoChange" if proposal.nothing_to_do else "Succeeded",
        "release": None if proposal.release is None else release_name(proposal.release),
        "commit": proposal.commit,
        "services": {
            service.key: _planned_service(service, proposal.differences.get(service.key, []))
            for service in proposal.plan.services
        },
        "migrations": [],
        "gates": [
            {"gate": "plan", "passes": True, "reason": "every service can be brought back"},
            *([] if scan is None else [_scan_gate(scan)]),
            _settled_gate(proposal),
            _lock_gate(lock),
        ],
    }


def refused_plan(error: RefusalError, lock: Lock) -> dict[str, Any]:
    """The document of `plan` for what would be refused."""
    mend = f" ({error.hint})" if error.hint else ""
    name = _SCAN if error.field == _SCAN else "plan"
    gate: dict[str, Any] = {"gate": name, "passes": False, "reason": f"{error.message}{mend}"}
    if error.field:
        gate["field"] = error.field
    return {
        "outcome_if_run": "Refused",
        "release": None,
        "commit": None,
        "services": {},
        "migrations": [],
        "gates": [gate, _lock_gate(lock)],
    }


def _planned_service(service: ServicePlan, changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "service": service.service,
        "changed": service.changed,
        "wave": service.wave,
        "image": service.image,
        "digest": service.digest,
        "from": service.previous,
        "base": service.base,
        "to": service.target,
        "differences": [
            {
                "path": change["path"],
                "from": _safe(change["from"], _variable(change["path"])),
                "to": _safe(change["to"], _variable(change["path"])),
            }
            for change in changes
        ],
    }


def _safe(value: Any, name: str = "") -> Any:
    """A task definition's plain environment may hold what somebody should have kept in a secret; `name` is the
    variable whose value it is."""
    match value:
        case str():
            return redacted(value) if redacted(f"{name}={value}") == f"{name}={value}" else _HIDDEN
        case Mapping():
            inner = value.get("name")
            return {
                key: _safe(item, inner if key == "value" and isinstance(inner, str) else "")
                for key, item in value.items()
            }
        case list():
            return [_safe(item) for item in value]
    return value


def _variable(path: str) -> str:
    """`DB_PASSWORD` of `containerDefinitions[app].environment[DB_PASSWORD].value`."""
    match = _ENVIRONMENT_VALUE.search(path)
    return match[1] if match else ""


def _scan_gate(fail_on: str) -> dict[str, Any]:
    reason = f"ECR scanned every image and found nothing {fail_on} or worse"
    return {"gate": _SCAN, "passes": True, "reason": reason}


def _settled_gate(proposal: Proposal) -> dict[str, Any]:
    if not proposal.busy:
        return {"gate": "settled", "passes": True, "reason": "no other ECS deployment is under way"}
    busy = ", ".join(f"{entry.service} ({entry.ecs_deployment})" for entry in proposal.busy)
    return {
        "gate": "settled",
        "passes": False,
        "reason": f"would wait for the ECS deployment under way: {busy}",
    }


def _lock_gate(lock: Lock) -> dict[str, Any]:
    if lock.free:
        return {"gate": "lock", "passes": True, "reason": "nobody holds the environment"}
    why = f" ({lock.reason})" if lock.reason else ""
    return {"gate": "lock", "passes": False, "reason": f"would queue behind deployment {lock.owner}{why}"}
