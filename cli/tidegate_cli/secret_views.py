"""How the secrets of an environment stand, as JSON documents. Reads only, and never a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from tidegate.domain.consumers import Taking, takings
from tidegate.domain.durations import format_duration
from tidegate.domain.errors import NotFoundError, OutsideError
from tidegate.domain.manifest import EnvironmentView, Secret
from tidegate.domain.manifest.problems import nearest, shown
from tidegate.domain.rotation import CURRENT, PENDING, SecretStanding
from tidegate.domain.schedule import Schedule, overdue
from tidegate.ledger.rotations import Rotations
from tidegate.ledger.time import iso, parse_iso
from tidegate.ports import Ports, SecretState
from tidegate.steps.rotations_due import seen_since

_Told = TypeVar("_Told")


@dataclass(slots=True)
class _Facts:
    """What AWS says. `problems` tell what could not be read, each once."""

    definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    standings: Mapping[str, SecretStanding] = field(default_factory=dict)
    seen: Mapping[str, datetime] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def told(self, ask: Callable[[], _Told], otherwise: _Told) -> _Told:
        """Who may not look into one place sees the rest."""
        try:
            return ask()
        except (OutsideError, NotFoundError) as error:
            if error.message not in self.problems:
                self.problems.append(error.message)
            return otherwise


def require_secret(view: EnvironmentView, secret: str) -> None:
    """NotFoundError that names the secrets there are."""
    if secret in view.secrets:
        return
    known = list(view.secrets)
    near = nearest(secret, known)
    if near is not None:
        hint = f"did you mean {near}?"
    else:
        hint = f"there are {', '.join(known)}" if known else "its manifest has no secrets"
    raise NotFoundError(
        f"{view.system} has no secret {shown(secret)[1:-1]} in {view.name}", field="SECRET", hint=hint
    )


def secrets_document(ports: Ports, view: EnvironmentView) -> dict[str, Any]:
    """`{"system", "environment", "secrets": [entry, …], "problems"}`, an entry as `_entry` makes it."""
    facts = _facts(ports, view)
    states = {name: facts.told(partial(ports.secrets.describe, name), None) for name in view.secrets}
    now = ports.clock.now()
    return {
        "system": view.system,
        "environment": view.name,
        "secrets": [_entry(name, one, states[name], facts, now) for name, one in view.secrets.items()],
        "problems": facts.problems,
    }


def _facts(ports: Ports, view: EnvironmentView) -> _Facts:
    facts = _Facts()
    rotations = Rotations(ports.store, ports.clock)
    nothing: Mapping[str, Schedule] = {}
    kept = facts.told(lambda: ports.schedules.of(view.system, view.name), nothing)
    facts.schedules = {schedule.secret: schedule for schedule in kept.values()}
    facts.standings = {standing.secret: standing for standing in rotations.standings(view.system, view.name)}
    facts.seen = seen_since(ports, view.system, view.name)
    facts.definitions = facts.told(lambda: _definitions(ports, view), facts.definitions)
    return facts


def _definitions(ports: Ports, view: EnvironmentView) -> dict[str, Mapping[str, Any]]:
    """What each service runs, by the manifest's key."""
    names = sorted({service.service for service in view.services.values()})
    states = ports.containers.services(view.cluster, names) if names else {}
    found = {}
    for key, service in view.services.items():
        state = states.get(service.service)
        known = None if state is None else ports.containers.task_definition(state.task_definition)
        if known is not None:
            found[key] = known.content
    return found


def _entry(
    name: str, secret: Secret, state: SecretState | None, facts: _Facts, now: datetime
) -> dict[str, Any]:
    """`since` is when the current version became current: as its rotation recorded it, else when the secret was changed
    last. `age` is in seconds. `next` opens the window in which a schedule rotates it; null where nothing does."""
    standing = facts.standings.get(name)
    schedule = facts.schedules.get(name)
    version = None if state is None else state.version_with(CURRENT)
    since = _since(state, standing, version)
    return {
        "secret": name,
        "arn": None if state is None else state.arn,
        "kind": secret.kind,
        "strategy": secret.strategy,
        "every": None if secret.every is None else format_duration(secret.every),
        "version": version,
        "pending": None if state is None else state.version_with(PENDING),
        "since": since,
        "age": None if since is None else max(0, int((now - parse_iso(since)).total_seconds())),
        "last_rotation": _last_rotation(standing),
        "last_attempt": _last_attempt(standing),
        "next": None if schedule is None or not schedule.enabled else iso(schedule.after(now)),
        "overdue": _is_overdue(name, secret, standing, facts, now),
        "consumers": [
            _consumer(key, taking)
            for key, content in facts.definitions.items()
            for taking in takings(content, name if state is None else state.arn)
        ],
    }


def _since(state: SecretState | None, standing: SecretStanding | None, version: str | None) -> str | None:
    if state is None or version is None:
        return None
    if standing is not None and standing.version == version and standing.promoted_at:
        return standing.promoted_at
    return state.changed_at or state.created_at or None


def _last_rotation(standing: SecretStanding | None) -> dict[str, Any] | None:
    if standing is None or not standing.rotated_at:
        return None
    return {"at": standing.rotated_at, "by": standing.actor, "deployment": standing.deployment}


def _last_attempt(standing: SecretStanding | None) -> dict[str, Any] | None:
    if standing is None or not standing.attempt:
        return None
    return {
        "at": standing.attempt_at,
        "outcome": standing.attempt_outcome,
        "deployment": standing.attempt,
    }


def _is_overdue(
    name: str, secret: Secret, standing: SecretStanding | None, facts: _Facts, now: datetime
) -> bool:
    rotated = None if standing is None or not standing.rotated_at else parse_iso(standing.rotated_at)
    last = rotated or facts.seen.get(name)
    return secret.every is not None and last is not None and overdue(secret.every, last, now)


def _consumer(service: str, taking: Taking) -> dict[str, Any]:
    """`held` says that it takes no other version when the secret is rotated; what it takes may then be disabled."""
    return {
        "service": service,
        "container": taking.container,
        "variable": taking.variable,
        "key": taking.key or None,
        "stage": taking.stage or None,
        "version": taking.version or None,
        "held": taking.held,
        "restarts": taking.restarts,
    }
