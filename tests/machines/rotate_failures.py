"""Everything that goes wrong in `rotate`, as data and as errors, once each.

Up to Promote nobody has the new value, and there is nothing to start again; from then on the value before is current
again first; behind BeginRetire there is no way back. What is told at the end is what failed first.
"""

from __future__ import annotations

from typing import Any

from tests.machines.case import (
    ABORTED,
    ALARMED,
    BUSY,
    DENIED,
    NOT_RECORDED,
    REPORTED,
    ROLLED,
    ROLLED_BACK,
    SILENCE,
    STUCK,
    Answers,
    Case,
    fails,
    gives,
    raises,
    recorded,
)
from tests.machines.rotate_cases import (
    ABANDONED,
    ADOPTS,
    BEGIN,
    BEGINS,
    CLEAN,
    DIRTY,
    DRAINING,
    FAILED_CLEAN,
    FAILED_DIRTY,
    IS_SET,
    LOCK,
    MAY_BE_RETIRED,
    MAY_RETIRE,
    MOVED,
    NEVER_PROMOTED,
    NEW_VALUE,
    NOT_PROMOTED,
    PLAN,
    PLANS_ADOPTION,
    PRECHECKED,
    PROMOTES,
    READY,
    READY_ALONE,
    READY_LATER,
    RECOVER,
    REPLAN,
    RESTORE,
    RESTORED,
    RETIRE,
    RETIRED,
    RETIRING,
    REVERT_1,
    ROLL_1,
    SET,
    SHORTLY,
    STAGE,
    STAGED,
    TAKE_BACK,
    TAKE_OVER,
    TAKEN_BACK,
    TEST,
    TESTED,
    UNDO,
    rotate,
    to_restore,
    to_rotate,
)
from tests.machines.stage import Json

NOT_READY = gives(
    outcome="NotReady",
    reason="there is no user app_b",
    previous=None,
    user="",
    next_user="",
    created_at=None,
    sessions=0,
)
STALE = gives(outcome="NotReady", reason="api may hold another value")
NOT_ROLLED = gives(outcome="NotRolled", reason="api: another ECS deployment took the place of ours")
NOT_RETIRED = gives(outcome="Failed", reason="AWSCURRENT is at another version", version=None)
OTHER = raises("OutsideError", "nor this")
"""What fails second."""


def failed(reason: str) -> Json:
    return gives(outcome="Failed", reason=reason)


def no_machine_to_roll_with(definition: Json) -> None:
    _without_machine(definition, "RollWave", "RollService")


def nothing_caught_while_rolling(definition: Json) -> None:
    """Its iterations catch everything: only without that can the Map itself fail."""
    no_machine_to_roll_with(definition)
    del definition["States"]["RollWave"]["ItemProcessor"]["States"]["RollService"]["Catch"]


def no_machine_to_revert_with(definition: Json) -> None:
    _without_machine(definition, "RevertWave", "RevertService")


def nothing_caught_while_reverting(definition: Json) -> None:
    no_machine_to_revert_with(definition)
    del definition["States"]["RevertWave"]["ItemProcessor"]["States"]["RevertService"]["Catch"]


def _without_machine(definition: Json, wave: str, service: str) -> None:
    state = definition["States"][wave]["ItemProcessor"]["States"][service]
    state["Arguments"]["StateMachineArn"] += "-deleted"


def before_promote(name: str, answers: Answers, path: list[str], **more: Any) -> Case:
    """Nobody has the new value: it is looked whether that is so, and the candidate given up."""
    return rotate(
        name, {**READY, **answers, **NEVER_PROMOTED}, [*LOCK, *BEGIN, *path, *UNDO], "FailedClean", **more
    )


# Both consumers start again although only `api` had: ECS may have started tasks of the other in between.
BOTH: Answers = {**READY, **PROMOTES, **TAKEN_BACK}
ONE: Answers = {
    **READY_ALONE,
    **PROMOTES,
    **TAKEN_BACK,
    "BeginRestoring": [to_restore("api")],
}


def alone(answers: Answers) -> Answers:
    """With `api` as the only consumer."""
    return {**{name: known for name, known in ONE.items() if name != "Start worker back"}, **answers}


