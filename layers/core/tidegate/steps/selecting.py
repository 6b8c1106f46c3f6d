"""Which images a commit needs: touched by the push, not built for this commit, nor from the same source tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from tidegate.domain.build import (
    ARGUMENTS,
    CONTEXT,
    DOCKERFILE,
    IMAGE,
    MIGRATIONS,
    REPOSITORY,
    TEST,
    ImageBuild,
    ImageStatus,
    touched,
    tree_tag,
)
from tidegate.domain.build_request import BuildRequest
from tidegate.domain.errors import BadInputError, NotFoundError, RefusalError
from tidegate.domain.manifest import Image
from tidegate.domain.source import branch_of, repository_of
from tidegate.domain.tags import render_tag
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports, Project
from tidegate.steps.routing import Place, places, read_place


@dataclass(frozen=True, slots=True)
class Selection:
    """`images` by key, those to build, to reuse and those that came built; none with `reason` where there is nothing to
    do. `environments` are released to; `scanned` says whether one of them asks for ECR's scan."""

    images: Mapping[str, ImageBuild] = field(default_factory=dict)
    environments: tuple[str, ...] = ()
    scanned: bool = False
    reason: str = ""


def select(ports: Ports, builds: BuildLedger, request: BuildRequest) -> Selection:
    """Raises RefusalError with the reason when the request makes no sense; reads only."""
    registered = _registered(ports, request)
    targets = _targets(registered, request)
    if not targets and request.by_event:
        return Selection(
            reason=f"no environment of {request.system} follows {branch_of(request.ref) or request.ref}"
        )
    environments = tuple(place.environment for place in targets)
    scanned = any(place.settings.scan for place in targets)
    images = _definitions(targets or registered)
    if request.built:
        chosen = {key: _came_built(request, images, key) for key in request.built}
        return Selection(chosen, environments, scanned)
    choice = _Choice(ports, request, images, _linted(targets or registered))
    keys = _touched(choice, builds, request, environments)
    if not keys:
        return Selection(environments=environments, reason="the push touches no image")
    return Selection(choice.of(keys), environments, scanned)


def _registered(ports: Ports, request: BuildRequest) -> list[Place]:
    """Where the system is registered. What cannot be read is refused with its own reason where it matters: when it is
    named, and when there is nothing else."""
    known = ports.registry.environments(request.system)
    if not known:
        raise NotFoundError(
            f"system {request.system} is not registered here",
            field="system",
            hint="tidegate apply --environment …",
        )
    for name in request.environments:
        if name not in known:
            raise NotFoundError(
                f"system {request.system} is not registered in environment {name}",
                field="environments",
                hint=f"tidegate apply --environment {name}",
            )
        read_place(ports, request.system, name)
    return list(places(ports, request.system)) or [read_place(ports, request.system, known[0])]


def _targets(registered: Sequence[Place], request: BuildRequest) -> list[Place]:
    """The environments that follow the branch, or those that are named."""
    if request.environments:
        return [place for place in registered if place.environment in request.environments]
    branch = branch_of(request.ref)
    return [place for place in registered if branch is not None and place.settings.branch == branch]


def _definitions(registered: Sequence[Place]) -> dict[str, Image]:
    """The images as all environments have them: one commit is built once."""
    found: dict[str, tuple[str, Image]] = {}
    for place in registered:
        for key, image in place.manifest.images.items():
            other, known = found.setdefault(key, (place.environment, image))
            if known != image:
                raise RefusalError(
                    f"environments {other} and {place.environment} define image {key} differently",
                    field=f"images.{key}",
                    hint="apply the same manifest to both",
                )
    return {key: image for key, (_, image) in found.items()}


def _linted(registered: Sequence[Place]) -> dict[str, str]:
    """By image, the folder of SQL files that is looked at when it is built."""
    folders = {key: place.manifest.linted(key) for place in registered[::-1] for key in place.manifest.images}
    return {key: folder for key, folder in folders.items() if folder}


def _came_built(request: BuildRequest, images: Mapping[str, Image], key: str) -> ImageBuild:
    """Its own build has tagged it: no release tag is added."""
    image, asked = _known(request, images, key), request.built[key]
    if asked.digest is None:
        raise BadInputError(
            f"image {key} came without its digest", field=f"built.{key}.digest", hint="sha256:…"
        )
    return ImageBuild(key, image.repository, "", status=ImageStatus.BUILT, digest=asked.digest)


def _known(request: BuildRequest, images: Mapping[str, Image], key: str) -> Image:
    image = images.get(key)
    if image is None:
        raise NotFoundError(
            f"the manifest of {request.system} has no image {key}",
            field=f"images.{key}",
            hint=f"it has {', '.join(sorted(images)) or 'none'}",
        )
    return image


