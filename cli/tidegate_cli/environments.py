"""Which systems and environments there are, and what one of them runs. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.deployment import Current, Deployment, Phase
from tidegate.domain.errors import NotFoundError, OutsideError, RefusalError
from tidegate.domain.freeze import ends, window_at
from tidegate.domain.lock import Lock, Waiter
from tidegate.domain.manifest import EnvironmentView
from tidegate.domain.manifest.problems import nearest, shown
from tidegate.domain.migration import Schema
from tidegate.domain.release import is_digest
from tidegate.domain.rollout import ServiceState
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ledger.schemas import Schemas
from tidegate.ledger.time import iso
from tidegate.ports import Ports
from tidegate.steps.planning import environment_of

# Among so many of the newest deployments is the one under way: the others wait for the lock behind it.
_NEWEST = 20


@dataclass(frozen=True, slots=True)
class Running:
    """One service as ECS has it: the task definition that it settled on, and the digest of its image."""

    digest: str | None
    task_definition: str | None
    desired: int
    running: int


@dataclass(frozen=True, slots=True)
class Standstill:
    """What one environment runs now. `problem` says why its services could not be read.

    `freeze` is what holds releases up: `{"by", "reason", "since", "until"}` of one that a person put on, else
    `{"window", "until"}` of the manifest's. `queue` waits for the lock. `schema` is the database's, where migrations
    have run.
    """

    system: str
    environment: str
    current: Current | None
    services: Mapping[str, Running]
    lock: Lock
    open: tuple[Deployment, ...]
    problem: str = ""
    freeze: Mapping[str, Any] | None = None
    queue: tuple[Waiter, ...] = ()
    schema: Schema | None = None

    @property
    def in_flight(self) -> str | None:
        """The deployment under way: the lock's owner unless it has ended (FailedDirty keeps the lock)."""
        waiting = [deployment.id for deployment in self.open]
        if self.lock.owner in waiting:
            return self.lock.owner
        return waiting[0] if waiting else None

    @property
    def under_way(self) -> Deployment | None:
        """The record of the deployment in flight."""
        return next((deployment for deployment in self.open if deployment.id == self.in_flight), None)

    @property
    def phase(self) -> Phase | None:
        """Of the deployment in flight."""
        return None if self.under_way is None else self.under_way.phase


def require_registered(ports: Ports, system: str, environment: str) -> None:
    """NotFoundError that names the nearest system or environment. A caller who may not look is let through:
    the machine looks itself."""
    try:
        if ports.registry.manifest(system, environment) is not None:
            return
        known = ports.registry.systems()
    except (OutsideError, RefusalError):
        return
    raise unknown_place(known, system, environment)


def require_system(ports: Ports, system: str) -> None:
    """NotFoundError that names the nearest system, as `require_registered` does for an environment."""
    try:
        known = ports.registry.systems()
    except (OutsideError, RefusalError):
        return
    if system not in {owner for owner, _ in known}:
        raise unknown_place(known, system, None)


def places(ports: Ports, system: str | None, environment: str | None) -> list[tuple[str, str]]:
    """Every registered (system, environment) that is asked for. NotFoundError when a named one is not there."""
    known = ports.registry.systems()
    found = [place for place in known if system in (None, place[0]) and environment in (None, place[1])]
    if not found and system is not None:
        raise unknown_place(known, system, environment)
    return found


def unknown_place(known: Iterable[tuple[str, str]], system: str, environment: str | None) -> NotFoundError:
    known = list(known)
    environments = [name for owner, name in known if owner == system]
    if environments:
        return NotFoundError(
            f"system {system} is not registered in environment {shown(environment)[1:-1]}",
            field="ENV",
            hint=_did_you_mean(
                environment or "", environments, f"tidegate apply --environment {environment}"
            ),
        )
    systems = sorted({owner for owner, _ in known})
    return NotFoundError(
        f"no system {shown(system)[1:-1]} is registered here",
        field="SYSTEM",
        hint=_did_you_mean(system, systems, "register it: tidegate apply tidegate.yaml --environment <name>"),
    )


def _did_you_mean(word: str, known: list[str], otherwise: str) -> str:
    near = nearest(word, known)
    if near is not None:
        return f"did you mean {near}?"
    return f"there are {', '.join(known)}; {otherwise}" if known else otherwise


def standstill(ports: Ports, system: str, environment: str) -> Standstill:
    """What an environment runs. A broken manifest or an ECS that says no leaves the rest readable."""
    ledger = Ledger(ports.store, ports.clock)
    current = ledger.current(system, environment)
    locks = Locks(ports.store, ports.clock)
    lock, queue = locks.read(system, environment), tuple(locks.waiters(system, environment))
    newest = ledger.history(system, environment, _NEWEST)
    under_way = tuple(deployment for deployment in newest if deployment.outcome is None)
    schema = Schemas(ports.store, ports.clock).schema(system, environment)
    services: dict[str, Running] = {}
    freeze = _freeze_by_hand(ports, system, environment)
    problem = ""
    try:
        view = environment_of(ports, system, environment)
        freeze = freeze or _freeze_window(ports, view)
        services = _services(ports, view, current)
    except (RefusalError, OutsideError) as error:
        problem = error.message
    return Standstill(system, environment, current, services, lock, under_way, problem, freeze, queue, schema)


def _freeze_by_hand(ports: Ports, system: str, environment: str) -> dict[str, Any] | None:
    found = Interventions(ports.store, ports.clock).freeze(system, environment)
    return None if found is None or not found.holds(ports.clock.now()) else found.to_json()


def _freeze_window(ports: Ports, view: EnvironmentView) -> dict[str, Any] | None:
    now = ports.clock.now()
    window = window_at(view.settings.freeze, now)
    if window is None:
        return None
    named = f"{window.start} to {window.end} {window.timezone}"
    return {"window": named, "until": iso(ends(window, now))}


def _services(ports: Ports, view: EnvironmentView, current: Current | None) -> dict[str, Running]:
    names = sorted({service.service for service in view.services.values()})
    states = ports.containers.services(view.cluster, names) if names else {}
    recorded = {} if current is None else current.services
    return {
        key: _running(ports, states.get(service.service), recorded.get(key, {}), service.container)
        for key, service in view.services.items()
    }


def _running(
    ports: Ports, state: ServiceState | None, recorded: Mapping[str, object], container: str | None
) -> Running:
    if state is None:
        return Running(None, None, 0, 0)
    settled = state.completed
    arn = settled.task_definition if settled is not None else state.task_definition
    digest = recorded.get("digest") if recorded.get("task_definition") == arn else None
    return Running(
        str(digest) if digest else _digest_of(ports, arn, container),
        arn or None,
        state.desired_count,
        state.running_count,
    )


def _digest_of(ports: Ports, arn: str, container: str | None) -> str | None:
    """The digest that a task definition names its image by; None where it names a tag."""
    known = ports.containers.task_definition(arn) if arn else None
    entries = [] if known is None else known.content["containerDefinitions"]
    for entry in entries:
        if entry["name"] == container or (container is None and len(entries) == 1):
            digest = str(entry["image"]).rpartition("@")[2]
            return digest if is_digest(digest) else None
    return None
