"""Somebody gave a secret another current value: the services that take it start again, under the lock of their
environment, once for each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidegate.domain.consumers import CURRENT, consumes
from tidegate.domain.fields import EVENT_TRIGGER
from tidegate.ledger.rotations import Rotations
from tidegate.ports import Ports
from tidegate.steps.releasing import restart
from tidegate.steps.routing import Place, places


def secret_changed(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`detail` is `{"name", "labelUpdated", "versionId"}`; `resources` has the secret's ARN."""
    detail = event.get("detail")
    said: Mapping[str, Any] = detail if isinstance(detail, Mapping) else {}
    secret, version = _secret(event, said), said.get("versionId")
    if said.get("labelUpdated") != CURRENT or secret is None or not isinstance(version, str) or not version:
        return {"did": "nothing", "why": "no current value has changed"}
    if Rotations(ports.store, ports.clock).looked_after(version, str(event.get("time"))):
        return {"did": "nothing", "why": "a rotation looks after its consumers"}
    started = [
        f"{place.system}/{place.environment}: {restart(ports, _input(place, event, said, secret, version), version)}"
        for place in _consumers(ports, secret)
    ]
    return {"did": "restarted its consumers" if started else "nothing", "started": started}


def _secret(event: Mapping[str, Any], said: Mapping[str, Any]) -> str | None:
    """Its ARN, else its name."""
    for resource in event.get("resources") or ():
        if isinstance(resource, str) and ":secretsmanager:" in resource:
            return resource
    name = said.get("name")
    return name if isinstance(name, str) and name else None


def _consumers(ports: Ports, secret: str) -> Iterator[Place]:
    for place in places(ports):
        view = place.manifest.for_environment(place.environment)
        names = sorted({service.service for service in view.services.values()})
        for state in ports.containers.services(view.cluster, names).values():
            known = ports.containers.task_definition(state.task_definition)
            if known is not None and consumes(known.content, secret):
                yield place
                break


def _input(
    place: Place, event: Mapping[str, Any], said: Mapping[str, Any], secret: str, version: str
) -> dict[str, Any]:
    """The same for every copy of the event."""
    return {
        "system": place.system,
        "environment": place.environment,
        "restart": {"secret": secret, "version": version, "at": str(event.get("time"))},
        "reason": f"secret {said.get('name') or secret} has another value",
        "actor": "secretsmanager",
        "trigger": EVENT_TRIGGER,
    }
