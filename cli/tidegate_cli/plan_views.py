"""What `plan` would do and what `approve` is about, as JSON documents. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.domain.deployment import Current, Deployment
from tidegate.domain.errors import RefusalError, SupersededError
from tidegate.domain.lock import Lock
from tidegate.domain.plan import Plan, ServicePlan, Watch
from tidegate.domain.redaction import redacted
from tidegate.domain.release import release_name
from tidegate.steps.gates import Gate
from tidegate.steps.services import Busy

from tidegate_cli.migration_views import because, planned_migrations
from tidegate_cli.outlook import Outlook

_HIDDEN = "***"
_ENVIRONMENT_VALUE = re.compile(r"\.environment\[([^\]]*)\]\.value$")
# What it says of a gate that lets the release through; {} is what the manifest asks for.
_PASSED = {
    "freeze": "no freeze window holds now ({})",
    "after": "it has succeeded in {}",
    "scan": "ECR scanned every image and found nothing {} or worse",
}
_FAIL_ON = "fail_on "


def plan_document(outlook: Outlook, lock: Lock) -> dict[str, Any]:
    """The document of `plan`. A gate with `waits` holds a release up and refuses nothing."""
    proposal = outlook.proposal
    plan = None if proposal is None else proposal.plan
    differences = {} if proposal is None else proposal.differences
    return {
        "outcome_if_run": _outcome(outlook),
        "release": None if proposal is None or proposal.release is None else release_name(proposal.release),
        "commit": None if proposal is None else proposal.commit,
        "services": {
            service.key: _changed_service(service, differences.get(service.key, []))
            for service in (() if plan is None else plan.services)
        },
        "bake": None if plan is None else _bake(plan.bake),
        "migrations": planned_migrations(plan),
        "gates": [
            _plan_gate(outlook),
            *(_gate(gate) for gate in outlook.gates),
            *([] if outlook.approval is None else [_approval_gate(outlook.approval, plan)]),
            *([] if outlook.busy is None else [_settled_gate(outlook.busy)]),
            _lock_gate(lock),
        ],
    }


def planned_release(deployment: Deployment, current: Current | None) -> dict[str, Any]:
    """What a deployment that waits would change: `{"system", "environment", "release", "commit", "actor", "reason",
    "runs_now", "migrations", "services", "bake"}`; `current` is what runs."""
    plan = deployment.plan
    running = {} if current is None else current.services
    return {
        "system": deployment.system,
        "environment": deployment.environment,
        "release": deployment.release_name,
        "commit": deployment.commit,
        "actor": deployment.actor,
        "reason": deployment.reason,
        "runs_now": None if current is None else release_name(current.release),
        "migrations": planned_migrations(plan),
        "services": {
            service.key: _planned_service(service)
            | {"from_digest": running.get(service.key, {}).get("digest")}
            for service in (() if plan is None else plan.services)
        },
        "bake": None if plan is None else _bake(plan.bake),
    }


def _outcome(outlook: Outlook) -> str:
    refusal = outlook.first_refusal
    if refusal is not None:
        return "Superseded" if isinstance(refusal, SupersededError) else "Refused"
    nothing = outlook.proposal is not None and outlook.proposal.nothing_to_do
    return "NoChange" if nothing else "Succeeded"


def _planned_service(service: ServicePlan) -> dict[str, Any]:
    return {
        "service": service.service,
        "changed": service.changed,
        "wave": service.wave,
        "image": service.image,
        "digest": service.digest,
        "from": service.previous,
        "base": service.base,
        "to": service.target,
        "smoke": None if service.smoke is None else _safe(dict(service.smoke)),
    }


def _changed_service(service: ServicePlan, changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        **_planned_service(service),
        "differences": [
            {
                "path": change["path"],
                "from": _safe(change["from"], _variable(change["path"])),
                "to": _safe(change["to"], _variable(change["path"])),
            }
            for change in changes
        ],
    }


def _bake(bake: Watch | None) -> dict[str, Any] | None:
    return None if bake is None else bake.to_json()


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


def _plan_gate(outlook: Outlook) -> dict[str, Any]:
    if outlook.refusal is not None:
        return _refused("plan", outlook.refusal)
    return {"gate": "plan", "passes": True, "reason": "every service can be brought back"}


def _gate(gate: Gate) -> dict[str, Any]:
    if gate.refusal is not None:
        return _refused(gate.name, gate.refusal)
    asks = gate.asks.removeprefix(_FAIL_ON)
    return {"gate": gate.name, "passes": True, "reason": _PASSED.get(gate.name, "{}").format(asks)}


def _refused(name: str, error: RefusalError) -> dict[str, Any]:
    mend = f" ({error.hint})" if error.hint else ""
    gate: dict[str, Any] = {"gate": name, "passes": False, "reason": f"{error.message}{mend}"}
    if error.field:
        gate["field"] = error.field
    return gate


def _approval_gate(approval: str, plan: Plan | None) -> dict[str, Any]:
    by = "somebody other than its author" if approval == "other" else "a person"
    why = because(None if plan is None else plan.migration)
    return {
        "gate": "approval",
        "passes": False,
        "waits": True,
        "reason": f"would wait until {by} approves it (tidegate approve){why}",
    }


def _settled_gate(busy: Sequence[Busy]) -> dict[str, Any]:
    if not busy:
        return {"gate": "settled", "passes": True, "reason": "no other ECS deployment is under way"}
    named = ", ".join(f"{entry.service} ({entry.ecs_deployment})" for entry in busy)
    return {
        "gate": "settled",
        "passes": False,
        "waits": True,
        "reason": f"would wait for the ECS deployment under way: {named}",
    }


def _lock_gate(lock: Lock) -> dict[str, Any]:
    if lock.free:
        return {"gate": "lock", "passes": True, "reason": "nobody holds the environment"}
    why = f" ({lock.reason})" if lock.reason else ""
    return {
        "gate": "lock",
        "passes": False,
        "waits": True,
        "reason": f"would queue behind deployment {lock.owner}{why}",
    }
