"""What the machines hand from step to step."""

from __future__ import annotations

import json

import pytest
from tidegate.domain.smoke import SmokeCheck

from tests.machines import build_cases
from tests.machines.case import (
    ACQUIRED_LATER,
    APPROVED,
    BUSY,
    DENIED,
    DEPLOYMENT,
    FENCE,
    REJECTED,
    RELEASED,
    ROLLED_BACK,
    ROLLED_TO_BE_ASKED,
    SMOKE,
    SUPERSEDED,
    TAKEN,
    UNHEALTHY,
    Case,
    Json,
    document,
    planned,
    recorded,
)
from tests.machines.deploy_cases import DEPLOY
from tests.machines.safety_cases import SAFETY
from tests.machines.stage import SYSTEM, Run, Stage

pytestmark = pytest.mark.emulator


def played(stage: Stage, name: str) -> Run:
    case: Case = next(case for case in (*DEPLOY, *SAFETY) if case.name == name)
    run = stage.start(stage.machine(case.machine, case.seconds), case.answers)
    run.ended()
    return run


def test_the_fence_and_the_place_go_with_every_call_under_the_lock(stage: Stage) -> None:
    run = played(stage, "the second wave fails, everything is taken back")
    under_the_lock = [event for name, event in run.calls if name not in ("Plan", "Acquire")]
    assert len(under_the_lock) == 9
    place = {"system": SYSTEM, "environment": run.script, "deployment": DEPLOYMENT, "fence": FENCE}
    for event in under_the_lock:
        assert {name: event[name] for name in place} == place


def test_waves_go_out_in_order_and_back_newest_first(stage: Stage) -> None:
    run = played(stage, "the second wave fails, everything is taken back")
    starts = [name for name in run.called if name.startswith("Start")]
    assert starts[0] == "Start api"
    assert sorted(starts[1:3]) == ["Start cron", "Start worker"]
    assert sorted(starts[3:5]) == ["Start cron back", "Start worker back"]
    assert starts[5] == "Start api back"


def test_the_second_plan_is_made_under_the_fence_that_was_acquired(stage: Stage) -> None:
    run = played(stage, "others had the lock in between, the second plan is rolled")
    fence = ACQUIRED_LATER["gives"]["fence"]
    assert [run.payload(name)["fence"] for name in ("PlanAgain", "Start worker", "Succeed")] == [fence] * 3


def test_the_rollout_that_is_in_the_way_is_the_one_awaited(stage: Stage) -> None:
    run = played(stage, "two rollouts of somebody else are awaited")
    assert run.payload("Await")["busy"] == BUSY
    assert run.payload("Await", 0)["token"] != run.payload("Await", 1)["token"]


def test_a_recovery_carries_on_under_the_fence_that_it_took(stage: Stage) -> None:
    run = played(stage, "what the dead run touched is taken back")
    fence = TAKEN["gives"]["fence"]
    assert [run.payload(n)["fence"] for n in ("BeginCompensation", "Start api back", "Fail")] == [fence] * 3