TAKE_BACK_1 = [*RESTORE, *REVERT_1, "Abandon", *CLEAN]
PROMOTED_PATH = [*LOCK, *BEGIN, *NEW_VALUE]

SAYS_NO = [
    rotate(
        "the current value opens nothing, or its idle user is not there",
        {**READY, "Precheck": [NOT_READY], **FAILED_CLEAN},
        [*LOCK, "Precheck", "Prechecked?", *CLEAN],
        "FailedClean",
        error=("Precheck", "there is no user app_b"),
    ),
    rotate(
        "a consumer may have the value before",
        {**READY, "Precheck": [PRECHECKED], "BeginRotation": [STALE], **FAILED_CLEAN},
        [*LOCK, *BEGIN, *CLEAN],
        "FailedClean",
        error=("BeginRotation", "api may hold another value"),
    ),
    rotate(
        "it is aborted before it begins",
        {**READY, "Precheck": [PRECHECKED], "BeginRotation": [ABORTED], **FAILED_CLEAN},
        [*LOCK, *BEGIN, *CLEAN],
        "FailedClean",
        error=("BeginRotation", "aborted by ada"),
    ),
    before_promote(
        "there is no value to begin from",
        {**BEGINS, "Stage": [failed("the version before is there no more")]},
        [*STAGE],
        error=("Stage", "the version before is there no more"),
    ),
    before_promote(
        "the password cannot be set",
        {**BEGINS, "Stage": [STAGED], "Set": [failed("the administrator may not")]},
        [*STAGE, *SET],
        error=("Set", "the administrator may not"),
    ),
    before_promote(
        "the new value opens less than the old one",
        {**BEGINS, "Stage": [STAGED], "Set": [IS_SET], "Test": [failed("app_b lacks SELECT on orders")]},
        [*STAGE, *SET, *TEST],
        error=("Test", "app_b lacks SELECT on orders"),
    ),
    before_promote(
        "somebody else has moved the current version",
        {**PROMOTES, "Promote": [MOVED]},
        [*NEW_VALUE],
        error=("Promote", "somebody else has moved AWSCURRENT"),
    ),
    rotate(
        "the canary does not start",
        {**BOTH, "Start api": [ROLLED_BACK], "Report api": [REPORTED]},
        [*PROMOTED_PATH, *ROLL_1, *TAKE_BACK],
        "FailedClean",
    ),
    rotate(
        "the second wave does not start",
        {**BOTH, "Start api": [ROLLED], "Start worker": [STUCK], "Report worker": [REPORTED]},
        [*PROMOTED_PATH, *ROLL_1, *ROLL_1, *TAKE_BACK],
        "FailedClean",
    ),
    rotate(
        "a consumer does not start with the value before",
        {
            **BOTH,
            "Start api": [ROLLED_BACK],
            "Start worker back": [STUCK],
            "Report api": [REPORTED],
            "Report worker": [REPORTED],
            **FAILED_DIRTY,
        },
        [*PROMOTED_PATH, *ROLL_1, *TAKE_BACK[: -len(DIRTY)], *DIRTY],
        "FailedDirty",
    ),
    *(
        rotate(
            f"{name} while it bakes",
            alone(
                {
                    "PlanRotation": [to_rotate("Ready", ["api"], bake=300)],
                    "Start api": [ROLLED],
                    "Bake": [answer],
                }
            ),
            [*PROMOTED_PATH, *ROLL_1, "Bake", *TAKE_BACK_1],
            "FailedClean",
        )
        for name, answer in (("an alarm rings", ALARMED), ("it is aborted", ABORTED))
    ),
    *(
        rotate(
            f"the old value is not to be disabled: {name}",
            alone({"Start api": [ROLLED], "BeginRetire": [answer]}),
            [*PROMOTED_PATH, *ROLL_1, *MAY_RETIRE, *TAKE_BACK_1],
            "FailedClean",
            error=("BeginRetire", said),
        )
        for name, answer, said in (
            ("a consumer runs something else", NOT_ROLLED, "took the place of ours"),
            ("it is aborted", ABORTED, "aborted by ada"),
        )
    ),
    rotate(
        "tasks with the old value never end",
        alone({"Start api": [ROLLED], "BeginRetire": [DRAINING] * 60}),
        [*PROMOTED_PATH, *ROLL_1, *([*MAY_RETIRE, "AwaitDrain"] * 60)[:-1], *TAKE_BACK_1],
        "FailedClean",
        error=("BeginRetire", "tasks that started before are still there: api"),
    ),
    rotate(
        "the old value cannot be disabled",
        {
            **READY_ALONE,
            **PROMOTES,
            "Start api": [ROLLED],
            "BeginRetire": [MAY_BE_RETIRED],
            "Retire": [NOT_RETIRED],
            **FAILED_DIRTY,
        },
        [*PROMOTED_PATH, *ROLL_1, *MAY_RETIRE, *RETIRE, *DIRTY],
        "FailedDirty",
        error=("Retire", "AWSCURRENT is at another version"),
    ),
    rotate(
        "the dead run was past the point of no return, and the old value cannot be disabled",
        {**RETIRING, "Retire": [NOT_RETIRED], **FAILED_DIRTY},
        [*TAKE_OVER, *RETIRE, *DIRTY],
        "FailedDirty",
        error=("Retire", "AWSCURRENT is at another version"),
    ),
    rotate(
        "it was rotated, and is recorded as something else",
        {
            **READY_ALONE,
            **PROMOTES,
            "Start api": [ROLLED],
            "BeginRetire": [MAY_BE_RETIRED],
            "Retire": [RETIRED],
            "Rotated": [recorded("FailedDirty")],
            **FAILED_DIRTY,
        },
        [*PROMOTED_PATH, *ROLL_1, *MAY_RETIRE, *RETIRE, "RecordSuccess", "Recorded?", *DIRTY],
        "FailedDirty",
    ),
    rotate(
        "somebody else has moved the current version since: nothing is started again",
        {**RECOVER, "Restore": [MOVED], "Abandon": [ABANDONED], **FAILED_DIRTY},
        [*TAKE_OVER, "RestoreCurrent", "Restored?", "Abandon", *DIRTY],
        "FailedDirty",
        error=("Restore", "somebody else has moved AWSCURRENT"),
    ),
    rotate(
        "a failure, and then somebody else's move: the failure is told",
        {
            **READY,
            **BEGINS,
            "Stage": [failed("no room")],
            "Restore": [MOVED],
            "Abandon": [ABANDONED],
            **FAILED_DIRTY,
        },
        [*LOCK, *BEGIN, *STAGE, "RestoreCurrent", "Restored?", "Abandon", *DIRTY],
        "FailedDirty",
        error=("Stage", "no room"),
    ),
]


