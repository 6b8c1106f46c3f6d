"""The ways through `deploy`."""

from __future__ import annotations

from tests.machines.case import (
    ACQUIRED,
    ACQUIRED_LATER,
    BUSY,
    DRIFTED,
    NOT_OWNER,
    REPORTED,
    ROLLED,
    ROLLED_BACK,
    STUCK,
    TAKEN,
    WAIT,
    Answers,
    Case,
    ended,
    planned,
    recorded,
    to_revert,
)

PLAN = ["PlanRelease", "Planned?"]
LOCK = [*PLAN, "AcquireLock", "StillPlanned?"]
REPLAN = ["PlanAgain", "Replanned?"]
ROLL_1 = ["RollWave", "RollService", "WaveHealthy?"]
ROLL_2 = ["RollWave", "RollService", "RollService", "WaveHealthy?"]
SUCCEED = ["RecordSuccess", "Recorded?", "Succeeded"]
CONCLUDE = ["Conclude", "Clean?", "Unchanged"]
COMPENSATE = ["BeginCompensation", "MoreToRevert?"]
REVERT_1 = ["RevertWave", "RevertService", "MoreToRevert?"]
REVERT_2 = ["RevertWave", "RevertService", "RevertService", "MoreToRevert?"]
FAIL = ["RecordFailure", "Clean?"]
CLEAN = [*FAIL, "FailedClean"]
DIRTY = [*FAIL, "FailedDirty"]

# `api` is to be rolled by a run that has the lock.
READY: Answers = {"Plan": [planned("Ready", ["api"])], "Acquire": [ACQUIRED]}
FAILED_CLEAN: Answers = {"Fail": [recorded("FailedClean")]}


def deploy(name: str, answers: Answers, path: list[str], outcome: str, **more: object) -> Case:
    return Case(name, "deploy", answers, path, more.pop("ending", ended(outcome)), **more)  # type: ignore[arg-type]