def test_every_wait_is_of_the_execution_that_waits(stage: Stage) -> None:
    run = played(stage, "one wave")
    assert run.payload("Acquire")["execution"] == run.execution
    child = run.payload("Start api")["execution"]
    client = stage.cloud.client("stepfunctions")
    given = json.loads(client.describe_execution(executionArn=child)["input"])
    # The console and EventBridge link a child to its parent by this name.
    assert given["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] == run.execution


def test_an_execution_says_who_it_is_and_what_it_was_asked(stage: Stage) -> None:
    answers = {"Plan": [DENIED], "Fail": [recorded("FailedClean")]}
    asked = {"reason": "a try", "images": {"app": {"digest": "sha256:0"}}}
    run = stage.start(stage.machine("deploy"), answers, asked)
    run.ended()
    plan, fail = run.payload("Plan"), run.payload("Fail")
    assert plan["request"] == fail["request"] == {"system": SYSTEM, "environment": run.script, **asked}
    assert plan["execution"] == fail["execution"]
    assert plan["execution"]["id"] == run.execution
    assert plan["execution"]["name"] == run.execution.rpartition(":")[2]
    assert plan["execution"]["started_at"].endswith("Z")
    # Nothing is known of a run that was never planned.
    assert [fail[name] for name in ("deployment", "system", "environment", "fence")] == [None] * 3 + [-1]


def test_a_run_that_never_had_the_lock_claims_no_fence(stage: Stage) -> None:
    answers = {
        "Plan": [planned("Ready", ["api"])],
        "Acquire": [DENIED],
        "Fail": [recorded("FailedClean")],
    }
    run = stage.start(stage.machine("deploy"), answers)
    run.ended()
    assert run.payload("Fail")["fence"] == -1
    assert run.payload("Fail")["deployment"] == DEPLOYMENT


def test_what_the_plan_says_is_concluded_with(stage: Stage) -> None:
    run = played(stage, "Refused under the lock")
    assert run.payload("Conclude")["document"] == document("Refused")
    assert run.payload("Conclude")["fence"] == ACQUIRED_LATER["gives"]["fence"]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("a person rejects it", REJECTED),
        ("a newer one comes while a person thinks", SUPERSEDED),
        ("a newer one takes its place in the queue", SUPERSEDED),
    ],
)
def test_what_a_run_that_waits_is_told_is_concluded_with(stage: Stage, name: str, answer: Json) -> None:
    """Guards `document` in what AwaitApproval and AcquireLock assign: nobody else knows who rejected it, or what came
    instead."""
    conclude = played(stage, name).payload("Conclude")
    assert (conclude["document"], conclude["fence"]) == (answer["gives"]["document"], -1)


def test_nothing_is_held_while_a_person_thinks_again(stage: Stage) -> None:
    """Guards `fence: -1` behind ReleaseLock: the fence of a lock that was given back is somebody else's to void."""
    answers = {
        "Plan": [planned("Approval", ["api"])],
        "AwaitApproval": [APPROVED, DENIED],
        "Acquire": [ACQUIRED_LATER],
        "PlanAgain": [planned("Approval", ["worker"])],
        "Release": [RELEASED],
        "Fail": [recorded("FailedClean")],
    }
    run = stage.start(stage.machine("deploy"), answers)
    run.ended()
    assert run.path[-6:] == [
        *["Replanned?", "ReleaseLock", "AwaitApproval"],
        *["RecordFailure", "Clean?", "FailedClean"],
    ]
    assert run.payload("PlanAgain")["fence"] == ACQUIRED_LATER["gives"]["fence"]
    assert run.payload("Fail")["fence"] == -1


def test_each_time_that_it_asks_for_the_lock_is_another_attempt(stage: Stage) -> None:
    """Guards `attempt`: a place in the queue that a run gave up is not one that it takes again. Each wait has a token
    of its own."""
    run = played(stage, "the plan has changed since it was approved")
    for step in ("AwaitApproval", "Acquire"):
        assert run.payload(step, 0)["token"] != run.payload(step, 1)["token"]
    assert run.payload("Acquire", 0)["attempt"] < run.payload("Acquire", 1)["attempt"]
    place = {
        "system": SYSTEM,
        "environment": run.script,
        "deployment": DEPLOYMENT,
        "execution": run.execution,
    }
    for step in ("AwaitApproval", "Release"):
        assert place.items() <= run.payload(step).items()


def test_a_bake_is_of_the_run_and_its_fence(stage: Stage) -> None:
    bake = played(stage, "an alarm rings while it bakes").payload("Bake")
    assert (bake["fence"], bake["deployment"], bake["system"]) == (FENCE, DEPLOYMENT, SYSTEM)
    assert bake["token"]


def test_an_approval_that_expired_says_so(stage: Stage) -> None:
    error = played(stage, "nobody approves it in time").payload("Fail")["error"]
    assert error == {"name": "ApprovalExpired", "cause": "nobody approved it within 1 s"}


