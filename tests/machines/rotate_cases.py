"""The ways through `rotate` on which nothing breaks off: a new value, nothing, what a dead run left, an adoption."""

from __future__ import annotations

from typing import Any

from tidegate.domain.rotation import RotationPlan, version_of

from tests.machines.case import (
    ABORTED,
    ACQUIRED,
    ACQUIRED_LATER,
    BUSY,
    DEPLOYMENT,
    NOT_OWNER,
    ROLLED,
    ROLLED_BACK,
    SILENCE,
    SUPERSEDED,
    TAKEN,
    WAIT,
    Answers,
    Case,
    Ending,
    document,
    ended,
    gives,
    planned,
    recorded,
)
from tests.machines.stage import Json

# What is waited for in vain, in seconds: long enough for the function that waits to be called.
SHORTLY = 5
SECRET = "shop/production/database"
PREVIOUS = "5a1f9c0e-0d6b-4f5e-9f0a-6f1f3f1c2b7d"
AGREED_TO = "9f86d081884c7d65"
ROTATION = RotationPlan(
    secret=SECRET,
    kind="postgres",
    strategy="alternating",
    version=version_of(DEPLOYMENT),
    admin="shop/production/admin",
    users=("app_a", "app_b"),
    statements=AGREED_TO,
)

DIED_PROMOTED = "the dead run had promoted it: the value before is current, and its consumers start with it"
PLAN = ["PlanRotation", "Planned?"]
LOCK = [*PLAN, "AcquireLock", "StillPlanned?"]
REPLAN = ["PlanAgain", "Replanned?"]
BEGIN = ["Precheck", "Prechecked?", "BeginRotation", "Begun?"]
STAGE, SET, TEST, PROMOTE = (
    ["Stage", "Staged?"],
    ["Set", "IsSet?"],
    ["Test", "Tested?"],
    ["Promote", "Promoted?"],
)
NEW_VALUE = [*STAGE, *SET, *TEST, *PROMOTE]
ROLL_1 = ["RollWave", "RollService", "WaveHealthy?"]
ROLL_2 = ["RollWave", "RollService", "RollService", "WaveHealthy?"]
MAY_RETIRE = ["BeginRetire", "MayRetire?"]
RETIRE = ["AwaitOverlap", "Retire", "Retired?"]
SUCCEED = ["RecordSuccess", "Recorded?", "Succeeded"]
CONCLUDE = ["Conclude", "Clean?", "Unchanged"]
TAKE_OVER = [*PLAN, "TakeOverLock", "TakenOver?"]
RESTORE = ["RestoreCurrent", "Restored?", "BeginCompensation", "MoreToRevert?"]
REVERT_1 = ["RevertWave", "RevertService", "MoreToRevert?"]
REVERT_2 = ["RevertWave", "RevertService", "RevertService", "MoreToRevert?"]
FAIL = ["RecordFailure", "Clean?"]
CLEAN = [*FAIL, "FailedClean"]
DIRTY = [*FAIL, "FailedDirty"]


def to_rotate(outcome: str, *waves: list[str], **more: Any) -> Json:
    """What `plan_release` answers about a rotation."""
    final = outcome not in ("Ready", "Busy", "Recover", "Aborted", "Adoption")
    answer = {
        "rotation": None if final else ROTATION.payload(),
        "runner": "",
        "overlap": 30,
        "adopts": False,
        "previous": None,
        "retiring": False,
        **more,
    }
    if outcome == "Adoption":
        # It is no way in which a run ends.
        answer["document"] = None
    return planned(outcome, *waves, **answer)


def to_restore(*services: str) -> Json:
    """What `record` answers when the value before is current again."""
    waves = [{"services": list(services)}] if services else []
    return gives(outcome="Restored", document=document("Failed"), waves=waves, end_migration=False)


PRECHECKED = gives(
    outcome="Ready",
    reason="",
    previous=PREVIOUS,
    user="app_a",
    next_user="app_b",
    created_at="2026-03-01T10:00:00.000Z",
    sessions=0,
)
BEGUN = gives(outcome="Begun", reason="")
STAGED = gives(outcome="Staged", reason="")
IS_SET = gives(outcome="Set", reason="")
TESTED = gives(outcome="Tested", reason="")
PROMOTED = gives(outcome="Promoted", reason="")
MAY_BE_RETIRED = gives(outcome="Retire", reason="")
DRAINING = gives(outcome="Draining", reason="tasks that started before are still there: api")
RETIRED = gives(outcome="Retired", reason="", version=ROTATION.version)
RESTORED = gives(outcome="Restored", reason="")
NOT_PROMOTED = gives(outcome="NotPromoted", reason="")
MOVED = gives(outcome="Moved", reason="somebody else has moved AWSCURRENT, which is at version 7f3c")
NOTHING_TO_RESTORE = gives(outcome="NotPromoted", document=document("Failed"), waves=[], end_migration=False)
ABANDONED = gives(outcome="Abandoned")

