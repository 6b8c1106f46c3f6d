"""Everything that `deploy` catches, once each. A non-transient error is not tried again: it has one answer."""

from __future__ import annotations

from tests.machines.case import (
    ACQUIRED_LATER,
    BUSY,
    DENIED,
    NOT_RECORDED,
    REPORTED,
    ROLLED,
    ROLLED_BACK,
    SILENCE,
    TAKEN,
    Answers,
    Case,
    planned,
    recorded,
    to_revert,
)
from tests.machines.deploy_cases import (
    CLEAN,
    COMPENSATE,
    DIRTY,
    FAILED_CLEAN,
    LOCK,
    PLAN,
    READY,
    REPLAN,
    REVERT_1,
    ROLL_1,
    deploy,
)
from tests.machines.stage import Json


def no_machine_to_roll_with(definition: Json) -> None:
    for wave, service in (("RollWave", "RollService"), ("RevertWave", "RevertService")):
        iteration = definition["States"][wave]["ItemProcessor"]["States"]
        iteration[service]["Arguments"]["StateMachineArn"] += "-deleted"


def nothing_caught_while_rolling(definition: Json) -> None:
    """Its iterations catch everything: only without that can the Map itself fail."""
    no_machine_to_roll_with(definition)
    del definition["States"]["RollWave"]["ItemProcessor"]["States"]["RollService"]["Catch"]


def nothing_caught_while_reverting(definition: Json) -> None:
    no_machine_to_roll_with(definition)
    del definition["States"]["RevertWave"]["ItemProcessor"]["States"]["RevertService"]["Catch"]


def caught(
    name: str,
    state: str,
    answers: Answers,
    path: list[str],
    error: tuple[str, str] | None = ("OutsideError", "access denied"),
    outcome: str = "FailedClean",
    place: int = 0,
    **more: object,
) -> Case:
    last = {} if "Fail" in answers or outcome == "Succeeded" else FAILED_CLEAN
    about = {"caught": (state, place), "error": error}
    return deploy(name, {**answers, **last}, path, outcome, **about, **more)


DEPLOY_CAUGHT = [
    caught("planning fails", "PlanRelease", {"Plan": [DENIED]}, ["PlanRelease", *CLEAN]),
    caught(
        "the lock cannot be asked for",
        "AcquireLock",
        {"Plan": [planned("Ready", ["api"])], "Acquire": [DENIED]},
        [*PLAN, "AcquireLock", *CLEAN],
    ),
    caught(
        "planning again fails",
        "PlanAgain",
        {"Plan": [planned("Ready", ["api"])], "Acquire": [ACQUIRED_LATER], "PlanAgain": [DENIED]},
        [*LOCK, "PlanAgain", *CLEAN],
    ),
    caught(
        "the lock cannot be taken over",
        "TakeOverLock",
        {"Plan": [planned("Recover", ["api"])], "TakeOver": [DENIED]},
        [*PLAN, "TakeOverLock", *CLEAN],
    ),
    caught(
        "somebody else's rollout takes too long",
        "AwaitRollout",
        {
            "Plan": [planned("Ready", ["api"])],
            "Acquire": [ACQUIRED_LATER],
            "PlanAgain": [planned("Busy", busy=BUSY)],
            "Await": [SILENCE],
        },
        [*LOCK, *REPLAN, "AwaitRollout", *CLEAN],
        error=("States.Timeout", ""),
        seconds=1,
    ),
    caught(
        "a service's roll is not known",
        "RollService",
        {**READY, "BeginCompensation": [to_revert()]},
        [*LOCK, "RollWave", "RollService", "RollUnknown", "WaveHealthy?", *COMPENSATE, *CLEAN],
        error=None,
        change=no_machine_to_roll_with,
    ),
    caught(
        "a service's way back is not known, the next wave goes back all the same",
        "RevertService",
        {
            "Plan": [planned("Recover", ["api"], ["worker"])],
            "TakeOver": [TAKEN],
            "BeginCompensation": [to_revert(["worker"], ["api"])],
            "Fail": [recorded("FailedDirty")],
        },
        [
            *[*PLAN, "TakeOverLock", "TakenOver?", *COMPENSATE],
            *["RevertWave", "RevertService", "RevertUnknown", "MoreToRevert?"] * 2,
            *DIRTY,
        ],
        error=None,
        outcome="FailedDirty",
        change=no_machine_to_roll_with,
    ),
    caught(
        "a wave breaks off",
        "RollWave",
        {**READY, "BeginCompensation": [to_revert()]},
        [*LOCK, "RollWave", "RollService", *COMPENSATE, *CLEAN],
        error=("StepFunctions.", ""),
        change=nothing_caught_while_rolling,
    ),
    caught(
        "the success cannot be recorded",
        "RecordSuccess",
        {
            **READY,
            "Start api": [ROLLED],
            "Succeed": [DENIED],
            "BeginCompensation": [to_revert(["api"])],
            "Start api back": [ROLLED],
        },
        [*LOCK, *ROLL_1, "RecordSuccess", *COMPENSATE, *REVERT_1, *CLEAN],
    ),
    caught(
        "compensation cannot begin",
        "BeginCompensation",
        {
            **READY,
            "Start api": [ROLLED_BACK],
            "Report api": [REPORTED],
            "BeginCompensation": [DENIED],
            "Fail": [recorded("FailedDirty")],
        },
        [*LOCK, *ROLL_1, "BeginCompensation", *DIRTY],
        outcome="FailedDirty",
    ),
    caught(
        "a wave on its way back breaks off",
        "RevertWave",
        {
            "Plan": [planned("Recover", ["api"])],
            "TakeOver": [TAKEN],
            "BeginCompensation": [to_revert(["api"])],
            "Fail": [recorded("FailedDirty")],
        },
        [*PLAN, "TakeOverLock", "TakenOver?", *COMPENSATE, "RevertWave", "RevertService", *DIRTY],
        error=("StepFunctions.", ""),
        outcome="FailedDirty",
        change=nothing_caught_while_reverting,
    ),
    caught(
        "a refusal cannot be recorded",
        "Conclude",
        {"Plan": [planned("Refused")], "Conclude": [DENIED]},
        [*PLAN, "Conclude", *CLEAN],
    ),
    caught(
        "no outcome can be recorded",
        "RecordFailure",
        {"Plan": [planned("Ready", ["api"])], "Acquire": [DENIED], "Fail": [DENIED]},
        [*PLAN, "AcquireLock", "RecordFailure", "NotRecorded"],
        ending=NOT_RECORDED,
    ),
]
