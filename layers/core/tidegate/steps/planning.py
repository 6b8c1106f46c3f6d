"""What a deployment or a rollback would do. Reads only, so `tidegate plan` and the machines ask the same question.

Everything that could not be undone is refused here, before anything is touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.deployment import Deployment, Machine
from tidegate.domain.errors import NotFoundError, RefusalError
from tidegate.domain.lock import Lock
from tidegate.domain.manifest import Bake, EnvironmentView, Guard
from tidegate.domain.outcome import Outcome
from tidegate.domain.plan import (
    DEPLOYMENT_TAG,
    Plan,
    ServicePlan,
    Watch,
    differences,
    same_shape,
    shape,
    with_images,
)
from tidegate.domain.release import Release, Standing, Verdict, previous_release
from tidegate.domain.request import DeployRequest, RollbackRequest
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports, TaskDefinition
from tidegate.steps.gates import pass_gates
from tidegate.steps.images import ResolvedImage, resolve_images, wanted_of_release
from tidegate.steps.migration_planning import propose_migration, refuse_step_back
from tidegate.steps.proposal import Proposal
from tidegate.steps.restarting import propose_restart
from tidegate.steps.routing import read_place
from tidegate.steps.scale_planning import propose_scale
from tidegate.steps.services import ServiceFacts, read_services


def environment_of(ports: Ports, system: str, environment: str) -> EnvironmentView:
    """The registered manifest's view of one environment, or a refusal that says how to register it."""
    return read_place(ports, system, environment).manifest.for_environment(environment)


def propose_deploy(ports: Ports, request: DeployRequest) -> Proposal:
    """Raises RefusalError with the reason when the release must not go out."""
    ledger = Ledger(ports.store, ports.clock)
    view = environment_of(ports, request.system, request.environment)
    if request.restart is not None:
        pass_gates(ports, view, request, None, {})
        return replace(propose_restart(ports, ledger, view, request.restart), queue=view.settings.queue)
    if request.scale is not None:
        return propose_scale(ports, ledger, view, request.scale)
    images, commit = images_of(ports, view, request)
    pass_gates(ports, view, request, commit, images)
    facts = read_services(ports, view)
    proposal = _propose(ports, ledger, view, images, facts, commit, request.release)
    if proposal.release is not None and not request.only_migrations:
        standing = ledger.standing(view.system, view.name, proposal.release)
        refuse_step_back(ports, view, standing, force=request.force, field="release")
    migration, folder = propose_migration(ports, view, images, proposal.plan, force=request.force)
    plan = replace(proposal.plan, migration=migration)
    if request.only_migrations:
        if view.migrations is None:
            raise RefusalError(
                f"{view.system} has no migrations", field="only", hint="its manifest has no key migrations"
            )
        # Nothing rolls, so there is nothing to bake, and nothing in ECS to wait for.
        plan = replace(plan, services=tuple(_as_it_runs(service) for service in plan.services))
        proposal = replace(proposal, busy=(), differences={})
    else:
        bake = watch(ports, "bake", view.settings.bake)
        plan = replace(plan, bake=bake, guard=watch(ports, "guard", view.settings.guard))
    return replace(
        proposal,
        plan=plan,
        approval=_approval(view) or ("required" if migration is not None and migration.contracts else None),
        queue=view.settings.queue,
        folder=folder,
    )


def _as_it_runs(service: ServicePlan) -> ServicePlan:
    return replace(service, changed=False, target=service.previous, smoke=None)


def images_of(
    ports: Ports, view: EnvironmentView, request: DeployRequest
) -> tuple[dict[str, ResolvedImage], str | None]:
    """What a request would run, and its commit."""
    ledger = Ledger(ports.store, ports.clock)
    if request.release is None:
        return resolve_images(ports, ledger, view, request), request.commit
    release = _release(ledger, request.system, request.release)
    return wanted_of_release(ports, view, release), release.commit


def _approval(view: EnvironmentView) -> str | None:
    wanted = view.settings.approval
    if wanted == "none":
        return None
    return wanted if isinstance(wanted, str) else wanted.by


