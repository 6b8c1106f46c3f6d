"""Pushes to the embedded cloud, as a developer makes them, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.domain.build import Build, ImageBuild
from tidegate.domain.deployment import Deployment
from tidegate.ledger.builds import BuildLedger
from tidegate_local import pushing

from tests.e2e.support import ENDS_SECONDS, ROOT, SampleCloud
from tests.support.scratch import Scratch
from tests.support.waiting import wait_until

APP = ROOT / "systems" / "sample" / "app"


def sources() -> dict[str, str]:
    """The sample's application, by its paths in a repository."""
    files = sorted(path for path in APP.rglob("*") if path.is_file())
    return {f"app/{path.relative_to(APP).as_posix()}": path.read_text() for path in files}


@dataclass(frozen=True)
class Developer:
    """Somebody with a clone of a system's repository."""

    cloud: SampleCloud
    system: str
    scratch: Scratch

    @classmethod
    def of_sample(cls, cloud: SampleCloud, folder: Path) -> Developer:
        """With the sample's application, not committed yet, on top of what others have pushed."""
        scratch = Scratch.begin(folder / "sample")
        bare = pushing.bare_repository(cloud.checkout, "sample")
        if bare.exists() and scratch.git("ls-remote", str(bare), "refs/heads/main"):
            scratch.git("fetch", "--quiet", str(bare), "main")
            scratch.git("reset", "--soft", "FETCH_HEAD")
        developer = cls(cloud, "sample", scratch)
        developer.scratch.write(sources())
        return developer

    @property
    def builds(self) -> BuildLedger:
        return BuildLedger(self.cloud.ports.store, self.cloud.ports.clock)

    def push(self, message: str, files: Mapping[str, str] | None = None) -> str:
        """Commit and `tidegate local push`, without waiting; the commit."""
        commit = self.scratch.commit(message, files)
        ended = self.cloud.command.run(
            "local", "push", self.system, str(self.scratch.folder), "--no-wait", "--json"
        )
        assert ended.exit_code == 0, ended.progress
        assert ended.document["pushed"] is True
        assert ended.document["commit"] == commit
        return commit

    def built(self, commit: str, seconds: float = ENDS_SECONDS) -> Build:
        """The newest build of that commit, once it has an outcome."""

        def look() -> Build | None:
            found = next(
                (build for build in self.builds.history(self.system, 20) if build.commit == commit), None
            )
            return found if found is not None and found.outcome is not None else None

        return wait_until(look, what=f"the build of {commit[:7]}", seconds=seconds, pause=0.2)

    def images(self, build: Build) -> dict[str, ImageBuild]:
        return {image.image: image for image in self.builds.images(build.id)}

    def released(self, build: Build, environment: str = "production") -> Deployment:
        """The deployment that a build started, once it has an outcome."""
        execution = build.deployments[environment]

        def look() -> Deployment | None:
            history = self.cloud.ledger.history(self.system, environment, 20)
            found = next((entry for entry in history if entry.execution == execution), None)
            return found if found is not None and found.outcome is not None else None

        return wait_until(look, what=f"the release of {build.commit[:7]}", seconds=ENDS_SECONDS, pause=0.2)

    def pushed_and_released(
        self, message: str, files: Mapping[str, str] | None = None
    ) -> tuple[Build, Deployment]:
        build = self.built(self.push(message, files))
        return build, self.released(build)

    def codebuild_runs(self, project: str) -> list[dict[str, Any]]:
        """What CodeBuild knows of a project's builds, newest first."""
        codebuild = self.cloud.client("codebuild")
        ids = codebuild.list_builds_for_project(projectName=project)["ids"]
        return list(codebuild.batch_get_builds(ids=ids)["builds"]) if ids else []
