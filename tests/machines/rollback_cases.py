"""The ways through `rollback`: as `deploy`, but in one wave, without waiting for ECS, and never undone."""

from __future__ import annotations

from tests.machines.case import (
    ABORTED,
    ACQUIRED,
    ACQUIRED_LATER,
    DENIED,
    DRIFTED,
    NOT_OWNER,
    NOT_RECORDED,
    REPORTED,
    ROLLED,
    STUCK,
    TAKEN,
    WAIT,
    Answers,
    Case,
    ended,
    planned,
    recorded,
)
from tests.machines.stage import Json

PLAN = ["PlanRelease", "Planned?"]
LOCK = [*PLAN, "AcquireLock", "StillPlanned?"]
REPLAN = ["PlanAgain", "Replanned?"]
BACK_1 = ["RollBackServices", "RollService", "RolledBack?"]
BACK_2 = ["RollBackServices", "RollService", "RollService", "RolledBack?"]
SUCCEED = ["RecordSuccess", "Recorded?", "Succeeded"]
CONCLUDE = ["Conclude", "Clean?", "Unchanged"]
TAKE_OVER = [*PLAN, "TakeOverLock", "TakenOver?"]
FAIL = ["RecordFailure", "Clean?"]
CLEAN = [*FAIL, "FailedClean"]
DIRTY = [*FAIL, "FailedDirty"]

READY: Answers = {"PlanRollback": [planned("Ready", ["api", "worker"])], "Acquire": [ACQUIRED]}
READY_ALONE: Answers = {"PlanRollback": [planned("Ready", ["api"])], "Acquire": [ACQUIRED]}
READY_LATER: Answers = {"PlanRollback": [planned("Ready", ["api"])], "Acquire": [ACQUIRED_LATER]}
RECOVER: Answers = {"PlanRollback": [planned("Recover", ["api"])]}
SUCCEEDED: Answers = {"Succeed": [recorded("Succeeded")]}
FAILED_CLEAN: Answers = {"Fail": [recorded("FailedClean")]}
FAILED_DIRTY: Answers = {"Fail": [recorded("FailedDirty")]}


def no_machine_to_roll_with(definition: Json) -> None:
    service = definition["States"]["RollBackServices"]["ItemProcessor"]["States"]["RollService"]
    service["Arguments"]["StateMachineArn"] += "-deleted"


def nothing_caught_while_rolling(definition: Json) -> None:
    no_machine_to_roll_with(definition)
    del definition["States"]["RollBackServices"]["ItemProcessor"]["States"]["RollService"]["Catch"]


def rollback(name: str, answers: Answers, path: list[str], outcome: str, **more: object) -> Case:
    return Case(name, "rollback", answers, path, more.pop("ending", ended(outcome)), **more)  # type: ignore[arg-type]


WENT_BACK = [
    rollback(
        "every service side by side",
        {**READY, "Start api": [ROLLED], "Start worker": [ROLLED], **SUCCEEDED},
        [*LOCK, *BACK_2, *SUCCEED],
        "Succeeded",
    ),
    rollback(
        "others had the lock in between",
        {
            **READY_LATER,
            "PlanAgain": [planned("Ready", ["worker"])],
            "Start worker": [ROLLED],
            **SUCCEEDED,
        },
        [*LOCK, *REPLAN, *BACK_1, *SUCCEED],
        "Succeeded",
    ),
    rollback(
        "what held the lock has taken itself back, and there is nothing left to do",
        {**READY_LATER, "PlanAgain": [planned("Ready")], **SUCCEEDED},
        [*LOCK, *REPLAN, "RollBackServices", "RolledBack?", *SUCCEED],
        "Succeeded",
    ),
    rollback(
        "a rollback that was cut off is finished",
        {**RECOVER, "TakeOver": [TAKEN], "Start api": [ROLLED], **SUCCEEDED},
        [*TAKE_OVER, *BACK_1, *SUCCEED],
        "Succeeded",
    ),
    rollback(
        "the dead run's functions are waited for",
        {**RECOVER, "TakeOver": [WAIT, TAKEN], "Start api": [ROLLED], **SUCCEEDED},
        [*TAKE_OVER, "AwaitOwnersEnd", "TakeOverLock", "TakenOver?", *BACK_1, *SUCCEED],
        "Succeeded",
    ),
]
CHANGED_NOTHING = [
    *(
        rollback(
            f"{outcome} at once",
            {"PlanRollback": [planned(outcome)], "Conclude": [recorded(outcome)]},
            [*PLAN, *CONCLUDE],
            outcome,
        )
        for outcome in ("NoChange", "Refused")
    ),
    *(
        rollback(
            f"{outcome} under the lock",
            {**READY_LATER, "PlanAgain": [planned(outcome)], "Conclude": [recorded(outcome)]},
            [*LOCK, *REPLAN, *CONCLUDE],
            outcome,
        )
        for outcome in ("NoChange", "Refused")
    ),
    rollback(
        "the wait for the lock was called off",
        {
            "PlanRollback": [planned("Ready", ["api"])],
            "Acquire": [ABORTED],
            **FAILED_CLEAN,
        },
        [*LOCK, *CLEAN],
        "FailedClean",
    ),
    rollback(
        "it was aborted before it was planned again",
        {**READY_LATER, "PlanAgain": [planned("Aborted")], **FAILED_CLEAN},
        [*LOCK, *REPLAN, *CLEAN],
        "FailedClean",
    ),
    rollback(
        "an abort comes before a refusal is recorded",
        {"PlanRollback": [planned("Refused")], "Conclude": [recorded("FailedClean")]},
        [*PLAN, "Conclude", "Clean?", "FailedClean"],
        "FailedClean",
    ),
    rollback(
        "the lock is somebody else's",
        {**RECOVER, "TakeOver": [NOT_OWNER], **FAILED_CLEAN},
        [*TAKE_OVER, *CLEAN],
        "FailedClean",
    ),
    *(
        rollback(
            f"there is nothing to recover, it had ended {outcome}",
            {"PlanRollback": [planned(outcome)], "Fail": [recorded(outcome)]},
            [*PLAN, *FAIL, outcome],
            outcome,
        )
        for outcome in ("FailedClean", "FailedDirty")
    ),
    *(
        rollback(
            f"the dead run had recorded {outcome}",
            {**RECOVER, "TakeOver": [NOT_OWNER], "Fail": [recorded(outcome)]},
            [*TAKE_OVER, *FAIL, "Unchanged"],
            outcome,
        )
        for outcome in ("Succeeded", "NoChange", "Refused")
    ),
]
DID_NOT_GO_BACK = [
    rollback(
        "a service does not go back, the other one does",
        {
            **READY,
            "Start api": [ROLLED],
            "Start worker": [STUCK],
            "Report worker": [REPORTED],
            **FAILED_DIRTY,
        },
        [*LOCK, *BACK_2, *DIRTY],
        "FailedDirty",
    ),
    rollback(
        "a service does not run what it went back to",
        {**READY_ALONE, "Start api": [ROLLED], "Succeed": [DRIFTED], **FAILED_DIRTY},
        [*LOCK, *BACK_1, "RecordSuccess", "Recorded?", *DIRTY],
        "FailedDirty",
    ),
]


