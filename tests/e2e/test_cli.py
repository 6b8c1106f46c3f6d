"""The command line against the real template, state machines and functions, in the embedded cloud."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from tidegate.domain.ids import is_ulid
from tidegate.domain.outcome import Outcome
from tidegate_local import sample

from tests.e2e.support import SWEPT_SECONDS, SampleCloud
from tests.support.command_line import Ended
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

PLACE = (sample.SYSTEM, sample.ENVIRONMENT)
UNKNOWN_DIGEST = f"sha256:{'0' * 64}"


def tidegate(cloud: SampleCloud, *words: str) -> Ended:
    """With --json, and nothing else on standard output."""
    return cloud.command.run("--local", *words, "--json")


def release(cloud: SampleCloud, note: str, *words: str) -> Ended:
    build = cloud.push(note)
    return tidegate(cloud, "deploy", *PLACE, "--commit", build.commit, "--wait", *words)


def status(cloud: SampleCloud) -> dict[str, Any]:
    [entry] = tidegate(cloud, "status", *PLACE).document
    return dict(entry)


def digests(entry: dict[str, Any]) -> set[str]:
    return {service["digest"] for service in entry["services"].values()}


def test_a_release_from_the_plan_to_the_history(cloud: SampleCloud) -> None:
    build = cloud.push("a plan first")
    words = ("--commit", build.commit, "--image", f"app={build.digest}")
    plan = tidegate(cloud, "plan", *PLACE, *words).document
    assert plan["outcome_if_run"] == "Succeeded"
    assert all(service["changed"] for service in plan["services"].values())

    ended = tidegate(cloud, "deploy", *PLACE, *words, "--reason", "by hand", "--wait")
    assert ended.exit_code == 0, ended.progress
    document = ended.document
    assert document["outcome"] == "Succeeded"
    assert document.keys() == {"outcome", "deployment", "release", "reason", "services"}
    assert is_ulid(document["deployment"])
    assert "api: " in ended.progress

    entry = status(cloud)
    assert (entry["release"], entry["lock"], entry["in_flight"]) == (document["release"], None, None)
    assert digests(entry) == {build.digest} == set(cloud.digests().values())
    newest = tidegate(cloud, "history", *PLACE, "--limit", "1").document[0]
    assert (newest["deployment"], newest["commit"], newest["reason"]) == (
        document["deployment"],
        build.commit,
        "by hand",
    )
    assert newest["actor"].startswith("arn:aws:")

    again = tidegate(cloud, "deploy", *PLACE, *words, "--wait")
    assert (again.exit_code, again.document["outcome"]) == (0, "NoChange")


def test_a_crash_is_explained_and_everything_is_back(cloud: SampleCloud) -> None:
    assert release(cloud, "good before the crash").exit_code == 0
    before = status(cloud)
    cloud.control.set_fault("sample-worker", "crash")
    ended = release(cloud, "crashes")
    assert (ended.exit_code, ended.document["outcome"]) == (10, "FailedClean")
    after = status(cloud)
    assert (digests(after), after["release"], after["lock"]) == (digests(before), before["release"], None)

    shown = tidegate(cloud, "show", ended.document["deployment"]).document
    assert shown["outcome"] == "FailedClean"
    assert shown["failure"]["service"] == "worker"
    task = shown["failure"]["tasks"][0]
    assert (task["container"], task["exit_code"]) == ("worker", 1)
    assert task["reason"]
    assert task["logs"]
    human = cloud.command.run("--local", "show", ended.document["deployment"])
    assert "container worker exited with code 1" in human.output
    assert f"Runs now: {before['release']}" in human.output


def test_a_rollback_and_a_release_by_name(cloud: SampleCloud) -> None:
    first = release(cloud, "the one to go back to").document
    second = release(cloud, "the one to leave").document
    back = tidegate(cloud, "rollback", *PLACE, "--reason", "it loses orders", "--wait")
    assert (back.exit_code, back.document["release"]) == (0, first["release"])
    assert status(cloud)["release"] == first["release"]
    again = tidegate(cloud, "deploy", *PLACE, "--release", second["release"], "--wait")
    assert (again.exit_code, again.document["release"]) == (0, second["release"])
    named = cloud.command.run(
        "--local", "rollback", *PLACE, "--to", first["release"], "--reason", "by name", "--wait"
    )
    assert named.exit_code == 0
    assert named.output.splitlines()[-1].strip().startswith("worker: ")


def test_what_is_refused_exits_30_with_the_reason(cloud: SampleCloud) -> None:
    refused = tidegate(cloud, "deploy", *PLACE, "--image", f"app={UNKNOWN_DIGEST}", "--wait")
    assert (refused.exit_code, refused.document["outcome"]) == (30, "Refused")
    assert UNKNOWN_DIGEST in refused.document["reason"]
    plan = tidegate(cloud, "plan", *PLACE, "--image", f"app={UNKNOWN_DIGEST}")
    assert (plan.exit_code, plan.document["outcome_if_run"]) == (0, "Refused")


def test_a_slip_exits_2_and_starts_nothing(cloud: SampleCloud) -> None:
    before = [deployment.id for deployment in cloud.history()]
    slips = [
        ("deploy", "sampel", "production", "--commit", "c"),
        ("deploy", "sample", "prod", "--commit", "c"),
        ("deploy", *PLACE),
        ("rollback", *PLACE, "--to", "r999999999999", "--reason", "x"),
        ("show", "01JQ8Z5T3M9X4N7V2B6C1D0EFG"),
        ("status", "sampel"),
    ]
    for words in slips:
        ended = tidegate(cloud, *words)
        assert ended.exit_code == 2, words
        assert ended.error.keys() >= {"code", "message", "field", "hint"}
    assert [deployment.id for deployment in cloud.history()] == before


def test_another_stack_is_not_installed(cloud: SampleCloud) -> None:
    ended = tidegate(cloud, "--stack", "elsewhere", "history", *PLACE)
    assert (ended.exit_code, ended.error["code"]) == (1, "not_installed")
    started = tidegate(cloud, "--stack", "elsewhere", "deploy", *PLACE, "--commit", "c")
    assert (started.exit_code, started.error["code"]) == (1, "not_installed")


def test_followers_come_and_go_and_the_deployment_goes_on(cloud: SampleCloud) -> None:
    """One hangs, is stopped by hand and taken back by the sweep; who followed it hears of it to the end. Two more
    queue behind it: one follower's time runs out, the other, who is interrupted, has taken its place by then."""
    cloud.control.set_fault("sample-worker", "hang")
    commit = cloud.push("hangs, and is stopped by hand").commit
    follower = cloud.command.start("--local", "deploy", *PLACE, "--commit", commit, "--wait", "--json")
    impatient = None
    try:
        found = wait_until(
            lambda: next(
                (entry for entry in cloud.history(5) if entry.commit == commit and entry.fence), None
            ),
            what="the deployment to hold the lock",
            seconds=30,
        )
        entry = status(cloud)
        assert (entry["in_flight"], entry["lock"]["owner"]) == (found.id, found.id)
        plan = tidegate(cloud, "plan", *PLACE, "--commit", cloud.push("would queue").commit).document
        assert {gate["gate"]: gate["passes"] for gate in plan["gates"]}["lock"] is False

        late = release(cloud, "its follower has no time", "--timeout", "2s")
        assert (late.exit_code, late.error["code"]) == (124, "timeout")

        next_commit = cloud.push("its follower is interrupted").commit
        impatient = cloud.command.start("--local", "deploy", *PLACE, "--commit", next_commit, "--wait")
        wait_until(
            lambda: any(entry.commit == next_commit for entry in cloud.history(5)),
            what="the next one to begin",
            seconds=30,
        )
        impatient.send_signal(signal.SIGINT)
        _, told = impatient.communicate(timeout=30)
        assert impatient.returncode == 130
        assert "goes on" in told

        cloud.client("stepfunctions").stop_execution(executionArn=found.execution)
        output, told = follower.communicate(timeout=SWEPT_SECONDS)
        cloud.control.clear_fault("sample-worker")
    finally:
        for process in (follower, impatient):
            if process is not None:
                process.kill()
    document = json.loads(output)
    assert (follower.returncode, document["outcome"]) == (10, "FailedClean"), told
    assert document["deployment"] == found.id
    assert "without an outcome" in told
    assert cloud.ended(late.document["deployment"]).outcome is Outcome.SUPERSEDED
    [newest] = [entry for entry in cloud.history(5) if entry.commit == next_commit]
    assert cloud.ended(newest).outcome is Outcome.SUCCEEDED
