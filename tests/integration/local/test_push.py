"""`tidegate local push` against a running embedded cloud, with the real git; nothing of the orchestrator is in it."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tidegate_local.lifecycle import record
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.record import Cloud as Recorded
from tidegate_local.lifecycle.record import Options

from tests.integration.local.building_project import Project
from tests.integration.local.pushing_repository import WorkTree
from tests.support.command_line import CommandLine, Ended
from tests.support.embedded import Cloud, running_cloud

pytestmark = pytest.mark.emulator

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Place:
    """A running cloud that the command line takes for the one of its state folder."""

    cloud: Cloud
    checkout: Checkout

    def run(self, *words: str) -> Ended:
        variables = {"TIDEGATE_CHECKOUT": str(ROOT), "TIDEGATE_STATE_DIR": str(self.checkout.state)}
        return CommandLine(variables, ROOT).run("local", "push", "--no-wait", *words)

    def register(self, system: str, *, build: bool = True) -> None:
        project = {"build": {"project": f"{system}-build"}} if build else {}
        manifest: dict[str, Any] = {
            "system": system,
            "images": {"app": {"repository": f"{system}-app", **project}},
            "services": {"api": {"service": f"{system}-api", "image": "app"}},
            "environments": {"production": {"region": "us-east-1", "cluster": system}},
        }
        self.cloud.client("ssm").put_parameter(
            Name=f"/tidegate/{system}/production", Value=json.dumps(manifest), Type="String"
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    checkout = Checkout(ROOT, tmp_path_factory.mktemp("push"))
    checkout.server.mkdir()
    with running_cloud(checkout.server) as cloud:
        port = urlsplit(cloud.endpoint_url).port
        assert port is not None
        record.write(checkout.record, Recorded(Options(port=port), cloud.process.pid, deployed="test"))
        yield Place(cloud, checkout)


@pytest.fixture
def system(place: Place) -> str:
    name = f"shop-{uuid.uuid4().hex[:8]}"
    place.register(name)
    return name


@pytest.fixture
def tree(tmp_path: Path) -> WorkTree:
    made = WorkTree.make(tmp_path / "work")
    made.commit({"Dockerfile": "FROM scratch\nCOPY app /\n", "app": "1"})
    return made


def test_the_first_push_makes_what_is_missing(place: Place, system: str, tree: WorkTree) -> None:
    ended = place.run(system, str(tree.path), "--json")
    assert ended.exit_code == 0, ended
    bare = place.checkout.server / "repositories" / f"{system}.git"
    commit = tree.git("rev-parse", "HEAD")
    assert ended.document == {
        "system": system,
        "repository": str(bare),
        "branch": "main",
        "commit": commit,
        "pushed": True,
        "projects_created": [f"{system}-build"],
    }
    assert f"branch main created ({commit[:12]})" in ended.progress
    assert f"making CodeBuild project {system}-build from infrastructure/build.yaml" in ended.progress
    codecommit = place.cloud.client("codecommit")
    assert codecommit.get_branch(repositoryName=system, branchName="main")["branch"]["commitId"] == commit
    (project,) = place.cloud.client("codebuild").batch_get_projects(names=[f"{system}-build"])["projects"]
    assert project["source"]["location"].endswith(f"/v1/repos/{system}")
    assert tree.git("remote", "get-url", "local") == str(bare)

    again = place.run(system, str(tree.path), "--json")
    assert (again.exit_code, again.document["pushed"], again.document["projects_created"]) == (0, False, [])
    told = place.run(system, str(tree.path))
    assert told.output == f"nothing to push: main is {commit[:12]} already\n"

    other = place.run(system, str(tree.path), "--branch", "feature/x")
    assert f"pushed {commit[:12]} to feature/x of {system}" in other.output
    assert codecommit.list_branches(repositoryName=system)["branches"] == ["feature/x", "main"]


def test_what_was_pushed_builds(place: Place, system: str, tree: WorkTree) -> None:
    place.cloud.client("ecr").create_repository(repositoryName=f"{system}-app")
    assert place.run(system, str(tree.path)).exit_code == 0
    build = Project(place.cloud, f"{system}-build").run(sourceVersion=tree.git("rev-parse", "HEAD"))
    assert build["buildStatus"] == "SUCCEEDED", build["phases"]


def test_prepare_stops_before_the_push(place: Place, system: str, tree: WorkTree) -> None:
    ended = place.run(system, str(tree.path), "--prepare")
    assert ended.exit_code == 0, ended
    assert f"{system} is ready: git -C {tree.path} push local HEAD:refs/heads/main" in ended.output
    assert place.cloud.client("codecommit").list_branches(repositoryName=system)["branches"] == []
    said = tree.git("push", "local", "main")
    assert "remote: branch main created" in said


def test_uncommitted_changes_are_told(place: Place, system: str, tree: WorkTree) -> None:
    (tree.path / "app").write_text("2")
    assert (
        "warning: what is not committed is not part of the push" in place.run(system, str(tree.path)).progress
    )


def test_other_commits_there_are_not_replaced(place: Place, system: str, tree: WorkTree) -> None:
    tree.commit({"app": "2"})
    assert place.run(system, str(tree.path)).exit_code == 0
    tree.git("reset", "--quiet", "--hard", "HEAD~1")
    tree.commit({"app": "3"})
    ended = place.run(system, str(tree.path), "--json")
    assert (ended.exit_code, ended.error["code"]) == (1, "local_failed")
    assert "rejected" in ended.error["message"]
    assert "push --force local HEAD:refs/heads/main" in ended.error["hint"]


def test_what_cannot_be_pushed_is_said_with_its_mend(place: Place, system: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    no_repository = place.run(system, str(empty), "--json")
    assert (no_repository.exit_code, no_repository.error["field"]) == (2, "dir")
    assert "is not a git repository" in no_repository.error["message"]
    assert f"git -C {empty} init && git -C {empty} add" in no_repository.error["hint"]

    tree = WorkTree.make(empty)
    assert "has no commit yet" in place.run(system, str(empty), "--json").error["message"]
    tree.commit({"inner/x": ""})
    inside = place.run(system, str(empty / "inner"), "--json")
    assert f"inside the repository {empty}" in inside.error["message"]
    assert place.run(system, str(tmp_path / "nowhere"), "--json").error["field"] == "dir"
    assert place.run(system, str(empty), "--branch", "a..b", "--json").error["field"] == "branch"

    tree.git("remote", "set-url", "local", "/somewhere/else.git")
    other = place.run(system, str(empty), "--json").error
    assert "the remote local" in other["message"]
    assert f"git -C {empty} remote set-url local" in other["hint"]
    tree.git("remote", "remove", "local")
    tree.git("checkout", "--quiet", "--detach")
    assert place.run(system, str(empty), "--json").error["field"] == "branch"


def test_the_system_must_be_registered_and_built(place: Place, tree: WorkTree) -> None:
    unknown = place.run("nobody", str(tree.path), "--json")
    assert (unknown.exit_code, unknown.error["field"]) == (2, "system")
    assert "tidegate --local apply" in unknown.error["hint"]
    name = f"shop-{uuid.uuid4().hex[:8]}"
    place.register(name, build=False)
    assert "names no project" in place.run(name, str(tree.path), "--json").error["message"]


def test_without_a_running_cloud_it_says_how_to_start_one(tmp_path: Path, tree: WorkTree) -> None:
    variables = {"TIDEGATE_CHECKOUT": str(ROOT), "TIDEGATE_STATE_DIR": str(tmp_path / "state")}
    ended = CommandLine(variables, ROOT).run("local", "push", "shop", str(tree.path), "--json")
    assert (ended.exit_code, ended.error["code"]) == (1, "not_running")