def _touched(
    choice: _Choice, builds: BuildLedger, request: BuildRequest, environments: Sequence[str]
) -> list[str]:
    images = choice.images
    for key in request.images:
        if _known(request, images, key).build is None:
            raise BadInputError(
                f"image {key} is not built by Tidegate: its manifest has no build",
                field=f"images.{key}",
                hint="add images.<image>.build, or let its own CI publish it",
            )
    if request.images:
        return list(request.images)
    built = sorted(key for key, image in images.items() if image.build is not None)
    if not built:
        raise RefusalError(
            f"no image of {request.system} is built by Tidegate: none has build in the manifest",
            field="images",
            hint="add images.<image>.build",
        )
    changed = choice.changes(builds, environments)
    return [key for key in built if touched(images[key].watch, changed) and choice.comes_from_here(key)]


class _Choice:
    """What changed, and what each image needs; CodeBuild is asked about its projects once."""

    def __init__(
        self,
        ports: Ports,
        request: BuildRequest,
        images: Mapping[str, Image],
        linted: Mapping[str, str],
    ) -> None:
        self._ports = ports
        self._request = request
        self._linted = linted
        self.images = images

    @cached_property
    def _projects(self) -> Mapping[str, Project]:
        return self._ports.builds.projects(
            sorted({image.build.project for image in self.images.values() if image.build is not None})
        )

    def changes(self, builds: BuildLedger, environments: Sequence[str]) -> list[str] | None:
        """What changed since the branch was last built, which may be more than the push: a push whose build failed is
        made good by the next one. None where that is not known, and where an environment has no release yet whose
        other images could stay."""
        request = self._request
        if request.ref is None or not request.by_event:
            return None
        last = builds.last_commit(request.system, request.ref, request.repository)
        ledger = Ledger(self._ports.store, self._ports.clock)
        if last is None or any(ledger.current(request.system, name) is None for name in environments):
            return None
        if last == request.commit:
            return []
        if last == request.before and request.changed is not None:
            return list(request.changed)
        if request.repository is None:
            return None
        return self._ports.sources.changes(request.repository, last, request.commit)

    def comes_from_here(self, key: str) -> bool:
        """Whether an image is built from the repository that was pushed to. A system may have several, and a commit of
        one is none of the others; a project that is missing is refused later on."""
        build, pushed = self.images[key].build, self._request.repository
        project = None if build is None else self._projects.get(build.project)
        if pushed is None or project is None or not self._request.by_event:
            return True
        return repository_of(project.source_type, project.location) == pushed

    def of(self, keys: Sequence[str]) -> dict[str, ImageBuild]:
        chosen = {key: self._for_commit(key) for key in keys}
        return {
            key: self._from_source(image) if image.digest is None else image for key, image in chosen.items()
        }

    def _for_commit(self, key: str) -> ImageBuild:
        image = self.images[key]
        tag = render_tag(image.tag, commit=self._request.commit)
        if self._ports.images.uri(image.repository) is None:
            raise NotFoundError(
                f"image {key}: ECR has no repository {image.repository}",
                field=f"images.{key}.repository",
                hint="create it, or correct the manifest",
            )
        return self._reused(ImageBuild(key, image.repository, tag), tag)

    def _from_source(self, wanted: ImageBuild) -> ImageBuild:
        build = self.images[wanted.image].build
        project = None if build is None else self._projects.get(build.project)
        if build is None or project is None:
            name = "" if build is None else build.project
            raise NotFoundError(
                f"image {wanted.image}: CodeBuild has no project {name}",
                field=f"images.{wanted.image}.build.project",
                hint="create it (infrastructure/build.yaml), or correct the manifest",
            )
        arguments = project.variables.get(ARGUMENTS, "")
        repository = self._request.repository or repository_of(project.source_type, project.location)
        migrations = self._linted.get(wanted.image, "")
        tree = None
        if repository is not None:
            tree = self._ports.sources.tree(repository, self._request.commit, build.context)
        wanted = replace(
            wanted,
            project=build.project,
            tree_tag=None
            if tree is None
            else tree_tag(tree, build.dockerfile, build.test or "", arguments, migrations),
            variables={
                IMAGE: wanted.image,
                REPOSITORY: wanted.repository,
                CONTEXT: build.context,
                DOCKERFILE: build.dockerfile,
                TEST: build.test or "",
                **({MIGRATIONS: migrations} if migrations else {}),
            },
        )
        return wanted if wanted.tree_tag is None else self._reused(wanted, wanted.tree_tag)

    def _reused(self, wanted: ImageBuild, tag: str) -> ImageBuild:
        digest = self._ports.images.digest(wanted.repository, tag)
        return wanted if digest is None else replace(wanted, status=ImageStatus.REUSED, digest=digest)