WENT_WELL = [
    deploy(
        "one wave",
        {**READY, "Start api": [ROLLED], "Succeed": [recorded("Succeeded")]},
        [*LOCK, *ROLL_1, *SUCCEED],
        "Succeeded",
    ),
    deploy(
        "two waves, two services in the second",
        {
            "Plan": [planned("Ready", ["api"], ["worker", "cron"])],
            "Acquire": [ACQUIRED],
            "Start api": [ROLLED],
            "Start worker": [ROLLED],
            "Start cron": [ROLLED],
            "Succeed": [recorded("Succeeded")],
        },
        [*LOCK, *ROLL_1, *ROLL_2, *SUCCEED],
        "Succeeded",
    ),
    deploy(
        "others had the lock in between, the second plan is rolled",
        {
            "Plan": [planned("Ready", ["api"])],
            "Acquire": [ACQUIRED_LATER],
            "PlanAgain": [planned("Ready", ["worker"], ["cron"])],
            "Start worker": [ROLLED],
            "Start cron": [ROLLED],
            "Succeed": [recorded("Succeeded")],
        },
        [*LOCK, *REPLAN, *ROLL_1, *ROLL_1, *SUCCEED],
        "Succeeded",
    ),
    deploy(
        "the lock was held while it was planned",
        {
            "Plan": [planned("Ready", ["api"], planned_fence=-1)],
            "Acquire": [ACQUIRED],
            "PlanAgain": [planned("Ready", ["api"])],
            "Start api": [ROLLED],
            "Succeed": [recorded("Succeeded")],
        },
        [*LOCK, *REPLAN, *ROLL_1, *SUCCEED],
        "Succeeded",
    ),
    deploy(
        "two rollouts of somebody else are awaited",
        {
            "Plan": [planned("Ready", ["api"], planned_fence=-1)],
            "Acquire": [ACQUIRED],
            "PlanAgain": [planned("Busy", busy=BUSY), planned("Busy", busy=BUSY), planned("Ready", ["api"])],
            "Await": [ROLLED, ROLLED_BACK],
            "Start api": [ROLLED],
            "Succeed": [recorded("Succeeded")],
        },
        [*LOCK, *REPLAN, "AwaitRollout", *REPLAN, "AwaitRollout", *REPLAN, *ROLL_1, *SUCCEED],
        "Succeeded",
    ),
]
CHANGED_NOTHING = [
    *(
        deploy(
            f"{outcome} at once",
            {"Plan": [planned(outcome)], "Conclude": [recorded(outcome)]},
            [*PLAN, *CONCLUDE],
            outcome,
        )
        for outcome in ("NoChange", "Refused", "Superseded")
    ),
    *(
        deploy(
            f"{outcome} under the lock",
            {
                "Plan": [planned("Ready", ["api"])],
                "Acquire": [ACQUIRED_LATER],
                "PlanAgain": [planned(outcome)],
                "Conclude": [recorded(outcome)],
            },
            [*LOCK, *REPLAN, *CONCLUDE],
            outcome,
        )
        for outcome in ("NoChange", "Refused", "Superseded")
    ),
]
COMPENSATED = [
    deploy(
        "the second wave fails, everything is taken back",
        {
            "Plan": [planned("Ready", ["api"], ["worker", "cron"], ["mailer"])],
            "Acquire": [ACQUIRED],
            "Start api": [ROLLED],
            "Start worker": [ROLLED_BACK],
            "Report worker": [REPORTED],
            "Start cron": [ROLLED],
            "BeginCompensation": [to_revert(["worker", "cron"], ["api"])],
            "Start worker back": [ROLLED],
            "Start cron back": [ROLLED],
            "Start api back": [ROLLED],
            **FAILED_CLEAN,
        },
        [*LOCK, *ROLL_1, *ROLL_2, *COMPENSATE, *REVERT_2, *REVERT_1, *CLEAN],
        "FailedClean",
    ),
    deploy(
        "a service cannot be taken back, the others are",
        {
            "Plan": [planned("Ready", ["api"], ["worker"])],
            "Acquire": [ACQUIRED],
            "Start api": [ROLLED],
            "Start worker": [STUCK],
            "BeginCompensation": [to_revert(["worker"], ["api"])],
            "Start worker back": [STUCK],
            "Report worker": [REPORTED, REPORTED],
            "Start api back": [ROLLED],
            "Fail": [recorded("FailedDirty")],
        },
        [*LOCK, *ROLL_1, *ROLL_1, *COMPENSATE, *REVERT_1, *REVERT_1, *DIRTY],
        "FailedDirty",
    ),
    deploy(
        "a service does not run what was rolled out",
        {
            **READY,
            "Start api": [ROLLED],
            "Succeed": [DRIFTED],
            "BeginCompensation": [to_revert(["api"])],
            "Start api back": [ROLLED],
            **FAILED_CLEAN,
        },
        [*LOCK, *ROLL_1, "RecordSuccess", "Recorded?", *COMPENSATE, *REVERT_1, *CLEAN],
        "FailedClean",
    ),
    deploy(
        "nothing was touched before the failure",
        {
            **READY,
            "Start api": [STUCK],
            "Report api": [REPORTED],
            "BeginCompensation": [to_revert()],
            **FAILED_CLEAN,
        },
        [*LOCK, *ROLL_1, *COMPENSATE, *CLEAN],
        "FailedClean",
    ),
]
RECOVERED = [
    deploy(
        "what the dead run touched is taken back",
        {
            "Plan": [planned("Recover", ["api"], ["worker"])],
            "TakeOver": [TAKEN],
            "BeginCompensation": [to_revert(["worker"], ["api"])],
            "Start worker back": [ROLLED],
            "Start api back": [ROLLED],
            **FAILED_CLEAN,
        },
        [*PLAN, "TakeOverLock", "TakenOver?", *COMPENSATE, *REVERT_1, *REVERT_1, *CLEAN],
        "FailedClean",
    ),
    deploy(
        "the dead run's functions are waited for",
        {
            "Plan": [planned("Recover", ["api"])],
            "TakeOver": [WAIT, WAIT, TAKEN],
            "BeginCompensation": [to_revert()],
            **FAILED_CLEAN,
        },
        [
            *PLAN,
            *["TakeOverLock", "TakenOver?", "AwaitOwnersEnd"] * 2,
            *["TakeOverLock", "TakenOver?"],
            *COMPENSATE,
            *CLEAN,
        ],
        "FailedClean",
    ),
    deploy(
        "the lock is somebody else's",
        {"Plan": [planned("Recover", ["api"])], "TakeOver": [NOT_OWNER], **FAILED_CLEAN},
        [*PLAN, "TakeOverLock", "TakenOver?", *CLEAN],
        "FailedClean",
    ),
    *(
        deploy(
            f"there is nothing to recover, it had ended {outcome}",
            {"Plan": [planned(outcome)], "Fail": [recorded(outcome)]},
            [*PLAN, *FAIL, outcome],
            outcome,
        )
        for outcome in ("FailedClean", "FailedDirty")
    ),
    *(
        deploy(
            f"the dead run had recorded {outcome}",
            {
                "Plan": [planned("Recover", ["api"])],
                "TakeOver": [NOT_OWNER],
                "Fail": [recorded(outcome)],
            },
            [*PLAN, "TakeOverLock", "TakenOver?", *FAIL, "Unchanged"],
            outcome,
        )
        for outcome in ("Succeeded", "NoChange", "Refused", "Superseded")
    ),
]

DEPLOY = [*WENT_WELL, *CHANGED_NOTHING, *COMPENSATED, *RECOVERED]
