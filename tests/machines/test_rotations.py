"""What `rotate` hands from step to step, and in which order: never a value, and the value before first."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tidegate.domain.rotation import STEPS
from tidegate.domain.secret_rotation import SecretRotation

from tests.machines.case import (
    ACQUIRED_LATER,
    DENIED,
    DEPLOYMENT,
    FENCE,
    ROLLED,
    SUPERSEDED,
    Answers,
    Case,
    document,
    gives,
    recorded,
)
from tests.machines.rotate_cases import (
    DIED_PROMOTED,
    DRAINING,
    FAILED_CLEAN,
    MAY_BE_RETIRED,
    NEVER_PROMOTED,
    PRECHECKED,
    PREVIOUS,
    PROMOTES,
    READY,
    READY_ALONE,
    READY_LATER,
    RECOVER,
    RETIRES,
    ROLLS,
    ROTATE,
    ROTATION,
    SECRET,
    TAKEN_BACK,
    to_restore,
    to_rotate,
)
from tests.machines.rotate_failures import ROTATE_FAILED
from tests.machines.stage import SYSTEM, Run, Stage, definition
from tests.template.walking import reachable

CASES = [*ROTATE, *ROTATE_FAILED]
STATES = definition("rotate")["States"]
START = definition("rotate")["StartAt"]
EVERYTHING = "the second wave does not start"
emulator = pytest.mark.emulator


def of(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def played(stage: Stage, answers: Answers, **given: Any) -> Run:
    run = stage.start(stage.machine("rotate"), answers, {"secret": SECRET, **given})
    run.ended()
    return run


def of_the_secret(run: Run) -> list[tuple[str, Mapping[str, Any]]]:
    """The calls of `rotate_secret`."""
    return [(name, event) for name, event in run.calls if name in STEPS]


@emulator
def test_each_step_gets_the_plan_its_place_and_the_version_that_was_current(stage: Stage) -> None:
    """Guards `$merge` in every payload, and `previous` in what Precheck assigns. The step's own reading of it refuses
    what it does not know."""
    run = played(stage, of(EVERYTHING).answers)
    calls = of_the_secret(run)
    assert [name for name, _ in calls] == [
        *["Precheck", "Stage", "Set", "Test", "Promote"],
        *["Restore", "Abandon"],
    ]
    place = {"system": SYSTEM, "environment": run.script, "deployment": DEPLOYMENT}
    for name, event in calls:
        before = None if name == "Precheck" else PREVIOUS
        assert event == {**ROTATION.payload(), **place, "step": name, "previous": before}
        assert SecretRotation.from_payload({**event, "environment": "production"}).version == ROTATION.version


@emulator
@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("a canary, then the rest", 13),
        (EVERYTHING, 17),
        ("what a secret needs before it can be rotated: two statements", 2),
    ],
)
def test_nothing_is_handed_on_but_what_is_named(stage: Stage, name: str, calls: int) -> None:
    """Guards every payload against handing on a whole answer: what a function should never have said goes nowhere."""
    value = "correct-horse"
    answers = {
        step: [{"gives": {**answer["gives"], "password": value}} for answer in known]
        for step, known in of(name).answers.items()
    }
    run = stage.start(stage.machine("rotate"), answers, {"secret": SECRET})
    described = run.ended()
    assert len(run.calls) == calls
    assert value not in json.dumps(run.calls)
    assert value not in json.dumps(described, default=str)


@emulator
def test_the_fence_and_the_place_go_with_every_call_under_the_lock(stage: Stage) -> None:
    run = played(stage, of(EVERYTHING).answers)
    under_the_lock = [
        (name, event) for name, event in run.calls if name not in ("PlanRotation", "Acquire", *STEPS)
    ]
    assert len(under_the_lock) == 8
    place = {"system": SYSTEM, "environment": run.script, "deployment": DEPLOYMENT, "fence": FENCE}
    for name, event in under_the_lock:
        assert (name, {key: event[key] for key in place}) == (name, place)


@emulator
def test_what_precheck_found_is_recorded_before_anything_is_written(stage: Stage) -> None:
    run = played(stage, of("a canary, then the rest").answers)
    found = PRECHECKED["gives"]
    begin = run.payload("BeginRotation")
    handed_on = ("previous", "user", "next_user", "created_at", "sessions")
    assert {name: begin[name] for name in handed_on} == {name: found[name] for name in handed_on}
    assert begin["noticed"] == found["reason"]
    assert run.called.index("BeginRotation") < run.called.index("Stage")


@emulator
def test_the_canary_starts_again_before_the_rest_and_the_old_value_ends_last(stage: Stage) -> None:
    called = played(stage, of("a canary, then the rest").answers).called
    order = ["Promote", "Start api", "Start worker", "BeginRetire", "Retire", "Rotated"]
    assert [name for name in called if name in order] == order


@emulator
def test_the_version_that_is_current_in_the_end_is_the_one_recorded(stage: Stage) -> None:
    """Guards `version` in what Retire assigns: of a token it is another than the one that was promoted."""
    last = "0d1f5a7c-5b3f-5a55-8a43-0e6cb9a3c111"
    retired = gives(outcome="Retired", reason="", version=last)
    run = played(stage, {**READY, **PROMOTES, **ROLLS, **RETIRES, "Retire": [retired]})
    assert run.payload("Rotated")["version"] == last


@emulator
def test_the_second_plan_is_the_one_carried_out(stage: Stage) -> None:
    """Guards `rotation` in what PlanAgain assigns, and the fence."""
    changed = {**ROTATION.payload(), "users": ["app_c", "app_d"]}
    answers = {
        **READY_LATER,
        "PlanAgain": [to_rotate("Ready", rotation=changed)],
        **PROMOTES,
        **RETIRES,
    }
    run = played(stage, answers)
    assert {tuple(event["users"]) for _, event in of_the_secret(run)} == {("app_c", "app_d")}
    fence = ACQUIRED_LATER["gives"]["fence"]
    assert [run.payload(name)["fence"] for name in ("PlanAgain", "BeginRotation", "Rotated")] == [fence] * 3


@emulator
@pytest.mark.parametrize(
    ("name", "previous"),
    [
        (DIED_PROMOTED, PREVIOUS),
        ("the dead run was past the point of no return: forward only", PREVIOUS),
        ("the dead run had not begun: which version was current is not known", None),
    ],
)
def test_a_recovery_knows_what_the_dead_run_had_written_down(
    stage: Stage, name: str, previous: str | None
) -> None:
    """Guards `previous` and `rotation` in what PlanRotation assigns."""
    calls = of_the_secret(played(stage, of(name).answers, recover=DEPLOYMENT))
    assert calls
    assert {(event["previous"], event["version"]) for _, event in calls} == {(previous, ROTATION.version)}


@emulator
@pytest.mark.parametrize(
    ("answers", "of_restore", "of_record"),
    [
        ({**RECOVER, **TAKEN_BACK}, "Restored", "Restored"),
        ({**RECOVER, **NEVER_PROMOTED}, "NotPromoted", "NotPromoted"),
        # An earlier recovery had restored it, which the ledger knows and the secret's labels say no more.
        (
            {**RECOVER, **NEVER_PROMOTED, "BeginRestoring": [to_restore()]},
            "NotPromoted",
            "Restored",
        ),
    ],
    ids=["restored", "not promoted", "restored before"],
)
def test_it_is_recorded_with_what_was_found_when_it_was_restored(
    stage: Stage, answers: Answers, of_restore: str, of_record: str
) -> None:
    run = played(stage, answers)
    assert run.payload("BeginRestoring")["restored"] == of_restore
    assert run.payload("Fail")["restored"] == of_record


@emulator
def test_a_failure_before_anything_was_restored_says_so(stage: Stage) -> None:
    run = played(stage, {**READY, "Precheck": [DENIED], **FAILED_CLEAN})
    assert run.payload("Fail")["restored"] is None


@emulator
def test_a_service_that_did_not_roll_is_told_of_by_its_report(stage: Stage) -> None:
    """Guards the `null`s that every step which went well assigns: nothing of what was before is told instead."""
    assert played(stage, of(EVERYTHING).answers).payload("Fail")["error"] is None


@emulator
def test_tasks_that_ended_after_all_are_not_told_of(stage: Stage) -> None:
    answers: Answers = {
        **READY_ALONE,
        **PROMOTES,
        "Start api": [ROLLED],
        **RETIRES,
        "BeginRetire": [DRAINING, MAY_BE_RETIRED],
        "Rotated": [recorded("FailedDirty")],
        "Fail": [recorded("FailedDirty")],
    }
    assert played(stage, answers).payload("Fail")["error"] is None


@emulator
def test_an_execution_says_who_it_is_and_what_it_was_asked(stage: Stage) -> None:
    run = played(stage, {"PlanRotation": [DENIED], **FAILED_CLEAN}, reason="it leaked")
    plan, fail = run.payload("PlanRotation"), run.payload("Fail")
    asked = {"system": SYSTEM, "environment": run.script, "secret": SECRET, "reason": "it leaked"}
    assert plan["request"] == fail["request"] == asked
    assert plan["execution"] == fail["execution"]
    assert plan["execution"]["id"] == run.execution
    # Nothing is known of a run that was never planned.
    known = ("deployment", "system", "environment", "restored", "fence")
    assert [fail[name] for name in known] == [None] * 4 + [-1]


@emulator
def test_what_came_instead_in_the_queue_is_concluded_with(stage: Stage) -> None:
    conclude = played(stage, of("a newer one takes its place in the queue").answers).payload("Conclude")
    assert (conclude["document"], conclude["fence"]) == (SUPERSEDED["gives"]["document"], -1)


@emulator
def test_a_refusal_is_concluded_with_what_the_plan_says(stage: Stage) -> None:
    conclude = played(stage, of("NoChange at once").answers).payload("Conclude")
    assert conclude["document"] == document("NoChange")


@emulator
@pytest.mark.parametrize(
    "name",
    [
        "a canary, then the rest",
        EVERYTHING,
        "a secret is prepared",
        "what a secret needs before it can be rotated: two statements",
    ],
)
def test_with_a_runner_every_step_is_its_functions(stage: Stage, name: str) -> None:
    """Guards `FunctionName` of each: the stack's own function reaches no database of that environment."""
    case = of(name)
    (plan,) = case.answers["PlanRotation"]
    planned = {"gives": {**plan["gives"], "runner": runner(stage)}}
    machine = stage.machine("rotate", RotateSecretArn="nobodys")
    run = stage.start(machine, {**case.answers, "PlanRotation": [planned]}, {"secret": SECRET})
    run.ended()
    assert run.path == case.path
    assert of_the_secret(run)