def caught(
    name: str,
    state: str,
    answers: Answers,
    path: list[str],
    outcome: str,
    error: tuple[str, str] | None = ("OutsideError", "access denied"),
    **more: object,
) -> Case:
    last = {} if "Fail" in answers else {"Fail": [recorded(outcome)]}
    return rollback(name, {**answers, **last}, path, outcome, caught=(state, 0), error=error, **more)


CAUGHT = [
    caught(
        "planning fails", "PlanRelease", {"PlanRollback": [DENIED]}, ["PlanRelease", *CLEAN], "FailedClean"
    ),
    caught(
        "the lock cannot be asked for",
        "AcquireLock",
        {"PlanRollback": [planned("Ready", ["api"])], "Acquire": [DENIED]},
        [*PLAN, "AcquireLock", *CLEAN],
        "FailedClean",
    ),
    caught(
        "planning again fails",
        "PlanAgain",
        {**READY_LATER, "PlanAgain": [DENIED]},
        [*LOCK, "PlanAgain", *CLEAN],
        "FailedClean",
    ),
    caught(
        "the lock cannot be taken over",
        "TakeOverLock",
        {**RECOVER, "TakeOver": [DENIED]},
        [*PLAN, "TakeOverLock", *CLEAN],
        "FailedClean",
    ),
    caught(
        "no service can be rolled",
        "RollService",
        READY_ALONE,
        [*LOCK, "RollBackServices", "RollService", "RollUnknown", "RolledBack?", *DIRTY],
        "FailedDirty",
        error=None,
        change=no_machine_to_roll_with,
    ),
    caught(
        "the services break off",
        "RollBackServices",
        READY_ALONE,
        [*LOCK, "RollBackServices", "RollService", *DIRTY],
        "FailedDirty",
        error=("StepFunctions.", ""),
        change=nothing_caught_while_rolling,
    ),
    caught(
        "the success cannot be recorded",
        "RecordSuccess",
        {**READY_ALONE, "Start api": [ROLLED], "Succeed": [DENIED]},
        [*LOCK, *BACK_1, "RecordSuccess", *DIRTY],
        "FailedDirty",
    ),
    caught(
        "a refusal cannot be recorded",
        "Conclude",
        {"PlanRollback": [planned("Refused")], "Conclude": [DENIED]},
        [*PLAN, "Conclude", *CLEAN],
        "FailedClean",
    ),
    caught(
        "no outcome can be recorded",
        "RecordFailure",
        {"PlanRollback": [planned("Ready", ["api"])], "Acquire": [DENIED], "Fail": [DENIED]},
        [*PLAN, "AcquireLock", "RecordFailure", "NotRecorded"],
        "FailedDirty",
        ending=NOT_RECORDED,
    ),
]
ROLLBACK = [*WENT_BACK, *CHANGED_NOTHING, *DID_NOT_GO_BACK, *CAUGHT]
