"""What the ledger knows of builds, as JSON documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tidegate.domain.build import Build, ImageBuild, ImageStatus
from tidegate.domain.deployment import Deployment, Line
from tidegate.domain.ids import deployment_id
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import parse_iso

# A deployment that a build started is among so many of the newest of its environment, or is not looked for.
_NEWEST = 50


def build_entry(build: Build, images: Iterable[ImageBuild]) -> dict[str, Any]:
    """One entry of `builds`; `reason` is the one that was given for it, `explanation` how it ended, `deployments` the
    executions that it started, by environment."""
    return {
        "build": build.id,
        "commit": build.commit or None,
        "ref": build.ref,
        "outcome": None if build.outcome is None else build.outcome.value,
        "reason": build.reason,
        "explanation": build.explanation,
        "actor": build.actor,
        "images": {image.image: image_entry(image) for image in images},
        "deployments": dict(build.deployments),
        "started_at": build.started_at,
        "finished_at": build.finished_at,
    }


def image_entry(image: ImageBuild) -> dict[str, Any]:
    """`phase` and `reason` where it failed, `codebuild` where CodeBuild built it."""
    entry: dict[str, Any] = {"status": image.status.value, "digest": image.digest}
    said = (("codebuild", image.build_id), ("phase", image.phase), ("reason", image.reason))
    return entry | {name: value for name, value in said if value}


def shown_build(
    build: Build,
    images: Iterable[ImageBuild],
    timeline: Iterable[Line],
    released: Mapping[str, Deployment | None],
) -> dict[str, Any]:
    """The document of `show` for a build. `releases` are the deployments that it started, by environment: their ids
    and outcomes are null while they are not recorded."""
    images = list(images)
    failed = [image for image in images if image.status is ImageStatus.FAILED]
    return {
        **build_entry(build, images),
        "system": build.system,
        "execution": build.execution,
        "releases": {
            environment: _release_entry(build.deployments[environment], deployment)
            for environment, deployment in released.items()
        },
        "timeline": [line.to_json() for line in timeline],
        "failure": {"images": [failure_of(image) for image in failed]} if failed else None,
    }


def failure_of(image: ImageBuild) -> dict[str, Any]:
    return {
        "image": image.image,
        "phase": image.phase,
        "reason": image.reason,
        "logs": list(image.logs),
    }


def released(ledger: Ledger, build: Build) -> dict[str, Deployment | None]:
    """The deployments that a build started, by environment; None for one that is not recorded yet."""
    found: dict[str, Deployment | None] = {}
    for environment, execution in sorted(build.deployments.items()):
        newest = ledger.history(build.system, environment, limit=_NEWEST)
        found[environment] = next((entry for entry in newest if _carried_by(entry, execution)), None)
    return found


def _carried_by(deployment: Deployment, execution: str) -> bool:
    """By the id, which is made of the first execution's name: a recovery is another execution."""
    name = execution.rpartition(":")[2]
    began = parse_iso(deployment.started_at)
    return deployment.execution == execution or deployment.id == deployment_id(name, began)


def _release_entry(execution: str, deployment: Deployment | None) -> dict[str, Any]:
    outcome = None if deployment is None or deployment.outcome is None else deployment.outcome.value
    return {
        "execution": execution,
        "deployment": None if deployment is None else deployment.id,
        "release": None if deployment is None else deployment.release_name,
        "outcome": outcome,
    }
