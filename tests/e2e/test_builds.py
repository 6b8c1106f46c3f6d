"""A push to the release of what it touches, without a container engine: images are simulated, all else is real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tidegate.domain.build import BuildOutcome, ImageStatus
from tidegate.domain.outcome import Outcome
from tidegate_local import sample

from tests.e2e.pushing import Developer
from tests.e2e.support import SWEPT_SECONDS, SampleCloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

PROJECT = "sample-build"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pushes")


@pytest.fixture(scope="module")
def first(shared_cloud: SampleCloud, workplace: Path) -> Developer:
    """Has pushed once: what follows are changes."""
    developer = Developer.of_sample(shared_cloud, workplace)
    build, deployment = developer.pushed_and_released("first")
    assert build.outcome is BuildOutcome.BUILT
    assert deployment.outcome is Outcome.SUCCEEDED
    return developer


@pytest.fixture
def developer(cloud: SampleCloud, first: Developer) -> Iterator[Developer]:
    yield first
    cloud.control.end_silence("aws.codebuild")


def test_a_push_ends_in_what_runs(developer: Developer, cloud: SampleCloud) -> None:
    build, deployment = developer.pushed_and_released("two", {"app/version": "2.0.0\n"})
    image = developer.images(build)["app"]
    assert (build.outcome, image.status, deployment.outcome) == (
        BuildOutcome.BUILT,
        ImageStatus.BUILT,
        Outcome.SUCCEEDED,
    )
    described = cloud.client("ecr").describe_images(
        repositoryName=sample.REPOSITORY, imageIds=[{"imageTag": build.commit}]
    )["imageDetails"][0]
    assert described["imageDigest"] == image.digest
    assert {image.tree_tag, build.commit} <= set(described["imageTags"])
    assert set(cloud.digests().values()) == {image.digest}
    release = cloud.ledger.release(sample.SYSTEM, deployment.release or 0)
    assert release is not None
    assert (release.digests, release.commit) == ({"app": image.digest}, build.commit)
    run = developer.codebuild_runs(PROJECT)[0]
    assert {entry["name"]: entry["value"] for entry in run["exportedEnvironmentVariables"]} == {
        "TIDEGATE_IMAGE": "app",
        "TIDEGATE_DIGEST": image.digest,
        "TIDEGATE_COMMIT": build.commit,
    }


def test_a_push_of_a_readme_builds_and_deploys_nothing(developer: Developer, cloud: SampleCloud) -> None:
    before = (cloud.history(1)[0].id, len(developer.codebuild_runs(PROJECT)))
    build = developer.built(developer.push("words", {"README.md": "more words\n"}))
    assert build.outcome is BuildOutcome.NO_CHANGE
    assert (cloud.history(1)[0].id, len(developer.codebuild_runs(PROJECT))) == before


def test_the_same_tree_is_not_built_again(developer: Developer, cloud: SampleCloud) -> None:
    """Back to what was built before: another commit, the same tree."""
    old = developer.built(developer.push("three", {"app/version": "3.0.0\n"}))
    developer.released(old)
    developer.released(developer.built(developer.push("four", {"app/version": "4.0.0\n"})))
    runs = len(developer.codebuild_runs(PROJECT))
    build, deployment = developer.pushed_and_released("three again", {"app/version": "3.0.0\n"})
    images = developer.images(build)
    assert images["app"].status is ImageStatus.REUSED
    assert images["app"].digest == developer.images(old)["app"].digest
    assert len(developer.codebuild_runs(PROJECT)) == runs
    assert deployment.outcome is Outcome.SUCCEEDED
    assert set(cloud.digests().values()) == {images["app"].digest}


def test_a_dockerfile_that_does_not_build_releases_nothing(developer: Developer, cloud: SampleCloud) -> None:
    good = (developer.scratch.folder / "app" / "Dockerfile").read_text()
    before, digests = cloud.history(1)[0].id, cloud.digests()
    build = developer.built(developer.push("broken", {"app/Dockerfile": f"{good}COPY missing /app/\n"}))
    image = developer.images(build)["app"]
    assert (build.outcome, image.status, image.phase) == (BuildOutcome.FAILED, ImageStatus.FAILED, "BUILD")
    assert "missing" in image.reason
    assert any("missing" in line for line in image.logs)
    assert (cloud.history(1)[0].id, cloud.digests()) == (before, digests)
    # Nothing of the broken push is lost: the next one, which only mends the Dockerfile's neighbour, builds it all.
    mended, deployment = developer.pushed_and_released(
        "mended", {"app/Dockerfile": good, "app/version": "5.0.0\n"}
    )
    assert (mended.outcome, deployment.outcome) == (BuildOutcome.BUILT, Outcome.SUCCEEDED)


def test_a_lost_event_of_codebuild_costs_a_minute(developer: Developer, cloud: SampleCloud) -> None:
    cloud.control.silence("aws.codebuild")
    build = developer.built(developer.push("unheard", {"app/version": "6.0.0\n"}), seconds=SWEPT_SECONDS)
    assert build.outcome is BuildOutcome.BUILT
    assert developer.released(build).outcome is Outcome.SUCCEEDED


def test_ten_events_of_a_teams_own_build_make_one_deployment(
    developer: Developer, cloud: SampleCloud
) -> None:
    """Nobody but the team starts the build: its state change alone releases it, once, and a FAILED that comes behind
    its SUCCEEDED changes nothing."""
    cloud.control.silence("aws.codebuild")
    commit = developer.scratch.commit("by the team", {"app/version": "7.0.0\n", ".team": "1\n"})
    developer.scratch.git("push", "--quiet", "local", "HEAD:refs/heads/team")
    codebuild = cloud.client("codebuild")
    # A project that a team triggers has its folder as a setting; this one was made for builds of ours.
    folder = [{"name": "TIDEGATE_CONTEXT", "value": "app", "type": "PLAINTEXT"}]
    started = codebuild.start_build(
        projectName=PROJECT, sourceVersion=commit, environmentVariablesOverride=folder
    )["build"]

    def over() -> bool:
        return bool(
            codebuild.batch_get_builds(ids=[started["id"]])["builds"][0]["buildStatus"] != "IN_PROGRESS"
        )

    wait_until(over, what="the team's build", seconds=60)
    heard = cloud.control.end_silence("aws.codebuild")[-1]
    deployments, done = len(cloud.history()), events_done(cloud)
    for status in ["SUCCEEDED"] * 10 + ["FAILED"]:
        detail = {**heard["detail"], "build-status": status}
        cloud.control.put_events({**heard, "id": str(uuid4()), "detail": detail})
    deployment = wait_until(
        lambda: next((entry for entry in cloud.history(5) if entry.commit == commit), None),
        what="the team's release",
        seconds=60,
    )
    assert cloud.ended(deployment).outcome is Outcome.SUCCEEDED
    wait_until(
        lambda: events_done(cloud) >= done + 11, what="all events to be looked at", seconds=60, pause=0.5
    )
    cloud.wait_for_free_lock()
    assert len(cloud.history()) == deployments + 1
    # The push to a branch that nobody follows built nothing.
    outcomes = {build.outcome for build in developer.builds.history("sample", 5) if build.commit == commit}
    assert outcomes == {BuildOutcome.NO_CHANGE}


def events_done(cloud: SampleCloud) -> int:
    """How many events `wake` has looked at so far."""
    logs, group = cloud.client("logs"), "/aws/lambda/tidegate-wake"
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, filterPattern='"done"')
    return sum('"message":"done"' in event["message"] for page in pages for event in page["events"])
