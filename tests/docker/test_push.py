"""From `git push` to running containers: the whole orchestrator under IAM enforcement, images and containers real."""

from __future__ import annotations

from pathlib import Path

import pytest
from tidegate.domain.build import BuildOutcome, ImageStatus
from tidegate.domain.outcome import Outcome

from tests.docker.orchestrator import Orchestrator
from tests.docker.pushed_system import PROJECT, STAY, SYSTEM, PushedSystem, running_containers
from tests.docker.shop import Images
from tests.e2e import monorepo, scenarios
from tests.e2e.own_system import OwnSystem
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.docker]

CRASH = """\
#!/bin/sh
echo reading the timetable
echo "no such pier: 7" >&2
exit 1
"""


@pytest.fixture(scope="module")
def ferry(orchestrator: Orchestrator, host: str, tmp_path_factory: pytest.TempPathFactory) -> PushedSystem:
    """Has been pushed and released once: what follows are changes."""
    scenarios.listen(orchestrator)
    ferry = PushedSystem.make(orchestrator, host, tmp_path_factory.mktemp("pushes"))
    build = ferry.git_push("one", {"app/version": "1.0.0\n"})
    assert ferry.developer.released(build).outcome is Outcome.SUCCEEDED
    return ferry


def test_a_push_ends_in_containers_of_what_was_built(ferry: PushedSystem) -> None:
    build = ferry.git_push("two", {"app/version": "2.0.0\n"})
    deployment = ferry.developer.released(build)
    assert (build.outcome, deployment.outcome) == (BuildOutcome.BUILT, Outcome.SUCCEEDED)
    digest = ferry.developer.images(build)["app"].digest
    assert digest is not None
    assert ferry.in_registry(build.commit) == ferry.in_ecr(build.commit) == digest
    release = ferry.cloud.ledger.release(SYSTEM, deployment.release or 0)
    assert release is not None
    assert (release.commit, release.digests) == (build.commit, {"app": digest})
    assert ferry.system.digests() == {"api": digest, "worker": digest}
    ferry.only_runs(digest)
    assert [task["containers"][0]["imageDigest"] for task in ferry.system.tasks("api")] == [digest] * 2
    assert ferry.answers() == ["2.0.0", "2.0.0"]


def test_a_push_of_a_readme_leaves_the_containers_alone(ferry: PushedSystem) -> None:
    containers = ferry.containers()
    definitions, runs = ferry.system.task_definitions(), ferry.developer.codebuild_runs(PROJECT)
    newest = _newest_deployment(ferry)
    build = ferry.git_push("words", {"README.md": "# Ferry\n"})
    assert (build.outcome, dict(build.deployments)) == (BuildOutcome.NO_CHANGE, {})
    assert len(ferry.developer.codebuild_runs(PROJECT)) == len(runs)
    assert _newest_deployment(ferry) == newest
    assert ferry.system.task_definitions() == definitions
    assert len(containers) == 3
    assert ferry.containers() == containers


@pytest.mark.parametrize(
    ("step", "line"),
    [("RUN echo no timetable >&2; false\n", "no timetable"), ("COPY missing /app/\n", "missing")],
    ids=["a command that fails", "a file that is missing"],
)
def test_a_dockerfile_that_does_not_build_deploys_nothing(ferry: PushedSystem, step: str, line: str) -> None:
    dockerfile = ferry.developer.scratch.folder / "app" / "Dockerfile"
    good, containers, newest = dockerfile.read_text(), ferry.containers(), _newest_deployment(ferry)
    build = ferry.git_push(f"broken: {line}", {"app/Dockerfile": good + step})
    ferry.developer.scratch.write({"app/Dockerfile": good})
    image = ferry.developer.images(build)["app"]
    assert (build.outcome, image.status, image.phase) == (BuildOutcome.FAILED, ImageStatus.FAILED, "BUILD")

    document = ferry.show(build.id, "--json").document
    assert document["outcome"] == "Failed"
    [failure] = document["failure"]["images"]
    assert (failure["image"], failure["phase"]) == ("app", "BUILD")
    assert any(line in said for said in failure["logs"])
    assert line in failure["reason"]
    # A terminal folds it as it likes.
    assert failure["reason"] in " ".join(ferry.show(build.id).output.split())

    heard = scenarios.heard(ferry.cloud, "Build Failed", build.id)
    assert heard["images"]["app"] == {"phase": "BUILD", "reason": failure["reason"]}
    assert (heard["system"], heard["commit"], heard["outcome"]) == (SYSTEM, build.commit, "Failed")

    assert _newest_deployment(ferry) == newest
    assert ferry.containers() == containers


def test_a_worker_that_exits_brings_all_services_back(ferry: PushedSystem) -> None:
    before, answers = ferry.system.digests(), ferry.answers()
    [old] = set(before.values())
    good = (ferry.developer.scratch.folder / "app" / "worker").read_text()
    build = ferry.git_push("crash", {"app/version": "3.0.0\n", "app/worker": CRASH})
    deployment = ferry.developer.released(build)
    ferry.developer.scratch.write({"app/worker": good})
    assert build.outcome is BuildOutcome.BUILT
    new = ferry.developer.images(build)["app"].digest
    assert deployment.outcome is Outcome.FAILED_CLEAN, deployment.explanation

    document = ferry.show(deployment.id, "--json").document
    assert (document["outcome"], document["failure"]["service"]) == ("FailedClean", "worker")
    task = document["failure"]["tasks"][0]
    assert (task["container"], task["exit_code"]) == ("worker", 1)
    # The first line is of the script that starts the worker; the order of the two outputs is Docker's.
    assert sorted(task["logs"]) == ["no such pier: 7", "reading the timetable", "worker 3.0.0"]

    assert new != old
    assert ferry.system.digests() == before
    ferry.only_runs(old)
    assert ferry.answers() == answers


def test_a_change_under_one_context_of_a_monorepo_rolls_one_service(
    orchestrator: Orchestrator, host: str, tmp_path: Path
) -> None:
    orchestrator.client("ecr").create_repository(
        repositoryName=monorepo.REPOSITORY, imageTagMutability="IMMUTABLE"
    )
    image = Images(orchestrator, host).push("by-hand", monorepo.REPOSITORY, more=STAY)
    system, developer = monorepo.begin(orchestrator, image, tmp_path)
    monorepo.check_the_first_push(system, developer)
    before = _one_container_each(orchestrator, host, system)
    monorepo.check_a_change_of_one(system, developer)
    after = _one_container_each(orchestrator, host, system)
    kept = [name for name in monorepo.NAMES if name != monorepo.CHANGED]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert after[monorepo.CHANGED] != before[monorepo.CHANGED]


def _one_container_each(orchestrator: Orchestrator, host: str, system: OwnSystem) -> dict[str, str]:
    """The container's id by the manifest's key, once each service has one, of the image that ECS names."""
    expected = sorted((system.services[key], digest) for key, digest in system.digests().items())

    def right() -> dict[tuple[str, str], str] | None:
        found = running_containers(orchestrator, host, system)
        return {value: key for key, value in found.items()} if sorted(found.values()) == expected else None

    found = wait_until(right, what=f"the containers of {system.name}", seconds=30)
    services = {name: key for key, name in system.services.items()}
    return {services[service]: identity for (service, _), identity in found.items()}


def _newest_deployment(ferry: PushedSystem) -> str:
    [newest] = ferry.cloud.ledger.history(SYSTEM, "production", 1)
    return newest.id
