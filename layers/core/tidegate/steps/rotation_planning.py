"""What a rotation would do: which services take the secret and start again, the canary first. Reads only.

Who takes the secret is read from the task definitions that run (`domain.consumers`), never from a list that somebody
keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tidegate.domain.consumers import consumes, takings
from tidegate.domain.errors import NotFoundError, RefusalError
from tidegate.domain.ids import content_hash
from tidegate.domain.manifest import EnvironmentView, Secret
from tidegate.domain.plan import Plan, ServicePlan
from tidegate.domain.request import RotateRequest
from tidegate.domain.rotation import PLAIN, RotationPlan, version_of
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.gates import freezes
from tidegate.steps.planning import environment_of, watch
from tidegate.steps.proposal import Proposal
from tidegate.steps.restarting import as_it_runs
from tidegate.steps.routing import places
from tidegate.steps.services import ServiceFacts, read_services

_CANARY, _REST = 1, 2


def slot_of(request: RotateRequest) -> str:
    """The same for every attempt of one moment of a schedule."""
    return content_hash(["rotate", request.system, request.environment, request.secret, request.slot])[:32]


def propose_rotation(ports: Ports, request: RotateRequest, deployment_id: str) -> Proposal:
    """Raises RefusalError with the reason when the secret must not be rotated."""
    ledger = Ledger(ports.store, ports.clock)
    view = environment_of(ports, request.system, request.environment)
    wanted = _wanted(view, request)
    rotation = RotationPlan(
        secret=request.secret,
        kind=wanted.kind,
        strategy=wanted.strategy,
        version=version_of(deployment_id),
        admin=wanted.admin,
        users=tuple(wanted.users),
        format=wanted.form,
        tls=wanted.tls,
        overlap=0 if wanted.overlap is None else int(wanted.overlap.total_seconds()),
        function=view.settings.runner or "",
        adopt=request.adopt,
        statements=request.statements,
    )
    current = ledger.current(view.system, view.name)
    release = None if current is None else ledger.release(view.system, current.release)
    proposal = Proposal(
        Plan(view.cluster, (), rotation=rotation),
        None if release is None else release.commit,
        {} if release is None else release.digests,
        None if release is None else release.number,
        queue=view.settings.queue,
        unreleased=True,
    )
    if request.adopt is not None:
        return proposal
    if request.scheduled:
        # A person's own passes: a credential that leaked does not wait for Monday.
        for gate in freezes(ports, view):
            if gate.refusal is not None:
                raise gate.refusal
    facts = sorted(read_services(ports, view).items())
    consumers = [fact for _, fact in facts if consumes(fact.running.content, request.secret)]
    for _, fact in facts:
        _refuse_held(fact, request.secret)
    for place in _others(ports, request):
        raise RefusalError(
            f"secret {request.secret} is taken by a service of {place} as well, which would not restart",
            field="secret",
            hint="give each environment a secret of its own",
        )
    return replace(
        proposal,
        plan=Plan(
            view.cluster,
            _in_order(consumers),
            bake=watch(ports, "bake", view.settings.bake) if consumers else None,
            rotation=rotation,
        ),
        busy=tuple(fact.busy for fact in consumers if fact.busy is not None),
    )


def _wanted(view: EnvironmentView, request: RotateRequest) -> Secret:
    wanted = view.secrets.get(request.secret)
    if wanted is None:
        known = ", ".join(view.secrets) or "none"
        raise NotFoundError(
            f"the manifest of {view.system} has no secret {request.secret} in {view.name}",
            field="secret",
            hint=f"it has {known}",
        )
    if wanted.kind == "redis":
        raise RefusalError(
            "secrets of kind redis are not supported yet", field="kind", hint="rotate it by hand"
        )
    if wanted.format == PLAIN:
        raise RefusalError(
            f"secret {request.secret} is a bare value, in which there is no room for a user",
            field="format",
            hint="write it as JSON (engine, host, port, username, password, dbname), let the services take its key"
            f" password, say format: json, then tidegate secrets adopt {view.system} {view.name} {request.secret}",
        )
    return wanted


def _in_order(consumers: list[ServiceFacts]) -> tuple[ServicePlan, ...]:
    """One service finds out first whether the new value opens anything: that of the earliest wave, in the manifest."""
    ordered = sorted(consumers, key=lambda fact: (fact.wave, fact.key))
    return tuple(
        replace(_restarted(fact), wave=_CANARY if number == 0 else _REST)
        for number, fact in enumerate(ordered)
    )


def _restarted(fact: ServiceFacts) -> ServicePlan:
    primary = fact.state.primary
    if primary is None or (fact.given_up and fact.busy is None):
        raise RefusalError(
            f"service {fact.key} is not steady: ECS has given up on its last deployment",
            field=f"services.{fact.key}",
            hint="roll back or release what runs first; a rotation starts its tasks again",
        )
    return replace(as_it_runs(fact), changed=True, restarts=primary.id, smoke=fact.smoke)


def _refuse_held(fact: ServiceFacts, secret: str) -> None:
    """A consumer that is held to one version, or to the previous value, would lose what it has."""
    for taking in takings(fact.running.content, secret):
        if taking.held:
            raise RefusalError(
                f"service {fact.key} takes {taking.what} of secret {secret}, which opens nothing after a rotation",
                field=f"services.{fact.key}",
                hint=f"let {taking.variable} in its task definition take the current value",
            )


def _others(ports: Ports, request: RotateRequest) -> Iterator[str]:
    """Registered places, beside this one, with a service that takes the secret."""
    for place in places(ports):
        if (place.system, place.environment) == (request.system, request.environment):
            continue
        view = place.manifest.for_environment(place.environment)
        names = sorted({service.service for service in view.services.values()})
        states = ports.containers.services(view.cluster, names) if names else {}
        for state in states.values():
            known = ports.containers.task_definition(state.task_definition)
            # One that is held to a version, too: it would lose what it has.
            if known is not None and any(
                taking.restarts or taking.held for taking in takings(known.content, request.secret)
            ):
                yield f"{place.system}/{place.environment}"
                break