# `api` is the canary, `worker` the rest; the run has the lock.
READY: Answers = {"PlanRotation": [to_rotate("Ready", ["api"], ["worker"])], "Acquire": [ACQUIRED]}
READY_ALONE: Answers = {**READY, "PlanRotation": [to_rotate("Ready", ["api"])]}
READY_LATER: Answers = {**READY, "Acquire": [ACQUIRED_LATER]}
BEGINS: Answers = {"Precheck": [PRECHECKED], "BeginRotation": [BEGUN]}
PROMOTES: Answers = {**BEGINS, "Stage": [STAGED], "Set": [IS_SET], "Test": [TESTED], "Promote": [PROMOTED]}
RETIRES: Answers = {
    "BeginRetire": [MAY_BE_RETIRED],
    "Retire": [RETIRED],
    "Rotated": [recorded("Rotated")],
}
ROLLS: Answers = {"Start api": [ROLLED], "Start worker": [ROLLED]}
RECOVER: Answers = {
    "PlanRotation": [to_rotate("Recover", ["api"], ["worker"], previous=PREVIOUS)],
    "TakeOver": [TAKEN],
}
RETIRING: Answers = {
    "PlanRotation": [to_rotate("Recover", ["api"], ["worker"], previous=PREVIOUS, retiring=True)],
    "TakeOver": [TAKEN],
}
ADOPTS: Answers = {"PlanRotation": [to_rotate("Ready", adopts=True)], "Acquire": [ACQUIRED]}
PLANS_ADOPTION: Answers = {"PlanRotation": [to_rotate("Adoption", adopts=True)]}
ADOPTED = gives(outcome="Adopted", reason="")
FAILED_CLEAN: Answers = {"Fail": [recorded("FailedClean")]}
FAILED_DIRTY: Answers = {"Fail": [recorded("FailedDirty")]}
# Nobody has had the new value; `api` and `worker` have.
NEVER_PROMOTED: Answers = {
    "Restore": [NOT_PROMOTED],
    "BeginRestoring": [NOTHING_TO_RESTORE],
    "Abandon": [ABANDONED],
    **FAILED_CLEAN,
}
TAKEN_BACK: Answers = {
    "Restore": [RESTORED],
    "BeginRestoring": [to_restore("api", "worker")],
    "Start api back": [ROLLED],
    "Start worker back": [ROLLED],
    "Abandon": [ABANDONED],
    **FAILED_CLEAN,
}
UNDO = [*RESTORE, "Abandon", *CLEAN]
TAKE_BACK = [*RESTORE, *REVERT_2, "Abandon", *CLEAN]


def rotate(name: str, answers: Answers, path: list[str], outcome: str, **more: object) -> Case:
    about = {"given": {"secret": SECRET}, **more}
    return Case(name, "rotate", answers, path, about.pop("ending", ended(outcome)), **about)  # type: ignore[arg-type]


