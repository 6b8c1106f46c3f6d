"""A restart: the services that take a secret start again as they are, because somebody else changed its value.

A running ECS task never sees a new value (containers-roadmap #495).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from tidegate.domain.consumers import consumes
from tidegate.domain.manifest import EnvironmentView
from tidegate.domain.plan import Plan, ServicePlan
from tidegate.domain.request import Restart
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import parse_iso
from tidegate.ports import Ports
from tidegate.steps.proposal import Proposal
from tidegate.steps.services import ServiceFacts, read_services


def propose_restart(ports: Ports, ledger: Ledger, view: EnvironmentView, restart: Restart) -> Proposal:
    """Services that started since the secret changed have its new value already."""
    facts = read_services(ports, view)
    changed_at = parse_iso(restart.at)
    services = tuple(_as_it_is(fact, restart, changed_at) for _, fact in sorted(facts.items()))
    current = ledger.current(view.system, view.name)
    release = None if current is None else ledger.release(view.system, current.release)
    return Proposal(
        Plan(view.cluster, services),
        None if release is None else release.commit,
        {} if release is None else release.digests,
        None if release is None else release.number,
        tuple(fact.busy for fact in facts.values() if fact.busy is not None),
        unreleased=True,
    )


def _as_it_is(fact: ServiceFacts, restart: Restart, changed_at: datetime) -> ServicePlan:
    plan = as_it_runs(fact)
    primary = fact.state.primary
    stale = primary is not None and (not primary.created_at or parse_iso(primary.created_at) < changed_at)
    if primary is None or not stale or not consumes(fact.running.content, restart.secret):
        return plan
    return replace(plan, changed=True, restarts=primary.id)


def as_it_runs(fact: ServiceFacts) -> ServicePlan:
    """The part of a service that stays as it is."""
    running = fact.running
    container = fact.container_of(running)
    image_uri = next(
        entry["image"] for entry in running.content["containerDefinitions"] if entry["name"] == container
    )
    return ServicePlan(
        key=fact.key,
        service=fact.state.name,
        wave=fact.wave,
        image=fact.image,
        digest=image_uri.partition("@")[2],
        image_uri=image_uri,
        container=container,
        base=running.arn,
        previous=running.arn,
        target=running.arn,
        changed=False,
    )
