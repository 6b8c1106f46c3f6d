"""Everything that is under way, in all environments. Reads only: the index of what is open, then a little of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegate.domain.build import Build
from tidegate.domain.deployment import Deployment, Line, Machine, Rollout
from tidegate.domain.plan import Plan
from tidegate.domain.rollout import Direction
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.resuming import COMPLETED, FAILED, REACHED

# How the timeline tells what ECS made of a rollout: its record keeps failures only.
_VERDICTS = {COMPLETED: "Rolled", FAILED: "RolledBack", REACHED: "Scaled"}
_QUEUED = "Queued"
_BUILDING = "Building"


def in_flight(ports: Ports) -> list[dict[str, Any]]:
    """By system and environment; in each the owner of the lock first, then those that wait, oldest first; builds behind
    the deployments.

    Of a deployment `{"what", "system", "environment", "deployment", "release", "commit", "who", "reason", "phase",
    "started_at", "services": {key: state}}`, of a build `{…, "build", "images": {key: status}}`. `phase` is the
    ledger's, or `Queued` while it waits for the lock.
    """
    ledger, builds = Ledger(ports.store, ports.clock), BuildLedger(ports.store, ports.clock)
    items = ledger.open_items()
    queued = {item["deployment"] for item in items if item.get("type") == "waiter"}
    owners = {item["owner"] for item in items if item.get("type") == "lock"}
    deployments = [Deployment.from_json(item) for item in items if item.get("type") == "deployment"]
    deployments.sort(
        key=lambda entry: (entry.system, entry.environment, entry.id not in owners, entry.started_at)
    )
    entries = [_deployment(ledger, entry, entry.id in queued) for entry in deployments]
    for build in (Build.from_json(item) for item in items if item.get("type") == "build"):
        images = {image.image: image.status.value for image in builds.images(build.id)}
        entries.append(_build(build, images))
    return entries


def what_of(deployment: Deployment) -> str:
    """`deployment`, `rollback`, `rotation`, `adoption` (of a secret's user), `scaling`, `restart` or `migrations`."""
    if deployment.rotation:
        return "adoption" if deployment.adopts else "rotation"
    if deployment.machine is Machine.ROLLBACK:
        return "rollback"
    if deployment.only_migrations:
        return "migrations"
    if deployment.scales:
        return "scaling"
    return "restart" if deployment.restart else "deployment"


def about(deployment: Deployment) -> dict[str, Any]:
    """What it is about where that is no release, also of one that was refused: `{"secret"}` of a rotation or an
    adoption, `{"scale": {"service", "count"}}` of a change of a count."""
    name = "secret" if deployment.rotation else "scale"
    asked = deployment.request.get(name)
    return {} if asked is None else {name: asked}


def named(entry: Mapping[str, Any]) -> str | None:
    """The same in a word or two, of any document that has it, or else its release."""
    scale = entry.get("scale")
    if isinstance(scale, Mapping):
        return f"{scale.get('service')}={scale.get('count')}"
    return entry.get("secret") or entry.get("release")


def service_states(plan: Plan, rollouts: Iterable[Rollout], lines: Iterable[Line]) -> dict[str, str]:
    """What has become of each service that changes: `waiting`, `rolling`, `Rolled`, `reverting`, `Reverted`, or how it
    failed."""
    newest: dict[str, Rollout] = {}
    for rollout in sorted(rollouts, key=lambda entry: entry.started_at):
        newest[rollout.service] = rollout
    told = {line.service: line for line in lines if line.service and line.what in _VERDICTS}
    return {service.key: _state(newest.get(service.key), told.get(service.key)) for service in plan.changed}


def _state(rollout: Rollout | None, told: Line | None) -> str:
    if rollout is None:
        return "waiting"
    verdict = None if told is None or told.at < rollout.started_at else _VERDICTS[told.what]
    known = rollout.outcome or verdict
    reverting = rollout.direction is Direction.REVERT
    if known is None:
        return "reverting" if reverting else "rolling"
    return "Reverted" if reverting and known in ("Rolled", "Scaled") else known


def _deployment(ledger: Ledger, deployment: Deployment, queued: bool) -> dict[str, Any]:
    states: Mapping[str, str] = {}
    if deployment.plan is not None:
        # One that has no fence has changed nothing.
        begun = bool(deployment.fence)
        rollouts: Sequence[Rollout] = ledger.rollouts(deployment.id) if begun else ()
        lines: Sequence[Line] = ledger.timeline(deployment.id) if begun else ()
        states = service_states(deployment.plan, rollouts, lines)
    return {
        "what": what_of(deployment),
        "system": deployment.system,
        "environment": deployment.environment,
        "deployment": deployment.id,
        "release": deployment.release_name,
        "commit": deployment.commit,
        "who": deployment.actor,
        "reason": deployment.reason,
        "phase": _QUEUED if queued else deployment.phase.value,
        "started_at": deployment.started_at,
        "services": dict(states),
    }


def _build(build: Build, images: Mapping[str, str]) -> dict[str, Any]:
    return {
        "what": "build",
        "system": build.system,
        "environment": None,
        "build": build.id,
        "commit": build.commit or None,
        "ref": build.ref,
        "who": build.actor,
        "reason": build.reason,
        "phase": _BUILDING,
        "started_at": build.started_at,
        "images": dict(images),
    }
