"""From a push to a release, as stories of one image: built here, built by its team, or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tidegate.domain.build import Build, BuildOutcome
from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome
from tidegate.steps.resuming import awaited_build
from tidegate_local import pushing, sample

from tests.e2e import scenarios
from tests.e2e.pushing import Developer
from tests.e2e.scenarios import scenario, sweep
from tests.e2e.support import SampleCloud
from tests.e2e.waiting_machine import Waiter, waiter
from tests.support.waiting import wait_until

PROJECT = "sample-build"
CODEBUILD = "aws.codebuild"
DEPLOYED = Outcome.SUCCEEDED
# The project was made for builds that Tidegate starts; where a team does, the folder is a setting of it.
_FOLDER = [{"name": "TIDEGATE_CONTEXT", "value": "app", "type": "PLAINTEXT"}]


@scenario
def a_push_is_built_and_released(cloud: SampleCloud) -> None:
    """And one that touches no image is not."""
    with at_work(cloud) as developer:
        build, deployment = pushed_and_released(developer)
        assert (build.outcome, deployment.outcome) == (BuildOutcome.BUILT, DEPLOYED), build.explanation
        digest = developer.images(build)["app"].digest
        assert set(cloud.digests().values()) == {digest}
        described = cloud.client("ecr").describe_images(
            repositoryName=sample.REPOSITORY, imageIds=[{"imageTag": build.commit}]
        )["imageDetails"]
        assert [image["imageDigest"] for image in described] == [digest]
        words = _built(developer, developer.push("words", {"README.md": f"{uuid4()}\n"}))
        assert words.outcome is BuildOutcome.NO_CHANGE, words.explanation


@scenario
def a_push_that_does_not_build_is_reported(cloud: SampleCloud) -> None:
    """What it leaves in the repository is mended by whoever pushes next: each begins with the sample's own files."""
    with at_work(cloud) as developer:
        good = (developer.scratch.folder / "app" / "Dockerfile").read_text()
        commit = developer.push("broken", {"app/Dockerfile": f"{good}COPY missing-{uuid4()} /app/\n"})
        build = _built(developer, commit)
        assert build.outcome is BuildOutcome.FAILED, build.explanation
        announced = scenarios.heard(cloud, "Build Failed", commit)
        assert announced["images"]["app"]["phase"] == "BUILD", announced
        assert "missing-" in announced["images"]["app"]["reason"], "the failing line"


@scenario
def a_build_event_that_is_lost(cloud: SampleCloud) -> None:
    with at_work(cloud) as developer:
        cloud.control.silence(CODEBUILD)
        try:
            commit = developer.push("unheard", _version())

            def swept() -> bool:
                sweep(cloud)
                return _outcome(developer, commit) is not None

            wait_until(swept, what="the sweep to see the build", seconds=scenarios.PATIENCE, pause=1)
        finally:
            cloud.control.end_silence(CODEBUILD)
        build = _built(developer, commit)
        assert build.outcome is BuildOutcome.BUILT, build.explanation
        assert _released(developer, build).outcome is DEPLOYED


@scenario
def a_build_that_is_over_answers_at_once(cloud: SampleCloud) -> None:
    """Its event may have come before the token that it answers was there."""
    with at_work(cloud) as developer, waiter(cloud) as waiting:
        build, _ = pushed_and_released(developer)
        image = developer.images(build)["app"]
        assert image.build_id is not None
        answer = _invoke(cloud, "build_images", _start(build, image.image, waiting))
        assert answer == {"waiting_for": image.build_id}
        assert waiting.answer(scenarios.PATIENCE)["digest"] == image.digest
        assert not cloud.ledger.waiting_for(awaited_build(image.build_id)), "the token is forgotten"


@scenario
def a_teams_own_build_is_released(cloud: SampleCloud) -> None:
    with at_work(cloud) as developer:
        _need_project(developer)
        commit = _push_elsewhere(developer, _version())
        _start_by_hand(cloud, commit, environmentVariablesOverride=_FOLDER)
        assert _deployed(cloud, commit).outcome is DEPLOYED