def watch(ports: Ports, field: str, wanted: Bake | Guard | None) -> Watch | None:
    """Alarms that ring already would undo the release at once; one that nobody made would never ring."""
    if wanted is None:
        return None
    for name in ports.alarms.missing(wanted.alarms):
        raise NotFoundError(
            f"CloudWatch has no alarm {name}",
            field=f"{field}.alarms",
            hint="create it, or correct the manifest",
        )
    for name in ports.alarms.in_alarm(wanted.alarms):
        raise RefusalError(
            f"alarm {name} is in ALARM already, so a {field} could not tell what the release does",
            field=f"{field}.alarms",
            hint="mend what it reports, or roll back: a rollback is not held up by alarms",
        )
    return Watch(int(wanted.duration.total_seconds()), tuple(wanted.alarms))


def propose_rollback(ports: Ports, request: RollbackRequest, lock: Lock | None = None) -> Proposal:
    """Back to the task definitions that ran when the release last succeeded here.

    `lock` is that of the environment, where it matters who holds it: while a deployment is under way, or left a mess
    behind, the release before it is the one that is recorded as current.
    """
    ledger = Ledger(ports.store, ports.clock)
    view = environment_of(ports, request.system, request.environment)
    standing = _rollback_target(ledger, request, lock)
    refuse_step_back(ports, view, standing, force=request.force, field="to")
    release = _release(ledger, request.system, standing.release)
    facts = read_services(ports, view)
    if not standing.task_definitions:
        images = wanted_of_release(ports, view, release)
        return _one_wave(_propose(ports, ledger, view, images, facts, release.commit, release.number))
    services = tuple(_back_to(ports, key, fact, release, standing) for key, fact in sorted(facts.items()))
    return Proposal(
        Plan(view.cluster, services),
        release.commit,
        release.digests,
        release.number,
    )


def _rollback_target(ledger: Ledger, request: RollbackRequest, lock: Lock | None) -> Standing:
    place = request.system, request.environment
    # In this order: a deployment that succeeds between two of these looks is either unfinished or current here.
    unfinished = None if lock is None else unfinished_deployment(ledger, lock)
    current = ledger.current(*place)
    standings = ledger.standings(*place)
    if request.to is not None:
        known = next((standing for standing in standings if standing.release == request.to), None)
        if known is not None:
            return known
        release = _release(ledger, request.system, request.to, field_name="to")
        return Standing(release.number, Verdict.SUCCEEDED, "", release.created_at)
    if unfinished is not None and (current is None or current.deployment != unfinished.id):
        number = 0 if current is None else current.release
        before = next((standing for standing in standings if standing.release == number), None)
    else:
        before = None if current is None else previous_release(standings, current.release)
    if before is None:
        raise RefusalError(
            f"{request.system}/{request.environment} has no earlier release to go back to",
            field="to",
            hint="name one: tidegate rollback … --to r1 (see tidegate history)",
        )
    return before


def unfinished_deployment(ledger: Ledger, lock: Lock) -> Deployment | None:
    """The deployment that holds the lock and has not succeeded: one that is under way, or ended FailedDirty."""
    owner = None if lock.owner is None else ledger.deployment(lock.system, lock.environment, lock.owner)
    if owner is None or owner.machine is not Machine.DEPLOY or not owner.releases:
        return None
    return owner if owner.outcome in (None, Outcome.FAILED_DIRTY) else None


def _release(ledger: Ledger, system: str, number: int, field_name: str = "release") -> Release:
    release = ledger.release(system, number)
    if release is None:
        raise NotFoundError(
            f"{system} has no release r{number}", field=field_name, hint="see tidegate history"
        )
    return release


def _propose(
    ports: Ports,
    ledger: Ledger,
    view: EnvironmentView,
    images: Mapping[str, ResolvedImage],
    facts: Mapping[str, ServiceFacts],
    commit: str | None,
    number: int | None,
) -> Proposal:
    services: list[ServicePlan] = []
    changes: dict[str, list[dict[str, Any]]] = {}
    references: dict[str, list[str]] = {}
    for key, fact in sorted(facts.items()):
        image = images[fact.image]
        base = _base(ports, ledger, fact)
        container = fact.container_of(base)
        wanted = with_images(base.content, {container: image.uri})
        changed = fact.given_up or not same_shape(wanted, fact.running.content)
        if changed:
            changes[key] = differences(shape(fact.running.content), shape(wanted))
            references[key] = _references(wanted)
        services.append(
            ServicePlan(
                key=key,
                service=fact.state.name,
                wave=fact.wave,
                image=fact.image,
                digest=image.digest,
                image_uri=image.uri,
                container=container,
                base=base.arn,
                previous=fact.running.arn,
                target=None if changed else fact.running.arn,
                changed=changed,
                smoke=fact.smoke if changed else None,
            )
        )
    _refuse_missing_references(ports, references)
    _refuse_alarmed(ports, {key: facts[key] for key in changes})
    digests = {key: image.digest for key, image in sorted(images.items())}
    if number is None:
        known = ledger.release_of(view.system, commit, digests)
        number = None if known is None else known.number
    return Proposal(
        Plan(view.cluster, tuple(services)),
        commit,
        digests,
        number,
        tuple(fact.busy for fact in facts.values() if fact.busy is not None),
        changes,
    )


