"""A transient error is tried again, and the run goes on as if nothing had been; not for ever."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.machines.build_cases import BUILDS
from tests.machines.case import Case, Json, ended, planned, raises, recorded
from tests.machines.deploy_cases import CLEAN, DEPLOY, PLAN
from tests.machines.migrate_cases import MIGRATE
from tests.machines.roll_cases import ROLL
from tests.machines.rollback_cases import ROLLBACK
from tests.machines.rotate_cases import DIED_PROMOTED, ROTATE
from tests.machines.rotate_failures import ROTATE_FAILED
from tests.machines.safety_cases import SAFETY
from tests.machines.stage import MACHINES, Stage, definition
from tests.machines.test_paths import ending
from tests.template.walking import flow_of, step_of

pytestmark = pytest.mark.emulator

THROTTLED = raises("TransientError", "throttled")
LOST = raises("ConflictError", "somebody wrote first")
ATTEMPTS = 7
"""The first one and MaxAttempts retries."""

# Whose answers are thrown at: together every call of each machine.
THROWN_AT: dict[tuple[str, str], list[str]] = {
    ("deploy", "two rollouts of somebody else are awaited"): [
        "Plan",
        "Acquire",
        "PlanAgain",
        "Await",
        "Succeed",
    ],
    ("deploy", "the dead run's functions are waited for"): ["TakeOver", "BeginCompensation", "Fail"],
    ("deploy", "Refused at once"): ["Conclude"],
    ("deploy", "the plan has changed since it was approved"): ["AwaitApproval", "Release"],
    ("deploy", "an alarm rings while it bakes"): ["Bake"],
    ("rollback", "others had the lock in between"): ["PlanRollback", "Acquire", "PlanAgain", "Succeed"],
    ("rollback", "the dead run's functions are waited for"): ["TakeOver"],
    ("rollback", "NoChange at once"): ["Conclude"],
    ("rollback", "a service does not run what it went back to"): ["Fail"],
    ("roll", "ECS rolls it back"): ["Start api", "Report api"],
    ("roll", "it is asked, and is healthy"): ["Smoke api"],
    ("build", "the only image fails"): ["Select", "Start api", "Report api", "Fail"],
    ("build", "an image that is scanned"): ["AwaitScans", "Publish"],
    ("migrate", "SQL files, in two invocations, behind a snapshot"): [
        "Prepare",
        "AwaitSnapshot",
        "Check",
        "Migrate",
        "GoOn",
        "Verify",
        "Record",
    ],
    ("migrate", "it takes too long, its statements are terminated"): ["StopTask", "Terminate"],
    ("migrate", "a command, verified by another, no credential"): ["RunTask Migrate", "RunTask Verify"],
    ("rotate", "two rollouts of somebody else are awaited"): [
        "PlanRotation",
        "Acquire",
        "PlanAgain",
        "Await",
    ],
    ("rotate", "no service takes it"): ["Precheck", "BeginRotation", "Stage", "Set", "Test", "Promote"],
    ("rotate", "tasks with the old value are waited for, twice"): ["BeginRetire", "Retire", "Rotated"],
    ("rotate", DIED_PROMOTED): ["TakeOver", "Restore", "BeginRestoring", "Abandon", "Fail"],
    ("rotate", "Refused at once"): ["Conclude"],
    ("rotate", "an alarm rings while it bakes"): ["Bake"],
    ("rotate", "a secret is prepared"): ["Adopt"],
    ("rotate", "what a secret needs before it can be rotated: two statements"): ["Adoption"],
}
CASES = {
    (case.machine, case.name): case
    for case in (*DEPLOY, *SAFETY, *ROLLBACK, *ROLL, *BUILDS, *MIGRATE, *ROTATE, *ROTATE_FAILED)
}


def thrown_at(case: Case, calls: list[str], error: Json) -> Case:
    """The first of these calls each fail once before they are answered."""
    return replace(case, answers={**case.answers, **{name: [error, *case.answers[name]] for name in calls}})


@pytest.mark.parametrize("machine_and_name", THROWN_AT, ids=": ".join)
def test_a_transient_error_changes_nothing_but_the_calls(
    stage: Stage, machine_and_name: tuple[str, str]
) -> None:
    case = CASES[machine_and_name]
    error = LOST if case.machine == "rollback" else THROTTLED
    retried = thrown_at(case, THROWN_AT[machine_and_name], error)
    run = stage.start(stage.machine(case.machine), retried.answers, case.given)
    described = run.ended()
    assert run.path == case.path
    assert ending(described) == case.ending
    assert Counter(run.called) == {name: len(answers) for name, answers in retried.answers.items()}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_that_is_retried_is_thrown_at(machine: str) -> None:
    retried = {
        step_of(state) or "Smoke"
        for flow in flow_of(machine, definition(machine)).all()
        for state in flow.states.values()
        if "lambda:invoke" in state.get("Resource", "") and "Retry" in state
    }
    assert {
        call.split()[0] for (of, _), calls in THROWN_AT.items() if of == machine for call in calls
    } == retried


def test_each_attempt_waits_with_a_token_of_its_own(stage: Stage) -> None:
    case = thrown_at(CASES["roll", "ECS completes it"], ["Start api"], THROTTLED)
    run = stage.start(stage.machine("roll"), case.answers, case.given)
    run.ended()
    assert run.payload("Start api", 0)["token"] != run.payload("Start api", 1)["token"]


def test_a_transient_error_that_stays_is_an_error(stage: Stage) -> None:
    answers = {
        "Plan": [planned("Ready", ["api"])],
        "Acquire": [THROTTLED] * ATTEMPTS,
        "Fail": [recorded("FailedClean")],
    }
    run = stage.start(stage.machine("deploy"), answers)
    assert ending(run.ended()) == ended("FailedClean")
    assert run.path == [*PLAN, "AcquireLock", *CLEAN]
    assert run.called.count("Acquire") == ATTEMPTS
    assert run.payload("Fail")["error"]["name"] == "TransientError"
