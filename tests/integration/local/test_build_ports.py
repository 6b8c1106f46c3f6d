"""The ports of builds on the embedded cloud: CodeBuild with real commands, CodeCommit over real git, tags in ECR."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tidegate.adapters.codebuild import CodeBuildBuilds
from tidegate.adapters.codecommit import CodeCommitSources
from tidegate.adapters.ecr import MANIFESTS, EcrImages
from tidegate.domain.build import DIGEST, MARKER, BuildRun, judge
from tidegate.domain.errors import NotFoundError, OutsideError
from tidegate.ports import Builds
from tidegate_local.codecommit.repositories import path_of

from tests.integration.local.building_project import Project
from tests.integration.local.pushing_repository import WorkTree
from tests.support.embedded import Cloud
from tests.support.fakes import FakeBuilds

pytestmark = pytest.mark.emulator


@pytest.fixture
def name() -> str:
    return f"shop-{uuid.uuid4().hex[:8]}"


SHA = "sha256:" + "1" * 64
# Fails where it is told to, and says which digest it "pushed" where it is told one.
BUILDSPEC = f"""
version: 0.2
env: {{shell: bash, exported-variables: [{DIGEST}]}}
phases:
  build:
    commands: ['{DIGEST}="$PUSHED"', 'test "$KIND" = good']
"""
Ends = Callable[[str], None]


class TestBuilds:
    """In memory and on the embedded CodeBuild, whose commands run."""

    @pytest.fixture(params=["fake", "embedded"])
    def world(
        self, request: pytest.FixtureRequest, cloud: Cloud, name: str, tmp_path: Path
    ) -> tuple[Builds, str, str, Ends]:
        """The port, a project's name, a commit, and what waits for the end of a build."""
        if request.param == "fake":
            fake = FakeBuilds()
            fake.add_project(name, variables={"KIND": "good", "PUSHED": SHA})

            def end(id_: str) -> None:
                bad = fake.builds[id_].variables["KIND"] != "good"
                fake.finish(
                    id_,
                    "FAILED" if bad else "SUCCEEDED",
                    exported={DIGEST: fake.builds[id_].variables["PUSHED"]},
                    phase="BUILD" if bad else None,
                    message='Error while executing command: test "$KIND" = good. exit status 1'
                    if bad
                    else "",
                )

            return fake, name, "5" * 40, end
        location = cloud.client("codecommit").create_repository(repositoryName=name)["repositoryMetadata"]
        tree = WorkTree.make(tmp_path / "work")
        commit = tree.commit({"README.md": "1"})
        tree.git("push", "--quiet", str(path_of(cloud.state_dir, name)), "main")
        variables = [{"name": "KIND", "value": "good"}, {"name": "PUSHED", "value": SHA}]
        project = Project.make(
            cloud,
            {"Effect": "Allow", "Action": "codecommit:GitPull", "Resource": "*"},
            source={"type": "CODECOMMIT", "location": location["cloneUrlHttp"], "buildspec": BUILDSPEC},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/amazonlinux-x86_64-standard:6.0",
                "computeType": "BUILD_GENERAL1_SMALL",
                "environmentVariables": variables,
            },
        )
        port = CodeBuildBuilds(lambda: cloud.client("codebuild"))
        assert port.projects([project.name])[project.name].location == location["cloneUrlHttp"]
        return port, project.name, commit, lambda id_: project.ended(id_) and None

    def ended(self, world: tuple[Builds, str, str, Ends], **variables: str) -> BuildRun:
        port, project, commit, end = world
        id_ = port.start(project, commit, {MARKER: "1" * 32, **variables}, uuid.uuid4().hex).id
        end(id_)
        return port.runs([id_])[id_]

    def test_a_good_build_says_what_it_made(self, world: tuple[Builds, str, str, Ends]) -> None:
        run = self.ended(world, EMPTY="")
        _, project, commit, _ = world
        assert (run.project, run.status, run.source_version, run.commit) == (
            project,
            "SUCCEEDED",
            commit,
            commit,
        )
        assert run.variables == {"KIND": "good", "PUSHED": SHA, MARKER: "1" * 32, "EMPTY": ""}
        assert run.exported == {DIGEST: SHA}
        assert run.ours
        assert (run.log_group, run.log_stream) == (f"/aws/codebuild/{project}", run.id.partition(":")[2])
        verdict = judge(run)
        assert verdict is not None
        assert (verdict.built, verdict.digest) == (True, SHA)

    def test_a_bad_build_says_where_it_failed(self, world: tuple[Builds, str, str, Ends]) -> None:
        run = self.ended(world, KIND="bad", PUSHED="")
        assert (run.status, run.phase) == ("FAILED", "BUILD")
        assert "exit status 1" in run.message
        verdict = judge(run)
        assert verdict is not None
        assert not verdict.built
        assert verdict.reason.startswith("FAILED in phase BUILD: Error while executing command: test")

    def test_a_token_starts_one_build(self, world: tuple[Builds, str, str, Ends]) -> None:
        port, project, commit, end = world
        token = uuid.uuid4().hex
        first = port.start(project, commit, {"A": "1", "B": "2"}, token)
        assert judge(first) is None
        end(first.id)
        assert port.start(project, commit, {"B": "2", "A": "1"}, token).id == first.id
        with pytest.raises(OutsideError):
            port.start(project, commit, {"A": "1"}, token)
        other = port.start(project, commit, {"A": "1"}, uuid.uuid4().hex)
        assert other.id != first.id
        end(other.id)

    def test_a_project_that_is_missing_is_not_started(self, world: tuple[Builds, str, str, Ends]) -> None:
        port, _, commit, _ = world
        with pytest.raises(NotFoundError) as raised:
            port.start("no-such", commit, {}, "token")
        assert raised.value.field == "project"
        assert port.projects(["no-such"]) == {}
        assert port.runs(["no-such:1"]) == {}


