"""From what was asked for to digests: nothing is released by a tag that may move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.domain.errors import BadInputError, NotFoundError
from tidegate.domain.fields import ImageRequest
from tidegate.domain.manifest import EnvironmentView
from tidegate.domain.migration import TASK
from tidegate.domain.release import Release
from tidegate.domain.request import DeployRequest
from tidegate.domain.tags import render_tag
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """`uri` is `repository@sha256:…`, what the task definition gets."""

    digest: str
    uri: str


def resolve_images(
    ports: Ports, ledger: Ledger, view: EnvironmentView, request: DeployRequest
) -> dict[str, ResolvedImage]:
    """A digest for every image that a service uses, and for the one that brings the migrations.

    An image that the request names is taken as named. Where it names none, the commit's tag decides. What is left
    stays as it runs (the current release), or else is looked up by the commit's tag.
    """
    for key in request.images:
        if key not in view.images:
            raise NotFoundError(
                f"the manifest of {view.system} has no image {key}",
                field=f"images.{key}",
                hint=f"it has {', '.join(sorted(view.images)) or 'none'}",
            )
    current = ledger.current(view.system, view.name)
    running = None if current is None else ledger.release(view.system, current.release)
    kept: Mapping[str, str] = {} if running is None else running.digests
    found: dict[str, str] = {}
    for key in _wanted(view):
        named = request.images.get(key)
        if named is not None:
            found[key] = _named(ports, view, key, named)
            continue
        tagged = None if request.images and key in kept else _by_commit(ports, view, key, request.commit)
        digest = tagged or kept.get(key)
        if digest is None:
            raise NotFoundError(_nothing_for(view, key, request.commit), field=f"images.{key}", hint=_MEND)
        found[key] = digest
    if not request.images and not any(
        _by_commit(ports, view, key, request.commit) == digest for key, digest in found.items()
    ):
        raise NotFoundError(
            f"no image of {view.system} has a tag for commit {request.commit}", field="commit", hint=_MEND
        )
    return {key: _resolved(ports, view, key, digest) for key, digest in found.items()}


def wanted_of_release(ports: Ports, view: EnvironmentView, release: Release) -> dict[str, ResolvedImage]:
    """The images of a recorded release, as far as services use them today."""
    found: dict[str, ResolvedImage] = {}
    for key in _used(view):
        digest = release.digests.get(key)
        if digest is None:
            raise NotFoundError(
                f"{release.name} has no image {key}, which the manifest's services use",
                field="release",
                hint="release a commit that has it",
            )
        found[key] = _resolved(ports, view, key, digest)
    migrations = migrations_image(view)
    if migrations is not None and migrations not in found and migrations in release.digests:
        # A release from before there were migrations has none, and needs none.
        found[migrations] = _resolved(ports, view, migrations, release.digests[migrations])
    return found


def migrations_image(view: EnvironmentView) -> str | None:
    """The image of the manifest that brings the migrations; None where there are none."""
    wanted = view.migrations
    if wanted is None:
        return None
    if wanted.runner == TASK:
        return None if wanted.service is None else view.services[wanted.service].image
    return wanted.image or next(iter(view.images))


_MEND = "build and push it, or name a digest: --image <image>=sha256:…"


def _used(view: EnvironmentView) -> list[str]:
    return sorted({service.image for service in view.services.values()})


def _wanted(view: EnvironmentView) -> list[str]:
    migrations = migrations_image(view)
    return sorted({*_used(view), *([] if migrations is None else [migrations])})


def _named(ports: Ports, view: EnvironmentView, key: str, named: ImageRequest) -> str:
    if named.digest is not None:
        return named.digest
    repository = view.images[key].repository
    digest = ports.images.digest(repository, named.tag or "")
    if digest is None:
        raise NotFoundError(
            f"repository {repository} has no tag {named.tag}", field=f"images.{key}.tag", hint=_MEND
        )
    return digest


def _by_commit(ports: Ports, view: EnvironmentView, key: str, commit: str | None) -> str | None:
    tag = _tag(view, key, commit)
    return None if tag is None else ports.images.digest(view.images[key].repository, tag)


def _tag(view: EnvironmentView, key: str, commit: str | None) -> str | None:
    """None where the commit makes no tag: any text may name a commit, not every text may be a tag."""
    try:
        return None if commit is None else render_tag(view.images[key].tag, commit=commit)
    except BadInputError:
        return None


def _nothing_for(view: EnvironmentView, key: str, commit: str | None) -> str:
    image = view.images[key]
    if commit is None:
        return f"nothing says which {key} to run: no release runs yet and no commit or digest was given"
    tag = _tag(view, key, commit)
    return f"image {key}: repository {image.repository} has no tag {tag or commit} and no release runs yet"


def _resolved(ports: Ports, view: EnvironmentView, key: str, digest: str) -> ResolvedImage:
    repository = view.images[key].repository
    uri = ports.images.uri(repository)
    if uri is None:
        raise NotFoundError(
            f"image {key}: ECR has no repository {repository}",
            field=f"images.{key}.repository",
            hint="create it, or correct the manifest",
        )
    if not ports.images.exists(repository, digest):
        raise NotFoundError(
            f"image {key}: repository {repository} has no {digest}",
            field=f"images.{key}.digest",
            hint="push it again; a lifecycle rule may have expired it",
        )
    return ResolvedImage(digest, f"{uri}@{digest}")
