"""A shop that is built from a repository: `app` by CodeBuild, released to production by pushes to `main`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.build import COMMIT, DIGEST, IMAGE, SUCCEEDED, Build, ImageBuild
from tidegate.domain.deployment import Current
from tidegate.domain.source import codecommit
from tidegate.ledger.builds import BuildLedger
from tidegate.ports import Project
from tidegate.steps import build_images, publish_images, wake

from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, Answer, Shop, digest, manifest

PROJECT, MAIN, SOURCE = "shop-build", "refs/heads/main", codecommit("shop")
LOCATION = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop"
ARN = "arn:aws:codebuild:eu-west-1:123456789012:build/"


def environment(**more: Any) -> dict[str, Any]:
    return {"region": "eu-west-1", "cluster": "shop-cluster", "branch": "main", **more}


def image(key: str = "app", **more: Any) -> dict[str, Any]:
    """`{key}-` before the tag, and a folder of its own, but for `app`."""
    if key == "app":
        return {"repository": REPOSITORY, "tag": "{commit}", "build": {"project": PROJECT}, **more}
    build = {"project": PROJECT, "context": key}
    return {
        "repository": REPOSITORY,
        "tag": key + "-{commit}",
        "build": build,
        "watch": [f"{key}/**"],
        **more,
    }


def built_manifest(**more: Any) -> dict[str, Any]:
    return manifest(**{"images": {"app": image()}, "environments": {ENVIRONMENT: environment()}, **more})


@dataclass
class Yard(Shop):
    """Plays the machine `build`, one step at a time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.world.builds.add_project(PROJECT, "CODECOMMIT", LOCATION)
        self.register()

    @property
    def builds(self) -> BuildLedger:
        return BuildLedger(self.world.store, self.world.clock)

    @property
    def project(self) -> Project:
        return self.world.builds.known[PROJECT]

    def register(self, *names: str, system: str = SYSTEM, **more: Any) -> None:
        """The manifest, in all of its environments or in those that are named."""
        data = {**built_manifest(**more), "system": system}
        for name in names or data["environments"]:
            self.world.registry.put_manifest(system, name, data)

    def runs_release(self, version: int = 1, name: str = ENVIRONMENT) -> None:
        """A release is out there already."""
        known = self.ledger.ensure_release(SYSTEM, f"c{version}", {"app": digest(version)})
        current = Current(known.number, "0" * 26, self.ledger.now(), 1, {})
        self.world.store.transact([self.ledger.current_write(SYSTEM, name, current)])

    def select(
        self, commit: str = "d4", execution: Mapping[str, str] | None = None, **request: Any
    ) -> Answer:
        asked = {"system": SYSTEM, "commit": commit, **request}
        event = {"step": "Select", "request": asked, "execution": execution or self.execution("build")}
        return build_images.run(event, self.world.ports)

    def push(self, commit: str = "d4", execution: Mapping[str, str] | None = None, **request: Any) -> Answer:
        """What the machine is started with by a push to `main`."""
        asked = {"ref": MAIN, "repository": SOURCE, "trigger": "event", **request}
        return self.select(commit, execution, **asked)

    def build(self, selected: Answer) -> Build:
        found = self.builds.build(SYSTEM, selected["build"])
        assert found is not None
        return found

    def images(self, selected: Answer) -> dict[str, ImageBuild]:
        return {entry.image: entry for entry in self.builds.images(selected["build"])}

    def start(self, selected: Answer, key: str = "app", token: str | None = None) -> str:
        """CodeBuild's id of the build."""
        token = self.world.executions.wait(token or f"{selected['build']}-{key}")
        event = {
            "step": "Start",
            "system": SYSTEM,
            "build": selected["build"],
            "image": key,
            "execution": self.build(selected).execution,
            "token": token,
        }
        return str(build_images.run(event, self.world.ports)["waiting_for"])

    def finish(self, id_: str, status: str = SUCCEEDED, made: int = 4, key: str = "app", **more: Any) -> None:
        """CodeBuild pushes an image and exports what it made, or fails."""
        exported: dict[str, str] = {}
        if status == SUCCEEDED:
            self.world.images.push(REPOSITORY, digest(made))
            exported = {IMAGE: key, DIGEST: digest(made), COMMIT: self.world.builds.builds[id_].commit or ""}
        self.world.builds.finish(id_, status, **{"exported": exported, **more})

    def event(self, id_: str, status: str = SUCCEEDED, number: int = 1) -> Answer:
        event = {
            "id": f"event-{number}",
            "detail-type": "CodeBuild Build State Change",
            "source": "aws.codebuild",
            "time": "2026-03-02T09:00:00Z",
            "detail": {"build-status": status, "project-name": PROJECT, "build-id": f"{ARN}{id_}"},
        }
        return wake.run(event, self.world.ports)

    def answer(self, selected: Answer, key: str = "app") -> Answer | None:
        return self.world.executions.answers.get(f"{selected['build']}-{key}")

    def built(self, selected: Answer) -> list[dict[str, Any]]:
        """As the machine hands them on."""
        answers = {key: self.answer(selected, key) for key in selected["images"]}
        return [{"image": key, "digest": said["digest"]} for key, said in answers.items() if said]

    def report(self, selected: Answer, key: str = "app", reason: str = "FAILED") -> Answer:
        asked = {"system": SYSTEM, "build": selected["build"], "image": key, "reason": reason}
        return build_images.run({"step": "Report", **asked}, self.world.ports)

    def publish(self, selected: Answer, step: str = "Publish", **more: Any) -> Answer:
        event = {"step": step, "system": SYSTEM, "build": selected["build"], "built": self.built(selected)}
        return publish_images.run({**event, **more}, self.world.ports)

    def await_scans(self, selected: Answer, token: str = "scans") -> Answer:
        self.world.executions.wait(token)
        execution = self.build(selected).execution
        return self.publish(selected, "AwaitScans", token=token, execution=execution)

    def go_through(self, selected: Answer, made: int = 4) -> Answer:
        """Each image is built, and published."""
        for number, key in enumerate(selected["images"]):
            id_ = self.start(selected, key)
            self.finish(id_, made=made + number, key=key)
            self.event(id_)
        return self.publish(selected)

    def deployed(self) -> list[dict[str, Any]]:
        return [
            dict(started.payload) for started in self.world.executions.started if started.machine == "deploy"
        ]