def test_a_smoke_check_is_what_the_plan_says_and_whose_it_is(stage: Stage) -> None:
    """Guards the payload of CheckSmoke: its step refuses a key that it does not know, such as `runner`."""
    run = played(stage, "a service that has rolled is asked, and is healthy")
    payload = run.payload("Smoke api")
    place = {"system": SYSTEM, "environment": run.script, "deployment": DEPLOYMENT}
    assert payload == {name: value for name, value in SMOKE.items() if name != "runner"} | place
    assert SmokeCheck.from_payload(payload).url == ROLLED_TO_BE_ASKED["gives"]["smoke"]["url"]


def test_a_service_that_is_not_healthy_is_reported_with_what_it_said(stage: Stage) -> None:
    report = played(stage, "a service that has rolled is asked, and is not healthy").payload("Report api")
    said = UNHEALTHY["gives"]
    assert (report["outcome"], report["reason"]) == (said["outcome"], said["reason"])


def test_a_failure_is_reported_with_what_ecs_said(stage: Stage) -> None:
    run = played(stage, "the second wave fails, everything is taken back")
    report = run.payload("Report worker")
    said = ROLLED_BACK["gives"]
    assert (report["outcome"], report["reason"]) == (said["outcome"], said["reason"])
    assert report["direction"] == "Roll"


def test_a_long_cause_is_cut(stage: Stage) -> None:
    answers = {
        "Plan": [planned("Ready", ["api"])],
        "Acquire": [{"fails": ["Broken", "x" * 5000]}],
        "Fail": [recorded("FailedClean")],
    }
    run = stage.start(stage.machine("deploy"), answers)
    run.ended()
    assert run.payload("Fail")["error"] == {"name": "Broken", "cause": "x" * 1000}


def built(stage: Stage, name: str) -> Run:
    case: Case = next(case for case in build_cases.BUILDS if case.name == name)
    run = stage.start(stage.machine("build", case.seconds), case.answers)
    run.ended()
    return run


@pytest.mark.parametrize(
    ("name", "images"),
    [("all is built already", []), ("one image", ["api"]), ("three images", ["api", "worker", "web"])],
)
def test_what_was_built_is_published_in_the_order_it_was_selected(
    stage: Stage, name: str, images: list[str]
) -> None:
    """A list in every case: JSONata makes one thing of a list of one, and nothing of an empty one."""
    publish = built(stage, name).payload("Publish")
    assert publish["built"] == [{"image": image, "digest": build_cases.digest(image)} for image in images]


def test_a_build_that_exported_no_digest_is_published_without_one(stage: Stage) -> None:
    answer = {"outcome": "Built", "image": "api", "digest": None, "phase": None, "reason": ""}
    answers = {
        "Select": [build_cases.selected("api", scanned=True)],
        "Start api": [{"gives": answer}],
        "AwaitScans": [build_cases.SCANNED],
        "Publish": [build_cases.recorded("Built")],
    }
    run = stage.start(stage.machine("build"), answers)
    run.ended()
    for step in ("AwaitScans", "Publish"):
        assert run.payload(step)["built"] == [{"image": "api", "digest": None}]


def test_a_build_and_its_system_go_with_every_call(stage: Stage) -> None:
    run = built(stage, "one of three images fails, the others go on")
    calls = [event for name, event in run.calls if name != "Select"]
    assert len(calls) == 5
    for event in calls:
        assert (event["system"], event["build"]) == (run.script, build_cases.BUILD)


def test_every_wait_of_a_build_is_of_its_execution(stage: Stage) -> None:
    run = built(stage, "an image that is scanned")
    select, start, scans = run.payload("Select"), run.payload("Start api"), run.payload("AwaitScans")
    assert select["request"] == {"system": SYSTEM, "environment": run.script}
    assert (select["execution"]["id"], start["execution"], scans["execution"]) == (run.execution,) * 3
    assert select["execution"]["started_at"].endswith("Z")
    assert start["token"] != scans["token"]


def test_an_image_that_failed_is_reported_with_what_codebuild_said(stage: Stage) -> None:
    run = built(stage, "one of three images fails, the others go on")
    assert run.payload("Report api")["reason"] == "FAILED in phase BUILD: exit status 1"
    assert run.payload("Fail")["error"] is None
