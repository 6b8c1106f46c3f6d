"""`tidegate local push`, which follows a push the whole way, without a container engine."""

from __future__ import annotations

import pytest
from tidegate.domain.build import BuildOutcome

from tests.e2e.pushing import Developer
from tests.e2e.support import SampleCloud
from tests.support.command_line import Ended

pytestmark = pytest.mark.emulator

CRASHES = "sample-worker"


@pytest.fixture(scope="module")
def first(shared_cloud: SampleCloud, tmp_path_factory: pytest.TempPathFactory) -> Developer:
    """Goes on from what others have pushed to the shared cloud, and has released something of their own."""
    developer = Developer.of_sample(shared_cloud, tmp_path_factory.mktemp("pushes"))
    developer.pushed_and_released("begin", {"app/version": f"{developer.scratch.folder}\n"})
    return developer


@pytest.fixture
def developer(cloud: SampleCloud, first: Developer) -> Developer:
    first.scratch.git("checkout", "--quiet", "-B", "main")
    return first


def push(developer: Developer, *options: str) -> Ended:
    return developer.cloud.command.run(
        "local", "push", developer.system, str(developer.scratch.folder), *options
    )


def test_a_push_is_followed_to_what_runs(developer: Developer, cloud: SampleCloud) -> None:
    commit = developer.scratch.commit("two", {"app/version": "two\n"})
    ended = push(developer, "--json")
    assert ended.exit_code == 0, ended.progress
    story = ended.document
    assert (story["pushed"], story["commit"], story["branch"]) == (True, commit, "main")
    assert (story["build"]["outcome"], story["build"]["commit"]) == ("Built", commit)
    (deployment,) = story["deployments"]
    assert (deployment["outcome"], deployment["environment"]) == ("Succeeded", "production")
    assert cloud.history(1)[0].id == deployment["deployment"]
    assert set(cloud.digests().values()) == {story["build"]["images"]["app"]["digest"]}
    assert "ECS deployment completed" in ended.progress

    again = push(developer, "--json")
    assert (again.exit_code, again.document["pushed"]) == (0, False)
    assert not {"build", "deployments"} & set(again.document)


def test_a_release_that_fails_ends_it_with_its_code(developer: Developer, cloud: SampleCloud) -> None:
    cloud.control.set_fault(CRASHES, "crash")
    developer.scratch.commit("crashes", {"app/version": "crashes\n"})
    ended = push(developer)
    assert ended.exit_code == 10, ended.progress
    assert "FailedClean" in ended.output
    assert f"tidegate --local show {cloud.history(1)[0].id}" in ended.output


def test_a_build_that_fails_ends_it_with_its_reason(developer: Developer, cloud: SampleCloud) -> None:
    before = cloud.history(1)[0].id
    dockerfile = developer.scratch.folder / "app" / "Dockerfile"
    good = dockerfile.read_text()
    developer.scratch.commit("broken", {"app/Dockerfile": f"{good}COPY missing /app/\n"})
    ended = push(developer)
    dockerfile.write_text(good)
    assert ended.exit_code == 10, ended.progress
    assert "missing" in ended.output
    assert "nothing was released" in ended.output
    assert cloud.history(1)[0].id == before


def test_a_branch_that_nobody_follows_ends_at_once(developer: Developer, cloud: SampleCloud) -> None:
    before = cloud.history(1)[0].id
    developer.scratch.commit("aside", {"app/version": "aside\n"})
    developer.scratch.git("checkout", "--quiet", "-B", "aside")
    ended = push(developer)
    assert ended.exit_code == 0, ended.progress
    assert "no environment of sample follows aside" in ended.output
    assert cloud.history(1)[0].id == before


def test_a_time_out_leaves_the_build_to_itself(developer: Developer) -> None:
    commit = developer.scratch.commit("in a hurry", {"app/version": "in a hurry\n"})
    ended = push(developer, "--timeout", "1s", "--json")
    assert (ended.exit_code, ended.error["code"]) == (124, "timeout"), ended.progress
    build = developer.built(commit)
    assert build.outcome is BuildOutcome.BUILT
    developer.released(build)


def test_a_time_out_needs_somebody_who_waits(developer: Developer) -> None:
    ended = push(developer, "--timeout", "1s", "--no-wait", "--json")
    assert (ended.exit_code, ended.error["field"]) == (2, "--timeout")
