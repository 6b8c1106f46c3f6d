"""Function `publish_images`: from images that are built to releases that begin.

`AwaitScans` leaves its task token with ECR's scans where an environment asks for them; `Publish` puts the release tag
on what was built and starts `deploy` where the branch is released; `Fail` ends a build that came to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidegate.domain.build import Build, BuildOutcome, ImageBuild, ImageStatus
from tidegate.domain.causes import readable
from tidegate.domain.errors import NotFoundError, RefusalError
from tidegate.domain.fields import ImageRequest
from tidegate.domain.request import Published
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.announce import announce_refusal
from tidegate.steps.build_report import announce_failure, document, explain
from tidegate.steps.gates import scan_refusal
from tidegate.steps.releasing import DUPLICATE, release
from tidegate.steps.resuming import awaited_scan, scans_pending
from tidegate.steps.routing import Place, read_place


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`{"step": "AwaitScans" | "Publish" | "Fail", "system", "build", "built": [{"image", "digest"}], …}`;
    `AwaitScans` has `execution` and `token`, `Fail` has `error: {"name", "cause"}` or null."""
    builds = BuildLedger(ports.store, ports.clock)
    build = builds.build(event["system"], event["build"])
    if build is None:
        raise NotFoundError(f"build {event['build']} is not in the ledger", field="build")
    if build.outcome is not None:
        return _ended(ports, builds, build)
    if event["step"] == "Fail":
        return _fail(event, ports, builds, build)
    images = _settled(event, ports, builds, build)
    lost = [image for image in images if image.status is ImageStatus.FAILED]
    if event["step"] == "AwaitScans":
        # Where an image is lost there is nothing to wait for: the next step says so.
        return _await_scans(event, ports, [] if lost else images)
    if lost:
        return _fail({**event, "error": None}, ports, builds, build)
    return _publish(ports, builds, build, images)


def _ended(ports: Ports, builds: BuildLedger, build: Build) -> Mapping[str, Any]:
    """A step that is retried after its end was recorded, but perhaps not told."""
    images = builds.images(build.id)
    if build.outcome is BuildOutcome.FAILED:
        announce_failure(ports, build, images)
    return _answer(build, images)


def _answer(build: Build, images: Iterable[ImageBuild]) -> Mapping[str, Any]:
    outcome = None if build.outcome is None else build.outcome.value
    return {"outcome": outcome, "document": document(build, images)}


def _settled(event: Mapping[str, Any], ports: Ports, builds: BuildLedger, build: Build) -> list[ImageBuild]:
    """The images with their digests, each of which ECR has; one that a build says it pushed and that is not there has
    failed."""
    said = {entry["image"]: entry.get("digest") for entry in event.get("built") or ()}
    settled: list[ImageBuild] = []
    for image in builds.images(build.id):
        digest = image.digest or said.get(image.image) or _by_tag(ports, image)
        if digest is not None and ports.images.exists(image.repository, digest):
            status = ImageStatus.REUSED if image.status is ImageStatus.REUSED else ImageStatus.BUILT
            there = replace(image, digest=digest, status=status)
            if there != image:
                builds.save_image(build.id, there, "in ECR", digest)
            settled.append(there)
            continue
        gone = f"the build pushed no image to {image.repository}"
        if digest is not None:
            gone = f"repository {image.repository} has no {digest}"
        failed = replace(image, status=ImageStatus.FAILED, reason=gone)
        builds.save_image(build.id, failed, "not in ECR", gone)
        settled.append(failed)
    return settled


def _by_tag(ports: Ports, image: ImageBuild) -> str | None:
    tags = [tag for tag in (image.tree_tag, image.tag) if tag]
    found = (ports.images.digest(image.repository, tag) for tag in tags)
    return next((digest for digest in found if digest is not None), None)


def _await_scans(event: Mapping[str, Any], ports: Ports, images: Sequence[ImageBuild]) -> Mapping[str, Any]:
    """The token under each image, then a look: a scan may have ended before the token was there."""
    ledger = Ledger(ports.store, ports.clock)
    there = [(image.repository, image.digest) for image in images if image.digest is not None]
    waiting = {
        "token": event["token"],
        "build": event["build"],
        "images": [{"repository": repository, "digest": digest} for repository, digest in there],
    }
    for repository, digest in there:
        ledger.keep_token(awaited_scan(repository, digest), event["execution"], waiting)
    if not scans_pending(ports, there) and ports.executions.succeed(event["token"], {"outcome": "Scanned"}):
        for repository, digest in there:
            ledger.answered(awaited_scan(repository, digest), event["execution"], event["token"])
    return {"waiting_for": len(there)}


