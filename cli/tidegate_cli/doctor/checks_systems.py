"""Does every registered manifest still say what is there?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain

from tidegate.domain.manifest import EnvironmentView
from tidegate.domain.manifest.fields import ENVIRONMENT

from tidegate_cli.doctor.findings import Finding, carried_out, error, ok, skipped
from tidegate_cli.doctor.inspection import Inspection, Registered

# The parameter of template.yaml, and of infrastructure/runner.yaml.
_SECRETS = "MigrationSecrets"


def manifests(inspection: Inspection) -> Iterator[Finding]:
    registered = inspection.registered
    if not registered:
        hint = f"{inspection.given.command('apply')} tidegate.yaml --environment …"
        yield skipped("systems", "no system is registered here yet", hint)
    for entry in registered:
        yield from carried_out(_name(entry), partial(_one, entry), inspection)


def _name(entry: Registered) -> str:
    return f"system {entry.name}"


def _one(entry: Registered, inspection: Inspection) -> Iterator[Finding]:
    name = _name(entry)
    again = f"mend it and register it again: tidegate apply --environment {entry.environment}"
    if entry.problem is not None:
        yield error(
            name, f"its manifest cannot be used: {entry.problem.message}", entry.problem.hint or again
        )
        return
    view = entry.view
    if view is None:
        yield error(name, f"its manifest has no environment {entry.environment}", again)
        return
    whole = True
    # Where one of them may not look, what those before it found is told all the same.
    for what, mend in chain(
        _images(inspection, view), _services(inspection, view), _migrations(inspection, view)
    ):
        whole = False
        yield error(name, what, mend)
    if whole:
        yield ok(name, "all that its manifest names is there")


def _images(inspection: Inspection, view: EnvironmentView) -> Iterator[tuple[str, str]]:
    for key, image in view.images.items():
        if inspection.ports.images.uri(image.repository) is None:
            yield (
                f"image {key}: ECR has no repository {image.repository}",
                f"create it, or correct images.{key}.repository",
            )
    projects = {key: image.build.project for key, image in view.images.items() if image.build is not None}
    known = inspection.ports.builds.projects(sorted(set(projects.values()))) if projects else {}
    for key, project in projects.items():
        if project not in known:
            yield (
                f"image {key}: CodeBuild has no project {project}",
                f"create it (infrastructure/build.yaml), or correct images.{key}.build.project",
            )


def _services(inspection: Inspection, view: EnvironmentView) -> Iterator[tuple[str, str]]:
    names = {key: service.service for key, service in view.services.items()}
    known = inspection.ports.containers.services(view.cluster, sorted(names.values())) if names else {}
    if names and not known:
        yield (
            f"ECS has none of its services in cluster {view.cluster}",
            "is the cluster's name right? deploy the stack that makes it, or correct the manifest",
        )
        return
    for key, name in names.items():
        if name not in known:
            yield (
                f"service {key}: ECS has no active service {name} in cluster {view.cluster}",
                f"deploy the stack that makes it, or correct services.{key}.service",
            )


def _migrations(inspection: Inspection, view: EnvironmentView) -> Iterator[tuple[str, str]]:
    """Whether the functions that log in to the database may read a credential at all; not whether it is this one."""
    wanted = None if view.migrations is None else view.migrations.secret
    if wanted is None:
        return
    secret, stack = wanted.replace(ENVIRONMENT, view.name), view.settings.runner or inspection.stack
    found = inspection.stack_named(stack)
    if found is None:
        if view.settings.runner is not None:
            yield (
                f"migrations: there is no CloudFormation stack {stack}, the environment's runner",
                f"deploy infrastructure/runner.yaml as {stack}, or correct environments.{view.name}.runner",
            )
        return
    if found.parameters.get(_SECRETS, "") == "":
        yield (
            f"migrations: they log in with secret {secret}, and stack {stack} may read none",
            f"name the secret's ARN in its parameter {_SECRETS} (docs/install.md), or take migrations.secret away",
        )