ROTATED = [
    rotate(
        "a canary, then the rest",
        {**READY, **PROMOTES, **ROLLS, **RETIRES},
        [*LOCK, *BEGIN, *NEW_VALUE, *ROLL_1, *ROLL_1, *MAY_RETIRE, *RETIRE, *SUCCEED],
        "Rotated",
    ),
    rotate(
        "it bakes between the last consumer and the end of the old value",
        {
            **READY,
            "PlanRotation": [to_rotate("Ready", ["api"], ["worker"], bake=SHORTLY)],
            **PROMOTES,
            **ROLLS,
            "Bake": [SILENCE],
            **RETIRES,
        },
        [*LOCK, *BEGIN, *NEW_VALUE, *ROLL_1, *ROLL_1, "Bake", *MAY_RETIRE, *RETIRE, *SUCCEED],
        "Rotated",
        caught=("Bake", 0),
    ),
    rotate(
        "no service takes it",
        {**READY, "PlanRotation": [to_rotate("Ready")], **PROMOTES, **RETIRES},
        [*LOCK, *BEGIN, *NEW_VALUE, *MAY_RETIRE, *RETIRE, *SUCCEED],
        "Rotated",
    ),
    rotate(
        "tasks with the old value are waited for, twice",
        {
            **READY_ALONE,
            **PROMOTES,
            "Start api": [ROLLED],
            **RETIRES,
            "BeginRetire": [DRAINING, DRAINING, MAY_BE_RETIRED],
        },
        [
            *[*LOCK, *BEGIN, *NEW_VALUE, *ROLL_1],
            *[*MAY_RETIRE, "AwaitDrain"] * 2,
            *[*MAY_RETIRE, *RETIRE, *SUCCEED],
        ],
        "Rotated",
    ),
    rotate(
        "others had the lock in between, the consumers of the second plan start again",
        {
            **READY_LATER,
            "PlanAgain": [to_rotate("Ready", ["cron"])],
            **PROMOTES,
            "Start cron": [ROLLED],
            **RETIRES,
        },
        [*LOCK, *REPLAN, *BEGIN, *NEW_VALUE, *ROLL_1, *MAY_RETIRE, *RETIRE, *SUCCEED],
        "Rotated",
    ),
    rotate(
        "two rollouts of somebody else are awaited",
        {
            "PlanRotation": [to_rotate("Ready", ["api"], planned_fence=-1)],
            "Acquire": [ACQUIRED],
            "PlanAgain": [
                to_rotate("Busy", busy=BUSY),
                to_rotate("Busy", busy=BUSY),
                to_rotate("Ready", ["api"]),
            ],
            "Await": [ROLLED, ROLLED_BACK],
            **PROMOTES,
            "Start api": [ROLLED],
            **RETIRES,
        },
        [
            *[*LOCK, *REPLAN, "AwaitRollout", *REPLAN, "AwaitRollout", *REPLAN],
            *[*BEGIN, *NEW_VALUE, *ROLL_1, *MAY_RETIRE, *RETIRE, *SUCCEED],
        ],
        "Rotated",
    ),
]
CHANGED_NOTHING = [
    *(
        rotate(
            f"{outcome} at once",
            {"PlanRotation": [to_rotate(outcome)], "Conclude": [recorded(outcome)]},
            [*PLAN, *CONCLUDE],
            outcome,
        )
        # NoChange: an earlier run serves this moment of the schedule.
        for outcome in ("NoChange", "Refused", "Superseded")
    ),
    *(
        rotate(
            f"{outcome} under the lock",
            {**READY_LATER, "PlanAgain": [to_rotate(outcome)], "Conclude": [recorded(outcome)]},
            [*LOCK, *REPLAN, *CONCLUDE],
            outcome,
        )
        for outcome in ("Refused", "Superseded")
    ),
    rotate(
        "a newer one takes its place in the queue",
        {**READY, "Acquire": [SUPERSEDED], "Conclude": [recorded("Superseded")]},
        [*LOCK, *CONCLUDE],
        "Superseded",
    ),
    rotate(
        "an abort comes before a refusal is recorded",
        {"PlanRotation": [to_rotate("Refused")], "Conclude": [recorded("FailedClean")]},
        [*PLAN, "Conclude", "Clean?", "FailedClean"],
        "FailedClean",
    ),
    rotate(
        "the wait for the lock was called off",
        {**READY, "Acquire": [ABORTED], **FAILED_CLEAN},
        [*LOCK, *CLEAN],
        "FailedClean",
    ),
    rotate(
        "it was aborted before it was planned again",
        {**READY_LATER, "PlanAgain": [to_rotate("Aborted")], **FAILED_CLEAN},
        [*LOCK, *REPLAN, *CLEAN],
        "FailedClean",
    ),
]
RECOVERED = [
    rotate(
        DIED_PROMOTED,
        {**RECOVER, **TAKEN_BACK},
        [*TAKE_OVER, *TAKE_BACK],
        "FailedClean",
    ),
    rotate(
        "the dead run had not promoted it",
        {**RECOVER, **NEVER_PROMOTED},
        [*TAKE_OVER, *UNDO],
        "FailedClean",
    ),
    rotate(
        "the dead run had not begun: which version was current is not known",
        {**RECOVER, "PlanRotation": [to_rotate("Recover", ["api"])], **NEVER_PROMOTED},
        [*TAKE_OVER, *UNDO],
        "FailedClean",
    ),
    rotate(
        "the dead run's functions are waited for",
        {**RECOVER, "TakeOver": [WAIT, WAIT, TAKEN], **NEVER_PROMOTED},
        [
            *PLAN,
            *["TakeOverLock", "TakenOver?", "AwaitOwnersEnd"] * 2,
            *["TakeOverLock", "TakenOver?"],
            *UNDO,
        ],
        "FailedClean",
    ),
    rotate(
        "the dead run was past the point of no return: forward only",
        {**RETIRING, "Retire": [RETIRED], "Rotated": [recorded("Rotated")]},
        [*TAKE_OVER, *RETIRE, *SUCCEED],
        "Rotated",
    ),
    rotate(
        "the dead run was to prepare a secret",
        {**RECOVER, "PlanRotation": [to_rotate("Recover", adopts=True)], **FAILED_CLEAN},
        [*TAKE_OVER, *CLEAN],
        "FailedClean",
    ),
    rotate(
        "the lock is somebody else's",
        {**RECOVER, "TakeOver": [NOT_OWNER], **FAILED_CLEAN},
        [*TAKE_OVER, *CLEAN],
        "FailedClean",
    ),
    *(
        rotate(
            f"there is nothing to recover, it had ended {outcome}",
            {"PlanRotation": [to_rotate(outcome)], "Fail": [recorded(outcome)]},
            [*PLAN, *FAIL, outcome],
            outcome,
        )
        for outcome in ("FailedClean", "FailedDirty")
    ),
    *(
        rotate(
            f"there is nothing to recover, it had ended {outcome}",
            {"PlanRotation": [to_rotate(outcome)], "Conclude": [recorded(outcome)]},
            [*PLAN, *CONCLUDE],
            outcome,
        )
        for outcome in ("Rotated", "Succeeded")
    ),
    *(
        rotate(
            f"the dead run had recorded {outcome}",
            {**RECOVER, "TakeOver": [NOT_OWNER], "Fail": [recorded(outcome)]},
            [*TAKE_OVER, *FAIL, "Unchanged"],
            outcome,
        )
        for outcome in ("Rotated", "Succeeded", "NoChange", "Refused", "Superseded")
    ),
]


