"""A shop whose image CodeBuild makes, and the machine `build`, played one step at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tidegate.domain.build import DIGEST
from tidegate.steps import build_images, publish_images

from tests.support.clock import iso
from tests.unit.cli.conftest import Terminal
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, digest, manifest

PROJECT = "shop-build"
REPOSITORIES = {"app": "shop-app", "jobs": "shop-jobs"}


def built_manifest(**more: Any) -> dict[str, Any]:
    images = {
        key: {"repository": repository, "tag": "{commit}", "build": {"project": PROJECT}}
        for key, repository in REPOSITORIES.items()
    }
    environments = {ENVIRONMENT: {"region": "eu-west-1", "cluster": "shop-cluster", "branch": "main"}}
    return manifest(images=images, environments=environments, **more)


@dataclass
class Machine:
    """The execution that the command started last; scenes of `Terminal` call its methods between two looks."""

    terminal: Terminal
    answer: Any = None

    def __post_init__(self) -> None:
        world = self.terminal.shop.world
        world.registry.put_manifest(SYSTEM, ENVIRONMENT, built_manifest())
        world.images.add_repository("shop-jobs")
        world.builds.add_project(
            PROJECT, "CODECOMMIT", "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop"
        )

    @property
    def build(self) -> str:
        return str(self.answer["build"])

    def select(self) -> None:
        started = self.terminal.started
        execution = {
            "id": started.arn,
            "name": started.name,
            "started_at": iso(self.terminal.shop.world.clock.now()),
        }
        event = {"step": "Select", "request": started.payload, "execution": execution}
        self.answer = build_images.run(event, self.terminal.shop.world.ports)

    def start(self, *images: str) -> None:
        for image in images:
            token = self.terminal.shop.world.executions.wait(f"token-{image}")
            event = {
                "step": "Start",
                **self._place(),
                "image": image,
                "token": token,
                "execution": "arn:build",
            }
            build_images.run(event, self.terminal.shop.world.ports)

    def push(self, image: str, version: int) -> None:
        """CodeBuild has done it."""
        world = self.terminal.shop.world
        world.images.push(REPOSITORIES[image], digest(version))
        world.builds.finish(self.build_id(image), exported={DIGEST: digest(version)})

    def fail(self, image: str, *lines: str) -> None:
        world = self.terminal.shop.world
        run = world.builds.finish(
            self.build_id(image), "FAILED", phase="BUILD", message="Error while executing command: make test"
        )
        assert run.log_group is not None
        assert run.log_stream is not None
        world.logs.write(run.log_group, run.log_stream, *lines)
        build_images.run(
            {"step": "Report", "reason": "FAILED in phase BUILD", **self._place(), "image": image},
            world.ports,
        )

    def publish(self, **built: int) -> None:
        entries = [{"image": image, "digest": digest(version)} for image, version in built.items()]
        event = {"step": "Publish", **self._place(), "built": entries}
        self.answer = publish_images.run(event, self.terminal.shop.world.ports)
        self.answer = {**self.answer, "build": self.answer["document"]["build"]}

    def give_up(self) -> None:
        event = {"step": "Fail", **self._place(), "built": [], "error": None}
        self.answer = {**self.answer, **publish_images.run(event, self.terminal.shop.world.ports)}

    def end(self) -> None:
        """The execution ends as its outcome says."""
        status = "FAILED" if self.answer["outcome"] == "Failed" else "SUCCEEDED"
        started = next(run for run in self.terminal.shop.world.executions.started if run.machine == "build")
        self.terminal.shop.world.executions.end(started.arn, status, json.dumps(self.answer["document"]))

    def build_id(self, image: str) -> str:
        started = self.terminal.shop.world.builds.started
        return next(run.id for run in started if run.variables["TIDEGATE_IMAGE"] == image)

    def _place(self) -> dict[str, str]:
        return {"system": SYSTEM, "build": self.build}