@scenario
def a_teams_own_build_is_known_by_its_tag(cloud: SampleCloud) -> None:
    """It exports nothing; its image has the tag of its commit."""
    with at_work(cloud) as developer:
        _need_project(developer)
        commit = _push_elsewhere(developer, _version())
        digest = sample.publish(cloud.client("ecr"), sample.REPOSITORY, commit, commit)
        _start_by_hand(cloud, commit, buildspecOverride=_buildspec("echo done"))
        assert _deployed(cloud, commit).outcome is DEPLOYED
        assert set(cloud.digests().values()) == {digest}


@scenario
def a_teams_own_build_that_fails_is_reported(cloud: SampleCloud) -> None:
    with at_work(cloud) as developer:
        _need_project(developer)
        commit = _push_elsewhere(developer, _version())
        said = f"no-{uuid4()}"
        _start_by_hand(cloud, commit, buildspecOverride=_buildspec(f"echo {said}; exit 3"))
        announced = scenarios.heard(cloud, "Build Failed", commit)
        assert said in announced["images"]["app"]["reason"], "the failing line"


# --- how they are told


@contextmanager
def at_work(cloud: SampleCloud) -> Iterator[Developer]:
    """Somebody with a clone of the sample's repository."""
    with tempfile.TemporaryDirectory() as folder:
        yield Developer.of_sample(cloud, Path(folder))


def _version() -> dict[str, str]:
    """A tree that nobody has built."""
    return {"app/version": f"{uuid4()}\n"}


def _outcome(developer: Developer, commit: str) -> BuildOutcome | None:
    builds = developer.builds.history("sample", 20)
    return next((build.outcome for build in builds if build.commit == commit), None)


def _built(developer: Developer, commit: str) -> Build:
    """A build runs shell commands and git: it takes longer than what the stories else wait for."""
    return developer.built(commit, 2 * scenarios.PATIENCE)


def _released(developer: Developer, build: Build) -> Deployment:
    done = _deployed(developer.cloud, build.commit)
    assert done.execution == build.deployments[sample.ENVIRONMENT]
    return done


def pushed_and_released(developer: Developer) -> tuple[Build, Deployment]:
    """A version that nobody has built before."""
    build = _built(developer, developer.push("a version", _version()))
    assert build.outcome is BuildOutcome.BUILT, build.explanation
    return build, _released(developer, build)


def _deployed(cloud: SampleCloud, commit: str) -> Deployment:
    """The deployment of a commit, once it has ended and let go of the lock."""
    arrived = wait_until(
        lambda: next((entry for entry in cloud.history() if entry.commit == commit), None),
        what=f"a deployment of {commit[:7]}",
        seconds=scenarios.PATIENCE,
        pause=0.2,
    )
    done = scenarios._ended(cloud, arrived)
    cloud.wait_for_free_lock()
    return done


def _need_project(developer: Developer) -> None:
    """The first push of all makes the repository and the project."""
    codebuild = developer.cloud.client("codebuild")
    if not codebuild.batch_get_projects(names=[PROJECT])["projects"]:
        pushed_and_released(developer)


def _push_elsewhere(developer: Developer, files: Mapping[str, str]) -> str:
    """A commit on a branch that Tidegate does not follow."""
    commit = developer.scratch.commit("by the team", files)
    bare = pushing.bare_repository(developer.cloud.checkout, "sample")
    developer.scratch.git("push", "--quiet", str(bare), f"HEAD:refs/heads/team-{commit[:12]}")
    return commit


def _start_by_hand(cloud: SampleCloud, commit: str, **overrides: Any) -> None:
    cloud.client("codebuild").start_build(projectName=PROJECT, sourceVersion=commit, **overrides)


def _buildspec(command: str) -> str:
    return json.dumps({"version": 0.2, "phases": {"build": {"commands": [command]}}})


def _start(build: Build, image: str, waiting: Waiter) -> dict[str, Any]:
    """What `build` asks of the function when it starts a build."""
    return {
        "step": "Start",
        "system": build.system,
        "build": build.id,
        "image": image,
        "execution": waiting.execution,
        "token": waiting.token,
    }


def _invoke(cloud: SampleCloud, function: str, event: Mapping[str, Any]) -> Any:
    answer = cloud.client("lambda").invoke(
        FunctionName=f"tidegate-{function}", Payload=json.dumps(event).encode()
    )
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, body
    return body
