"""Function `build_images`: from a commit to images that are built.

`Select` decides which images the commit needs and records the build; `Start` starts CodeBuild for one of them and
leaves its task token with that build; `Report` gathers why one failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.build import MARKER, Build, BuildOutcome, BuildRun, ImageBuild, ImageStatus, judge
from tidegate.domain.build_request import parse_build
from tidegate.domain.causes import readable
from tidegate.domain.errors import NotFoundError, OutsideError, RefusalError
from tidegate.domain.ids import content_hash, deployment_id
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import parse_iso
from tidegate.ports import Ports
from tidegate.steps.build_report import document, explain
from tidegate.steps.resuming import awaited_build
from tidegate.steps.routing import places
from tidegate.steps.selecting import select

READY = "Ready"


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`{"step": "Select", "request", "execution": {"id", "name", "started_at"}}`, `{"step": "Start", "system", "build",
    "image", "execution", "token"}` or `{"step": "Report", …, "reason"}`."""
    builds = BuildLedger(ports.store, ports.clock)
    if event["step"] == "Select":
        return _select(event, ports, builds)
    image = builds.image(event["build"], event["image"])
    if image is None:
        raise NotFoundError(f"build {event['build']} has no image {event['image']}", field="image")
    if event["step"] == "Start":
        return _start(event, ports, builds, image)
    return _report(event, ports, builds, image)


def _select(event: Mapping[str, Any], ports: Ports, builds: BuildLedger) -> Mapping[str, Any]:
    execution = event["execution"]
    identity = deployment_id(execution["name"], parse_iso(execution["started_at"]))
    try:
        request = parse_build(event["request"])
    except RefusalError as error:
        return _refused(identity, error)
    known = builds.build(request.system, identity)
    if known is not None:
        return _answer(builds, known, scanned=_scanned(ports, known))
    build = Build(
        id=identity,
        system=request.system,
        commit=request.commit,
        execution=execution["id"],
        started_at=execution["started_at"],
        ref=request.ref,
        actor=request.actor,
        reason=request.reason,
        # Without the paths, which may be more than an item of the table takes.
        request={name: value for name, value in event["request"].items() if name != "changed"},
    )
    asked = f"asked for by {request.actor or 'nobody named'}"
    try:
        selection = select(ports, builds, request)
    except RefusalError as error:
        if error.field != "system":
            # Nothing is written for a system that nobody registered: a mistyped name must not make one.
            builds.record(build, {}, asked, BuildOutcome.REFUSED, explain(error))
        return _refused(identity, error, request.commit)
    except OutsideError as error:
        # AWS refuses, and will again: recorded, so that somebody hears of it.
        return _answer(
            builds, builds.record(build, {}, asked, BuildOutcome.FAILED, error.message), scanned=False
        )
    build = replace(build, environments=selection.environments)
    if not selection.images:
        ended = builds.record(build, {}, asked, BuildOutcome.NO_CHANGE, selection.reason)
        return _answer(builds, ended, scanned=False)
    return _answer(builds, builds.open(build, selection.images, asked), scanned=selection.scanned)


def _answer(builds: BuildLedger, build: Build, *, scanned: bool) -> Mapping[str, Any]:
    """`{"outcome", "build", "system", "images", "scanned", "document"}`: `images` are those to build."""
    images = builds.images(build.id)
    waiting = [image.image for image in images if image.status in (ImageStatus.WAITING, ImageStatus.BUILDING)]
    return {
        "outcome": READY if build.outcome is None else build.outcome.value,
        "build": build.id,
        "system": build.system,
        "images": waiting,
        "scanned": scanned,
        "document": document(build, images),
    }


def _scanned(ports: Ports, build: Build) -> bool:
    released = (place for place in places(ports, build.system) if place.environment in build.environments)
    return any(place.settings.scan for place in released)


def _refused(identity: str, error: RefusalError, commit: str | None = None) -> Mapping[str, Any]:
    return {
        "outcome": BuildOutcome.REFUSED.value,
        "build": identity,
        "system": None,
        "images": [],
        "scanned": False,
        "document": {
            "outcome": BuildOutcome.REFUSED.value,
            "build": identity,
            "commit": commit,
            "reason": explain(error),
            "images": {},
            "deployments": {},
        },
    }


def _start(
    event: Mapping[str, Any], ports: Ports, builds: BuildLedger, image: ImageBuild
) -> Mapping[str, Any]:
    """The token, then a look: the event may have come before the token."""
    build = builds.build(event["system"], event["build"])
    if build is None:
        raise NotFoundError(f"build {event['build']} is not in the ledger", field="build")
    begun: BuildRun | None = None
    if image.build_id is None:
        # CodeBuild gives the same build for the same token: a retry whose first answer was lost starts no second.
        token = content_hash([build.id, image.image])
        begun = ports.builds.start(image.project, build.commit, {**image.variables, MARKER: build.id}, token)
        image = replace(image, status=ImageStatus.BUILDING, build_id=begun.id)
        builds.save_image(build.id, image, "building", begun.id)
    identity = image.build_id or ""
    ledger = Ledger(ports.store, ports.clock)
    waiting = {"token": event["token"], "build": build.id, "image": image.image}
    ledger.keep_token(awaited_build(identity), event["execution"], waiting)
    # One that began this moment may not be listed yet.
    verdict = judge(ports.builds.runs([identity]).get(identity, begun))
    if verdict is not None:
        answer = {**verdict.to_json(), "image": image.image}
        if ports.executions.succeed(event["token"], answer):
            ledger.answered(awaited_build(identity), event["execution"], event["token"])
    return {"waiting_for": identity}


def _report(
    event: Mapping[str, Any], ports: Ports, builds: BuildLedger, image: ImageBuild
) -> Mapping[str, Any]:
    from tidegate.steps.build_report import failed_image  # noqa: PLC0415 -- redaction, only where something failed

    run_ = None if image.build_id is None else ports.builds.runs([image.build_id]).get(image.build_id)
    failed = failed_image(ports, image, run_, readable(event.get("reason") or ""))
    builds.save_image(event["build"], failed, "build failed", failed.reason)
    ports.metrics.count("BuildFailed", system=event["system"])
    return {"image": image.image, "outcome": ImageStatus.FAILED.value}
