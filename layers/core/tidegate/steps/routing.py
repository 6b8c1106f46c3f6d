"""Which systems an event of a repository or of a CodeBuild project is about: the registered manifests tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tidegate.domain.errors import NotFoundError, RefusalError
from tidegate.domain.manifest import Environment, Image, Manifest, parse_manifest
from tidegate.domain.source import repository_of
from tidegate.ports import Ports


@dataclass(frozen=True, slots=True)
class Place:
    """One system in one environment, as registered there."""

    system: str
    environment: str
    manifest: Manifest

    @property
    def settings(self) -> Environment:
        return self.manifest.environments[self.environment]

    @property
    def built(self) -> Mapping[str, Image]:
        """The images that CodeBuild makes."""
        return {key: image for key, image in self.manifest.images.items() if image.build is not None}

    def of_project(self, project: str) -> dict[str, Image]:
        return {
            key: image for key, image in self.built.items() if image.build and image.build.project == project
        }


def places(ports: Ports, system: str | None = None) -> Iterator[Place]:
    """Everything registered, or all environments of one system. A manifest that cannot be read is passed over: it must
    not keep the others from their events, and its own releases are refused with the reason."""
    if system is None:
        registered = ports.registry.systems()
    else:
        registered = [(system, environment) for environment in ports.registry.environments(system)]
    for name, environment in registered:
        try:
            yield read_place(ports, name, environment)
        except RefusalError:
            continue


def read_place(ports: Ports, system: str, environment: str) -> Place:
    """One place, or a RefusalError that says why there is none."""
    data = ports.registry.manifest(system, environment)
    if data is None:
        raise NotFoundError(
            f"system {system} is not registered in environment {environment}",
            field="system",
            hint=f"tidegate apply --environment {environment}",
        )
    manifest = parse_manifest(data)
    if environment not in manifest.environments:
        raise NotFoundError(
            f"the registered manifest of {system} has no environment {environment}",
            field="environment",
            hint=f"it has {', '.join(sorted(manifest.environments))}",
        )
    return Place(system, environment, manifest)


def systems_built_from(ports: Ports, repository: str) -> list[str]:
    """Systems with an image whose CodeBuild project has its source there."""
    projects: dict[str, set[str]] = {}
    for place in places(ports):
        for image in place.built.values():
            if image.build is not None:
                projects.setdefault(image.build.project, set()).add(place.system)
    if not projects:
        return []
    known = ports.builds.projects(sorted(projects))
    found: set[str] = set()
    for name, project in known.items():
        if repository_of(project.source_type, project.location) == repository:
            found |= projects[name]
    return sorted(found)
