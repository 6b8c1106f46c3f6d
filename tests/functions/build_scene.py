"""The shop with its image `app` built by Tidegate: a push to `main`, which CodeBuild makes an image of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tidegate.domain.build import DIGEST, Build, ImageBuild
from tidegate.ledger.builds import BuildLedger
from tidegate.ports import Scan
from tidegate.steps import build_images, publish_images
from tidegate.steps.resuming import awaited_build

from tests.functions import scene
from tests.functions.scene import CANARY, PLACE, REPOSITORY, SYSTEM, TOKEN, Scene, event

SELECT = event("build_images/select")
BUILD = str(event("build_images/start")["build"])
PUSHED, BEFORE = str(SELECT["request"]["commit"]), str(SELECT["request"]["before"])
BRANCH = str(SELECT["request"]["ref"])
PROJECT = "shop-build"
CODECOMMIT = ("CODECOMMIT", "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop")
GITHUB = ("GITHUB", "https://github.com/acme/shop.git")
FAILED_PHASE = {
    "status": "FAILED",
    "phase": "BUILD",
    "message": "COMMAND_EXECUTION_ERROR: Error while executing command: docker build. Reason: exit status 1",
}
NO_PHASE = {"status": "STOPPED", "phase": "BUILD"}


def named_in(name: str) -> str:
    """The build that an event of CodeBuild is about."""
    return str(event(name)["detail"]["build-id"]).rpartition(":build/")[2]


@dataclass
class BuildScene(Scene):
    @property
    def builds(self) -> BuildLedger:
        return BuildLedger(self.world.store, self.world.clock)

    @property
    def build(self) -> Build:
        found = self.builds.build(SYSTEM, BUILD)
        assert found is not None
        return found

    @property
    def image(self) -> ImageBuild:
        found = self.builds.image(BUILD, "app")
        assert found is not None
        return found

    def built_from(self, source: tuple[str, str] = CODECOMMIT, **environment: object) -> BuildScene:
        """Registered with how it is built; production follows `main`."""
        self.registered()
        manifest: Any = self.world.registry.manifest(*PLACE)
        manifest["images"]["app"].update(build={"project": PROJECT}, watch=["backend/**"])
        manifest["environments"]["production"].update(branch="main", **environment)
        self.world.registry.put_manifest(*PLACE, manifest)
        self.world.builds.add_project(PROJECT, *source, "main")
        return self

    def selected(self) -> BuildScene:
        answer = build_images.run(SELECT, self.world.ports)
        assert (answer["outcome"], answer["build"]) == ("Ready", BUILD)
        return self

    def asks_codebuild(self) -> BuildScene:
        self.asks_for_the_lock()
        return self

    def building(self, heard_of: str = "wake/codebuild_succeeded") -> BuildScene:
        """CodeBuild runs the build that the event names; its token waits."""
        token = f"{TOKEN}-of-the-build"
        start = {**event("build_images/start"), "token": token}
        self.world.executions.wait(token)
        build_images.run(start, self.world.ports)
        identity, given = named_in(heard_of), self.image.build_id or ""
        self.world.builds.builds[identity] = replace(self.world.builds.builds.pop(given), id=identity)
        (waiting,) = self.ledger.waiting_for(awaited_build(given))
        self.ledger.answered(given, waiting["execution"], token)
        told = {name: waiting[name] for name in ("token", "build", "image")}
        self.ledger.keep_token(awaited_build(identity), waiting["execution"], told)
        self.builds.save_image(BUILD, replace(self.image, build_id=identity), "building", identity)
        return self

    def built(self) -> BuildScene:
        """CodeBuild has pushed the image that the events name, and says so."""
        self.world.images.push(REPOSITORY, scene.DIGEST)
        self._ends(status="SUCCEEDED", exported={DIGEST: scene.DIGEST})
        return self

    def broken(self, **how: str) -> BuildScene:
        """Its last words have a password in them."""
        self._ends(**(how or FAILED_PHASE))
        run = self.world.builds.builds[self.image.build_id or ""]
        self._said(run.log_group or "", run.log_stream or "")
        return self

    def reported(self) -> BuildScene:
        build_images.run(event("build_images/report"), self.world.ports)
        return self

    def awaits_scans(self) -> BuildScene:
        token = f"{TOKEN}-of-the-scans"
        self.world.executions.wait(token)
        publish_images.run({**event("publish_images/await_scans"), "token": token}, self.world.ports)
        assert token not in self.world.executions.answers
        return self

    def scanned(self, **findings: int) -> BuildScene:
        self.world.images.set_scan(REPOSITORY, scene.DIGEST, Scan("COMPLETE", findings))
        return self

    def built_before(self) -> BuildScene:
        """The branch was built up to the commit before the push, which had its image."""
        pushed = event("build_images/select_a_push_that_touches_no_image")["request"]
        request = {**pushed, "commit": BEFORE}
        execution = {**SELECT["execution"], "name": "shop-before", "id": "arn:of-the-build-before"}
        self.world.images.push(REPOSITORY, scene.digest_of(scene.RUNNING), BEFORE)
        answer = build_images.run({**SELECT, "request": request, "execution": execution}, self.world.ports)
        publish = {"step": "Publish", "system": SYSTEM, "build": answer["build"], "built": []}
        assert publish_images.run(publish, self.world.ports)["outcome"] == "Built"
        self.world.executions.started.clear()
        return self

    def built_by_its_team(self, heard_of: str, **how: Any) -> BuildScene:
        """The project's own webhook started it, so that Tidegate hears of it only now."""
        run = self.world.builds.run(PROJECT, PUSHED)
        identity = named_in(heard_of)
        self.world.builds.builds[identity] = replace(
            self.world.builds.builds.pop(run.id), id=identity, source_version="refs/heads/main"
        )
        self.world.builds.finish(identity, **how)
        self._said(run.log_group or "", run.log_stream or "")
        return self

    def _ends(self, **how: Any) -> None:
        self.world.builds.finish(self.image.build_id or "", **how)

    def _said(self, group: str, stream: str) -> None:
        lines = ["Step 3/4 : RUN make", f"export API_PASSWORD={CANARY}", "make: *** [all] Error 2"]
        self.world.logs.write(group, stream, *lines)