def _one_wave(proposal: Proposal) -> Proposal:
    """A rollback takes all services back at once and waits for nothing: time matters more than order then."""
    services = tuple(replace(service, wave=1, smoke=None) for service in proposal.plan.services)
    return replace(proposal, plan=Plan(proposal.plan.cluster, services), busy=())


def _base(ports: Ports, ledger: Ledger, fact: ServiceFacts) -> TaskDefinition:
    """The newest active revision of the family that was not registered by a release that failed.

    IaC owns the family's shape: what it registered since the last release comes along.
    """
    newest = ports.containers.task_definition(fact.running.family)
    if newest is None or not _failed(ledger, newest):
        return newest or fact.running
    for arn in ports.containers.revisions(fact.running.family):
        revision = ports.containers.task_definition(arn)
        if revision is not None and not _failed(ledger, revision):
            return revision
    return fact.running


def _failed(ledger: Ledger, revision: TaskDefinition) -> bool:
    maker = revision.tags.get(DEPLOYMENT_TAG)
    deployment = None if maker is None else ledger.find(maker)
    return deployment is not None and deployment.outcome is not None and deployment.outcome.failed


def _back_to(
    ports: Ports,
    key: str,
    fact: ServiceFacts,
    release: Release,
    standing: Standing,
) -> ServicePlan:
    target = standing.task_definitions.get(key, fact.running.arn)
    known = ports.containers.task_definition(target)
    if known is None:
        raise RefusalError(
            f"service {key}: ECS no longer knows {target}, which {release.name} ran",
            field=f"services.{key}",
            hint=f"release its images again: tidegate deploy … --release {release.name}",
        )
    container = fact.container_of(known)
    image_uri = next(
        entry["image"] for entry in known.content["containerDefinitions"] if entry["name"] == container
    )
    return ServicePlan(
        key=key,
        service=fact.state.name,
        wave=1,
        image=fact.image,
        digest=release.digests.get(fact.image, ""),
        image_uri=image_uri,
        container=container,
        base=target,
        previous=fact.running.arn,
        target=target,
        changed=fact.given_up or target != fact.running.arn,
    )


def _references(task_definition: Mapping[str, Any]) -> list[str]:
    return [
        secret["valueFrom"]
        for container in task_definition["containerDefinitions"]
        for secret in container.get("secrets", [])
    ]


def _refuse_missing_references(ports: Ports, references: Mapping[str, list[str]]) -> None:
    wanted = sorted({reference for group in references.values() for reference in group})
    missing = set(ports.references.missing(wanted)) if wanted else set()
    for key, group in references.items():
        for reference in group:
            if reference in missing:
                raise RefusalError(
                    f"service {key}: its task definition takes a secret from {reference}, which does not exist",
                    field=f"services.{key}",
                    hint="create the secret, or correct valueFrom in the task definition",
                )


def _refuse_alarmed(ports: Ports, facts: Mapping[str, ServiceFacts]) -> None:
    """ECS ignores a service's deployment alarms for the whole deployment if one is in ALARM at its start."""
    names = sorted({name for fact in facts.values() for name in fact.state.alarms})
    alarmed = set(ports.alarms.in_alarm(names)) if names else set()
    for key, fact in facts.items():
        for name in fact.state.alarms:
            if name in alarmed:
                raise RefusalError(
                    f"service {key}: alarm {name} is in ALARM already, so ECS would not watch it",
                    field=f"services.{key}",
                    hint="mend what it reports, or roll back: a rollback is not held up by alarms",
                )