def _publish(
    ports: Ports, builds: BuildLedger, build: Build, images: Sequence[ImageBuild]
) -> Mapping[str, Any]:
    later = builds.overtaken_by(build)
    if later is not None:
        passed = f"commit {later.commit[:12]}, pushed later, was published first (build {later.id})"
        return _answer(builds.end(build, BuildOutcome.SUPERSEDED, passed), images)
    targets, refusals = _targets(ports, build)
    refusals |= {place.environment: reason for place in targets if (reason := _refusal(ports, place, images))}
    if refusals and len(refusals) == len(build.environments):
        told = "; ".join(f"{name}: {why}" for name, why in refusals.items())
        return _refuse(ports, builds, build, images, told)
    for image in images:
        taken = _tag(ports, image)
        if taken is not None:
            return _refuse(ports, builds, build, images, taken)
    published = Published(
        build.system,
        None,
        build.commit or None,
        {image.image: ImageRequest(digest=image.digest) for image in images},
        build.actor or "build",
        None,
        # When its push was heard, however long it took to build.
        build.id,
    )
    deployments: dict[str, str] = {}
    before: list[str] = []
    for place in targets:
        if place.environment in refusals:
            continue
        started = release(ports, published, place.environment, event_id=f"build {build.id}")
        if started["did"] == DUPLICATE:
            before.append(place.environment)
        else:
            deployments[place.environment] = started["execution"]
    summary = _told(deployments, before, refusals)
    ended = builds.end(build, BuildOutcome.BUILT, summary, deployments=deployments)
    return _answer(ended, images)


def _targets(ports: Ports, build: Build) -> tuple[list[Place], dict[str, str]]:
    """The environments to release to, and why not to the others: a manifest may have changed in the meantime."""
    targets: list[Place] = []
    refusals: dict[str, str] = {}
    for name in build.environments:
        try:
            targets.append(read_place(ports, build.system, name))
        except RefusalError as error:
            refusals[name] = explain(error)
    return targets, refusals


def _refusal(ports: Ports, place: Place, images: Sequence[ImageBuild]) -> str | None:
    digests = ((image.image, image.repository, image.digest or "") for image in images)
    return scan_refusal(ports, place.settings, digests)


def _tag(ports: Ports, image: ImageBuild) -> str | None:
    """Put the release tag on an image; why that cannot be, where it cannot."""
    if not image.tag or image.digest is None:
        return None
    named = ports.images.tag(image.repository, image.digest, image.tag)
    if named == image.digest:
        return None
    if named is None:
        return f"image {image.image}: repository {image.repository} has no {image.digest} any more"
    where = f"tag {image.tag} of {image.repository}"
    return f"image {image.image}: {where} names {named} already, and a release tag never moves"


def _told(deployments: Mapping[str, str], before: Sequence[str], refusals: Mapping[str, str]) -> str:
    to = f"released to {', '.join(sorted(deployments))}" if deployments else "released to no environment"
    not_to = {**dict.fromkeys(before, "the same images of this commit were released there"), **refusals}
    return "; ".join([to, *(f"not to {name}: {why}" for name, why in sorted(not_to.items()))])


def _refuse(
    ports: Ports, builds: BuildLedger, build: Build, images: Sequence[ImageBuild], reason: str
) -> Mapping[str, Any]:
    """Announced first: a retry after a crash announces again, and never not at all."""
    said = {"system": build.system, "commit": build.commit or None, "actor": build.actor}
    if len(build.environments) == 1:
        said["environment"] = build.environments[0]
    announce_refusal(ports, said, reason)
    return _answer(builds.end(build, BuildOutcome.REFUSED, reason), images)


def _fail(event: Mapping[str, Any], ports: Ports, builds: BuildLedger, build: Build) -> Mapping[str, Any]:
    images = builds.images(build.id)
    error = event.get("error")
    reasons = [
        f"image {image.image}: {image.reason}" for image in images if image.status is ImageStatus.FAILED
    ]
    if error:
        # A time-out comes without a cause.
        reasons.append(f"{error['name']}: {readable(error.get('cause') or '')}".rstrip(": "))
    ended = builds.end(build, BuildOutcome.FAILED, "; ".join(reasons)[:2000] or "it ended without an outcome")
    announce_failure(ports, ended, images)
    return _answer(ended, images)