class TestSources:
    @pytest.fixture
    def sources(self, cloud: Cloud) -> CodeCommitSources:
        return CodeCommitSources(lambda: cloud.client("codecommit"))

    @pytest.fixture
    def tree(self, cloud: Cloud, name: str, tmp_path: Path) -> WorkTree:
        cloud.client("codecommit").create_repository(repositoryName=name)
        made = WorkTree.make(tmp_path / "work")
        made.git("remote", "add", "local", str(path_of(cloud.state_dir, name)))
        return made

    def test_a_tree_is_what_git_says(self, sources: CodeCommitSources, tree: WorkTree, name: str) -> None:
        commit = tree.commit(
            {"README.md": "1", "apps/api/Dockerfile": "FROM scratch", "apps/api/src/a b.py": ""}
        )
        tree.git("push", "--quiet", "local", "main")
        repository = f"codecommit:{name}"
        assert sources.tree(repository, commit, ".") == tree.git("rev-parse", f"{commit}^{{tree}}")
        for folder in ("apps", "apps/api", "apps/api/src"):
            wanted = tree.git("rev-parse", f"{commit}:{folder}")
            assert sources.tree(repository, commit, folder) == wanted
            assert sources.tree(repository, commit, f"./{folder}/") == wanted
        for missing in ("README.md", "apps/web", "apps/web/src", "apps/api/Dockerfile", "../x"):
            assert sources.tree(repository, commit, missing) is None
        assert sources.tree(repository, "0" * 40, ".") is None
        assert sources.tree("codecommit:no-such", commit, ".") is None
        assert sources.tree("codecommit:no such!", commit, ".") is None

    def test_changes_are_old_paths_and_new(
        self, sources: CodeCommitSources, tree: WorkTree, name: str
    ) -> None:
        before = tree.commit({"kept": "1", "changed": "1", "gone": "1", "old/name": "the same content\n" * 9})
        moved = {"old/name": None, "new/name": "the same content\n" * 9}
        after = tree.commit({"changed": "2", "gone": None, "come/ä b": "1", **moved})
        tree.git("push", "--quiet", "local", "main")
        repository = f"codecommit:{name}"
        changed = {"changed", "gone", "come/ä b", "old/name", "new/name"}
        assert set(sources.changes(repository, before, after) or ()) == changed
        assert set(sources.changes(repository, after, before) or ()) == changed
        assert sources.changes(repository, after, after) == []
        assert sources.changes(repository, "0" * 40, after) is None
        assert sources.changes(repository, before, "not a commit") is None
        assert sources.changes("codecommit:no-such", before, after) is None

    def test_many_changes_come_by_pages(self, sources: CodeCommitSources, tree: WorkTree, name: str) -> None:
        before = tree.commit({"README.md": "1"})
        after = tree.commit({f"many/{number}": "" for number in range(1000)})
        most = tree.commit({f"more/{number}": "" for number in range(4001)})
        tree.git("push", "--quiet", "local", "main")
        repository = f"codecommit:{name}"
        assert len(sources.changes(repository, before, after) or ()) == 1000
        assert len(sources.changes(repository, after, most) or ()) == 4001
        assert sources.changes(repository, before, most) is None


class TestTags:
    @pytest.fixture
    def ecr(self, cloud: Cloud, name: str) -> Any:
        client = cloud.client("ecr")
        client.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
        return client

    def push(self, ecr: Any, name: str, tag: str) -> str:
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFESTS[0], "config": {"digest": tag}})
        answer = ecr.put_image(
            repositoryName=name, imageManifest=manifest, imageManifestMediaType=MANIFESTS[0], imageTag=tag
        )
        return str(answer["image"]["imageId"]["imageDigest"])

    def test_a_release_tag_is_added_and_never_moved(self, ecr: Any, name: str) -> None:
        images = EcrImages(lambda: ecr)
        first, second = self.push(ecr, name, "tree-1"), self.push(ecr, name, "tree-2")
        assert images.tag(name, first, "c1") == first
        assert images.tag(name, first, "c1") == first
        assert images.tag(name, second, "c1") == first
        assert images.tag(name, second, "c2") == second
        (shown,) = ecr.describe_images(repositoryName=name, imageIds=[{"imageDigest": first}])["imageDetails"]
        assert sorted(shown["imageTags"]) == ["c1", "tree-1"]
        assert shown["imageManifestMediaType"] == MANIFESTS[0]
        assert images.tag(name, "sha256:" + "0" * 64, "c3") is None
        assert images.digest(name, "c3") is None
        assert images.tag("no-such", first, "c1") is None