def runner(stage: Stage) -> str:
    """The name of a runner whose function rotates secrets; made once."""
    client = stage.cloud.client("lambda")
    own = client.get_function_configuration(FunctionName=stage.functions["RotateSecretArn"])
    name = f"{own['FunctionName']}-runner"
    known = {function["FunctionName"] for function in client.list_functions()["Functions"]}
    if f"{name}-rotate_secret" in known:
        return name
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", (Path(__file__).parent / "stub.py").read_text())
    client.create_function(
        FunctionName=f"{name}-rotate_secret",
        Runtime="python3.11",
        Handler="app.handler",
        Role=own["Role"],
        Code={"ZipFile": archive.getvalue()},
        Environment={"Variables": own["Environment"]["Variables"]},
        Timeout=30,
    )
    return name


@emulator
def test_the_value_before_is_current_before_any_service_goes_back(stage: Stage) -> None:
    called = played(stage, of(EVERYTHING).answers).called
    order = ["Restore", "BeginRestoring", "Start api back", "Start worker back", "Abandon", "Fail"]
    found = [name for name in called if name in order]
    assert found[:2] == order[:2]
    assert sorted(found[2:4]) == order[2:4]
    assert found[4:] == order[4:]


@pytest.mark.parametrize("case", [case for case in CASES if "RevertWave" in case.path], ids=str)
def test_no_way_goes_back_before_the_value_does(case: Case) -> None:
    """What test_paths sees run."""
    before = case.path[: case.path.index("RevertWave")]
    assert before[-4:] == ["RestoreCurrent", "Restored?", "BeginCompensation", "MoreToRevert?"]
    assert not {"Promote", "RollWave", "Retire"} & set(case.path[len(before) :])


