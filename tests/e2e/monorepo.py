"""A monorepo: five services, each of an image of its own, all in one ECR repository and told apart by their tags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.domain.build import Build, BuildOutcome, ImageStatus
from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome

from tests.e2e.own_system import EcsService, OwnSystem
from tests.e2e.pushing import Developer
from tests.e2e.support import SWEPT_SECONDS, SampleCloud
from tests.support.scratch import Scratch

SYSTEM, REPOSITORY, PROJECT = "orchard", "orchard-services", "orchard-build"
NAMES = ("genetics", "identity", "spatial", "tasks", "telemetry")
CHANGED = "spatial"

# It ends when it is asked to: as the first process of a container it has to catch the signal.
_RUN = """\
#!/bin/sh
trap 'exit 0' TERM
cat /app/name
while true; do sleep 3600 & wait $!; done
"""
_DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY . /app
CMD ["/bin/sh", "/app/run"]
"""


def manifest() -> dict[str, Any]:
    return {
        "system": SYSTEM,
        "images": {
            name: {
                "repository": REPOSITORY,
                "tag": f"{name}-{{commit}}",
                "build": {"project": PROJECT, "context": f"services/{name}"},
                "watch": [f"services/{name}/**"],
            }
            for name in NAMES
        },
        "services": {name: {"service": f"{SYSTEM}-{name}", "image": name} for name in NAMES},
        "environments": {"production": {"region": "us-east-1", "cluster": SYSTEM, "branch": "main"}},
    }


def files() -> dict[str, str]:
    every = {"README.md": "# Orchard\n"}
    for name in NAMES:
        context = f"services/{name}"
        every |= {
            f"{context}/Dockerfile": _DOCKERFILE,
            f"{context}/run": _RUN,
            f"{context}/name": f"{name}\n",
        }
    return every


def begin(cloud: SampleCloud, image: str, folder: Path) -> tuple[OwnSystem, Developer]:
    """The system, whose services run `image`, and somebody who has pushed nothing yet.

    REPOSITORY is there already, with that image in it.
    """
    system = OwnSystem.make(cloud, manifest(), [EcsService(name) for name in NAMES], image, folder)
    return system, Developer(cloud, SYSTEM, Scratch.begin(folder / SYSTEM))


def check_the_first_push(system: OwnSystem, developer: Developer) -> None:
    """It builds all five and releases them together."""
    # Five builds side by side: a busy machine may take a while.
    build = developer.built(developer.push("first", files()), seconds=SWEPT_SECONDS)
    deployment = developer.released(build)
    assert (build.outcome, deployment.outcome) == (BuildOutcome.BUILT, Outcome.SUCCEEDED)
    images = developer.images(build)
    assert {name: image.status for name, image in images.items()} == dict.fromkeys(NAMES, ImageStatus.BUILT)
    assert len(developer.codebuild_runs(PROJECT)) == len(NAMES)
    assert _tagged(system, build.commit) == {name: image.digest for name, image in images.items()}
    assert len({image.digest for image in images.values()}) == len(NAMES)
    assert system.digests() == _released(system, deployment) == _tagged(system, build.commit)


def check_a_change_of_one(system: OwnSystem, developer: Developer) -> tuple[Build, Deployment]:
    """One image is built and one service is rolled; the others keep their task definitions and their tasks."""
    definitions, tasks, digests = system.task_definitions(), _tasks(system), system.digests()
    runs = len(developer.codebuild_runs(PROJECT))
    build, deployment = developer.pushed_and_released(
        f"change {CHANGED}", {f"services/{CHANGED}/name": f"{CHANGED} two\n"}
    )
    assert (build.outcome, deployment.outcome) == (BuildOutcome.BUILT, Outcome.SUCCEEDED)
    images = developer.images(build)
    assert {name: image.status for name, image in images.items()} == {CHANGED: ImageStatus.BUILT}
    assert len(developer.codebuild_runs(PROJECT)) == runs + 1
    assert _tagged(system, build.commit) == {CHANGED: images[CHANGED].digest}
    assert _changed(definitions, system.task_definitions()) == {CHANGED}
    assert _changed(tasks, _tasks(system)) == {CHANGED}
    assert system.digests() == {**digests, CHANGED: images[CHANGED].digest}
    assert images[CHANGED].digest != digests[CHANGED]
    # The release says of all five what runs.
    assert _released(system, deployment) == system.digests()
    return build, deployment


def _tagged(system: OwnSystem, commit: str) -> dict[str, str]:
    """Digests of the images with a release tag of that commit, by the tag's prefix."""
    pages = system.cloud.client("ecr").get_paginator("describe_images").paginate(repositoryName=REPOSITORY)
    return {
        tag.removesuffix(f"-{commit}"): image["imageDigest"]
        for page in pages
        for image in page["imageDetails"]
        for tag in image.get("imageTags", [])
        if tag.endswith(f"-{commit}")
    }


def _released(system: OwnSystem, deployment: Deployment) -> Mapping[str, str]:
    release = system.cloud.ledger.release(system.name, deployment.release or 0)
    assert release is not None
    return dict(release.digests)


def _tasks(system: OwnSystem) -> dict[str, set[str]]:
    return {name: {task["taskArn"] for task in system.tasks(name)} for name in NAMES}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    assert before.keys() == after.keys()
    return {key for key in before if before[key] != after[key]}