def told_of_adoption(*statements: str, digest: str | None, reason: str = "") -> tuple[Json, Ending]:
    said = {"reason": reason, "statements": list(statements), "hash": digest}
    no_change: Json = {"outcome": "NoChange", "deployment": DEPLOYMENT, "release": None, "services": {}}
    return gives(outcome="Adoption", **said), Ending("SUCCEEDED", {**no_change, **said})


ADOPTED_OR_NOT = [
    *(
        rotate(
            f"what a secret needs before it can be rotated: {name}",
            {**PLANS_ADOPTION, "Adoption": [answer]},
            [*PLAN, "PlanAdoption", "AdoptionPlanned"],
            "NoChange",
            ending=ending,
        )
        for name, (answer, ending) in {
            "two statements": told_of_adoption(
                'CREATE ROLE "app_owner" NOLOGIN', 'GRANT "app_owner" TO "app"', digest=AGREED_TO
            ),
            # JSONata makes one thing of a list of one, and nothing of an empty one.
            "one statement": told_of_adoption('CREATE ROLE "app_owner" NOLOGIN', digest=AGREED_TO),
            "nothing": told_of_adoption(digest=AGREED_TO, reason="nothing is to be prepared"),
            "nobody can say": told_of_adoption(digest=None, reason="the administrator may not create roles"),
        }.items()
    ),
    rotate(
        "a secret is prepared",
        {**ADOPTS, "Adopt": [ADOPTED], "Rotated": [recorded("Succeeded")]},
        [*LOCK, "Adopt", "Adopted?", *SUCCEED],
        "Succeeded",
    ),
    rotate(
        "others had the lock in between, a secret is prepared",
        {
            **ADOPTS,
            "Acquire": [ACQUIRED_LATER],
            "PlanAgain": [to_rotate("Ready", adopts=True)],
            "Adopt": [ADOPTED],
            "Rotated": [recorded("Succeeded")],
        },
        [*LOCK, *REPLAN, "Adopt", "Adopted?", *SUCCEED],
        "Succeeded",
    ),
    rotate(
        "the statements are others than those agreed to",
        {
            **ADOPTS,
            "Adopt": [gives(outcome="Changed", reason="it asks for other statements")],
            **FAILED_CLEAN,
        },
        [*LOCK, "Adopt", "Adopted?", *CLEAN],
        "FailedClean",
        error=("Adopt", "it asks for other statements"),
    ),
]
ROTATE = [*ROTATED, *CHANGED_NOTHING, *RECOVERED, *ADOPTED_OR_NOT]