def caught(
    name: str,
    state: str,
    answers: Answers,
    path: list[str],
    outcome: str = "FailedClean",
    error: tuple[str, str] | None = ("OutsideError", "access denied"),
    place: int = 0,
    **more: Any,
) -> Case:
    last: Answers = {} if "Fail" in answers else {"Fail": [recorded(outcome)]}
    return rotate(name, {**answers, **last}, path, outcome, caught=(state, place), error=error, **more)


def caught_before_promote(name: str, state: str, answers: Answers, path: list[str]) -> Case:
    return before_promote(name, answers, path, caught=(state, 0), error=("OutsideError", "access denied"))


NOT_SET: Answers = {**READY, **BEGINS, "Stage": [STAGED], "Set": [failed("no such user")]}
NOT_SET_PATH = [*LOCK, *BEGIN, *STAGE, *SET]
BAKING: Answers = alone(
    {
        "PlanRotation": [to_rotate("Ready", ["api"], bake=300)],
        "Start api": [ROLLED],
        "Bake": [fails("Broken", "by hand")],
    }
)

CAUGHT = [
    caught("planning fails", "PlanRotation", {"PlanRotation": [DENIED]}, ["PlanRotation", *CLEAN]),
    caught(
        "the lock cannot be asked for",
        "AcquireLock",
        {**READY, "Acquire": [DENIED]},
        [*PLAN, "AcquireLock", *CLEAN],
    ),
    caught(
        "planning again fails",
        "PlanAgain",
        {**READY_LATER, "PlanAgain": [DENIED]},
        [*LOCK, "PlanAgain", *CLEAN],
    ),
    caught(
        "somebody else's rollout takes too long",
        "AwaitRollout",
        {**READY_LATER, "PlanAgain": [to_rotate("Busy", busy=BUSY)], "Await": [SILENCE]},
        [*LOCK, *REPLAN, "AwaitRollout", *CLEAN],
        error=("States.Timeout", ""),
        seconds=SHORTLY,
    ),
    caught(
        "the lock cannot be taken over",
        "TakeOverLock",
        {**RECOVER, "TakeOver": [DENIED]},
        [*PLAN, "TakeOverLock", *CLEAN],
    ),
    caught(
        "the secret cannot be looked at",
        "Precheck",
        {**READY, "Precheck": [DENIED]},
        [*LOCK, "Precheck", *CLEAN],
    ),
    caught(
        "its environment's runner is not there to look",
        "Precheck",
        {**READY, "PlanRotation": [to_rotate("Ready", ["api"], runner="nobodys")]},
        [*LOCK, "Precheck", *CLEAN],
        error=("Lambda.", "nobodys-rotate_secret"),
    ),
    # Its answer may have been lost: whether something was begun is looked up.
    caught(
        "that it begins cannot be recorded",
        "BeginRotation",
        {**READY, "Precheck": [PRECHECKED], "BeginRotation": [DENIED], **NEVER_PROMOTED},
        [*LOCK, "Precheck", "Prechecked?", "BeginRotation", *UNDO],
    ),
    caught_before_promote(
        "the new value cannot be written", "Stage", {**BEGINS, "Stage": [DENIED]}, ["Stage"]
    ),
    caught_before_promote(
        "the database does not answer",
        "Set",
        {**BEGINS, "Stage": [STAGED], "Set": [DENIED]},
        [*STAGE, "Set"],
    ),
    caught_before_promote(
        "the new value cannot be tested",
        "Test",
        {**BEGINS, "Stage": [STAGED], "Set": [IS_SET], "Test": [DENIED]},
        [*STAGE, *SET, "Test"],
    ),
    caught_before_promote(
        "it cannot be promoted",
        "Promote",
        {**BEGINS, "Stage": [STAGED], "Set": [IS_SET], "Test": [TESTED], "Promote": [DENIED]},
        [*STAGE, *SET, *TEST, "Promote"],
    ),
    caught(
        "it was promoted, and the answer lost: everything is taken back",
        "Promote",
        {**BOTH, "Promote": [DENIED]},
        [*LOCK, *BEGIN, *STAGE, *SET, *TEST, "Promote", *TAKE_BACK],
    ),
    caught(
        "a consumer's roll is not known",
        "RollService",
        alone({}),
        [*PROMOTED_PATH, "RollWave", "RollService", "RollUnknown", "WaveHealthy?", *TAKE_BACK_1],
        error=None,
        change=no_machine_to_roll_with,
    ),
    caught(
        "a wave breaks off",
        "RollWave",
        alone({}),
        [*PROMOTED_PATH, "RollWave", "RollService", *TAKE_BACK_1],
        error=("StepFunctions.", ""),
        change=nothing_caught_while_rolling,
    ),
    caught(
        "its alarms cannot be watched",
        "Bake",
        BAKING,
        [*PROMOTED_PATH, *ROLL_1, "Bake", *TAKE_BACK_1],
        error=("Broken", "by hand"),
        place=1,
    ),
    caught(
        "that there is no way back cannot be recorded",
        "BeginRetire",
        alone({"Start api": [ROLLED], "BeginRetire": [DENIED]}),
        [*PROMOTED_PATH, *ROLL_1, "BeginRetire", *TAKE_BACK_1],
    ),
    caught(
        "the old value is to be disabled, and the database does not answer",
        "Retire",
        {
            **READY_ALONE,
            **PROMOTES,
            "Start api": [ROLLED],
            "BeginRetire": [MAY_BE_RETIRED],
            "Retire": [DENIED],
        },
        [*PROMOTED_PATH, *ROLL_1, *MAY_RETIRE, "AwaitOverlap", "Retire", *DIRTY],
        "FailedDirty",
    ),
    caught(
        "the success cannot be recorded",
        "RecordSuccess",
        {**RETIRING, "Retire": [RETIRED], "Rotated": [DENIED]},
        [*TAKE_OVER, *RETIRE, "RecordSuccess", *DIRTY],
        "FailedDirty",
    ),
    caught(
        "a recovery cannot make the value before current",
        "RestoreCurrent",
        {**RECOVER, "Restore": [DENIED]},
        [*TAKE_OVER, "RestoreCurrent", *DIRTY],
        "FailedDirty",
    ),
    caught(
        "a failure, and the value before cannot be made current: the failure is told",
        "RestoreCurrent",
        {**NOT_SET, "Restore": [OTHER]},
        [*NOT_SET_PATH, "RestoreCurrent", *DIRTY],
        "FailedDirty",
        error=("Set", "no such user"),
    ),
    caught(
        "compensation cannot begin",
        "BeginCompensation",
        {**RECOVER, "Restore": [RESTORED], "BeginRestoring": [DENIED]},
        [*TAKE_OVER, "RestoreCurrent", "Restored?", "BeginCompensation", *DIRTY],
        "FailedDirty",
    ),
    caught(
        "a failure, and compensation cannot begin: the failure is told",
        "BeginCompensation",
        {**NOT_SET, "Restore": [NOT_PROMOTED], "BeginRestoring": [OTHER]},
        [*NOT_SET_PATH, "RestoreCurrent", "Restored?", "BeginCompensation", *CLEAN],
        error=("Set", "no such user"),
    ),
    caught(
        "a consumer's way back is not known",
        "RevertService",
        {
            **RECOVER,
            "Restore": [RESTORED],
            "BeginRestoring": [to_restore("api")],
            "Abandon": [ABANDONED],
        },
        [
            *[*TAKE_OVER, *RESTORE],
            *["RevertWave", "RevertService", "RevertUnknown", "MoreToRevert?"],
            *["Abandon", *DIRTY],
        ],
        "FailedDirty",
        error=None,
        change=no_machine_to_revert_with,
    ),
    caught(
        "the way back breaks off",
        "RevertWave",
        {**RECOVER, "Restore": [RESTORED], "BeginRestoring": [to_restore("api")]},
        [*TAKE_OVER, *RESTORE, "RevertWave", "RevertService", *DIRTY],
        "FailedDirty",
        error=("StepFunctions.", ""),
        change=nothing_caught_while_reverting,
    ),
    caught(
        "a failure, and the way back breaks off: the failure is told",
        "RevertWave",
        {
            **{name: known for name, known in BAKING.items() if name not in ("Start api back", "Abandon")},
            **FAILED_DIRTY,
        },
        [*PROMOTED_PATH, *ROLL_1, "Bake", *RESTORE, "RevertWave", "RevertService", *DIRTY],
        "FailedDirty",
        error=("Broken", "by hand"),
        change=nothing_caught_while_reverting,
    ),
    caught(
        "a failure, and the candidate cannot be given up: the failure is told",
        "Abandon",
        {**NOT_SET, **NEVER_PROMOTED, "Abandon": [OTHER]},
        [*NOT_SET_PATH, *UNDO],
        error=("Set", "no such user"),
    ),
    caught(
        "what a secret needs cannot be said",
        "PlanAdoption",
        {**PLANS_ADOPTION, "Adoption": [DENIED]},
        [*PLAN, "PlanAdoption", *CLEAN],
    ),
    caught("a secret cannot be prepared", "Adopt", {**ADOPTS, "Adopt": [DENIED]}, [*LOCK, "Adopt", *CLEAN]),
    caught(
        "a refusal cannot be recorded",
        "Conclude",
        {"PlanRotation": [to_rotate("Refused")], "Conclude": [DENIED]},
        [*PLAN, "Conclude", *CLEAN],
    ),
    caught(
        "no outcome can be recorded",
        "RecordFailure",
        {**READY, "Acquire": [DENIED], "Fail": [DENIED]},
        [*PLAN, "AcquireLock", "RecordFailure", "NotRecorded"],
        ending=NOT_RECORDED,
    ),
]
ROTATE_FAILED = [*SAYS_NO, *CAUGHT]