@pytest.mark.parametrize(
    ("state", "not_without"),
    [
        # Tasks that ECS starts read the current value: it has to be the one before.
        ("RevertWave", "RestoreCurrent"),
        ("RevertWave", "BeginCompensation"),
        # What is current may change only once the ledger knows what was.
        ("Stage", "BeginRotation"),
        ("Promote", "Test"),
        ("RollWave", "Promote"),
        ("Adopt", "AcquireLock"),
        ("Precheck", "AcquireLock"),
    ],
)
def test_no_way_leads_to_a_state_without_another_one(state: str, not_without: str) -> None:
    assert state in reachable(STATES, START)
    assert state not in reachable(STATES, START, frozenset({not_without}))


@pytest.mark.parametrize("origin", ["AwaitOverlap", "Retire", "RecordSuccess"])
def test_behind_the_point_of_no_return_it_only_goes_forward(origin: str) -> None:
    back = {"RestoreCurrent", "BeginCompensation", "RevertWave", "Abandon", "RollWave", "Promote"}
    assert not back & reachable(STATES, origin)


@pytest.mark.parametrize("origin", ["Stage", "Set", "Test", "Promote", "RollWave", "Bake"])
def test_no_failure_ends_without_a_look_at_what_is_current(origin: str) -> None:
    looks = frozenset({"RestoreCurrent", "AwaitOverlap"})
    assert not {"RecordFailure", "Conclude"} & reachable(STATES, origin, looks)
