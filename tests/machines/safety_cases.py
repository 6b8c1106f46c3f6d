"""The ways through `deploy` on which people, alarms and newer releases have a say."""

from __future__ import annotations

from tests.machines.case import (
    ABORTED,
    ACQUIRED,
    ACQUIRED_LATER,
    ALARMED,
    APPROVED,
    DENIED,
    DRIFTED,
    HEALTHY,
    REJECTED,
    RELEASED,
    REPORTED,
    ROLLED,
    ROLLED_TO_BE_ASKED,
    SILENCE,
    SUPERSEDED,
    UNHEALTHY,
    Answers,
    planned,
    recorded,
    to_revert,
)
from tests.machines.deploy_cases import (
    CLEAN,
    COMPENSATE,
    CONCLUDE,
    FAILED_CLEAN,
    LOCK,
    PLAN,
    READY,
    REPLAN,
    REVERT_1,
    ROLL_1,
    SUCCEED,
    deploy,
)
from tests.machines.deploy_catches import caught

APPROVAL = [*PLAN, "AwaitApproval", "Approved?"]
# A person decides before anybody has the lock.
ACQUIRE = ["AcquireLock", "StillPlanned?"]
ASKED: Answers = {"Plan": [planned("Approval", ["api"])]}
SUCCEEDED: Answers = {"Succeed": [recorded("Succeeded")]}
TAKEN_BACK: Answers = {
    "BeginCompensation": [to_revert(["api"])],
    "Start api back": [ROLLED],
    **FAILED_CLEAN,
}
# `api` rolls, and is watched then.
BAKED: Answers = {"Plan": [planned("Ready", ["api"], bake=300)], "Acquire": [ACQUIRED], "Start api": [ROLLED]}
# For as long as a test can wait.
BAKED_SHORTLY: Answers = {**BAKED, "Plan": [planned("Ready", ["api"], bake=1)]}

APPROVALS = [
    deploy(
        "a person approves it",
        {
            **ASKED,
            "AwaitApproval": [APPROVED],
            "Acquire": [ACQUIRED],
            # Whatever the fence: the plan is older than the person's decision.
            "PlanAgain": [planned("Ready", ["api"])],
            "Start api": [ROLLED],
            **SUCCEEDED,
        },
        [*APPROVAL, *ACQUIRE, *REPLAN, *ROLL_1, *SUCCEED],
        "Succeeded",
    ),
    deploy(
        "the plan has changed since it was approved",
        {
            **ASKED,
            "AwaitApproval": [APPROVED, APPROVED],
            "Acquire": [ACQUIRED, ACQUIRED_LATER],
            "PlanAgain": [planned("Approval", ["worker"]), planned("Ready", ["worker"])],
            "Release": [RELEASED],
            "Start worker": [ROLLED],
            **SUCCEEDED,
        },
        [
            *[*APPROVAL, *ACQUIRE, *REPLAN, "ReleaseLock"],
            *["AwaitApproval", "Approved?", *ACQUIRE, *REPLAN],
            *[*ROLL_1, *SUCCEED],
        ],
        "Succeeded",
    ),
    deploy(
        "a person rejects it",
        {**ASKED, "AwaitApproval": [REJECTED], "Conclude": [recorded("Refused")]},
        [*APPROVAL, *CONCLUDE],
        "Refused",
    ),
    deploy(
        "a newer one comes while a person thinks",
        {**ASKED, "AwaitApproval": [SUPERSEDED], "Conclude": [recorded("Superseded")]},
        [*APPROVAL, *CONCLUDE],
        "Superseded",
    ),
    deploy(
        "it is aborted while a person thinks",
        {**ASKED, "AwaitApproval": [ABORTED], **FAILED_CLEAN},
        [*APPROVAL, *CLEAN],
        "FailedClean",
    ),
    caught(
        "nobody approves it in time",
        "AwaitApproval",
        {**ASKED, "AwaitApproval": [SILENCE]},
        [*PLAN, "AwaitApproval", *CLEAN],
        error=("ApprovalExpired", "nobody approved it within 1 s"),
        seconds=1,
    ),
    caught(
        "nobody can be asked to approve it",
        "AwaitApproval",
        {**ASKED, "AwaitApproval": [DENIED]},
        [*PLAN, "AwaitApproval", *CLEAN],
        place=1,
    ),
    caught(
        "the lock cannot be given back for another approval",
        "ReleaseLock",
        {
            **ASKED,
            "AwaitApproval": [APPROVED],
            "Acquire": [ACQUIRED],
            "PlanAgain": [planned("Approval", ["worker"])],
            "Release": [DENIED],
        },
        [*APPROVAL, *ACQUIRE, *REPLAN, "ReleaseLock", *CLEAN],
    ),
]
QUEUE = [
    deploy(
        "a newer one takes its place in the queue",
        {**READY, "Acquire": [SUPERSEDED], "Conclude": [recorded("Superseded")]},
        [*LOCK, *CONCLUDE],
        "Superseded",
    ),
    deploy(
        "it is aborted in the queue",
        {**READY, "Acquire": [ABORTED], **FAILED_CLEAN},
        [*LOCK, *CLEAN],
        "FailedClean",
    ),
    deploy(
        "it was aborted before it was planned again",
        {**READY, "Acquire": [ACQUIRED_LATER], "PlanAgain": [planned("Aborted")], **FAILED_CLEAN},
        [*LOCK, *REPLAN, *CLEAN],
        "FailedClean",
    ),
    deploy(
        "an abort comes before a refusal is recorded",
        {"Plan": [planned("Refused")], "Conclude": [recorded("FailedClean")]},
        [*PLAN, "Conclude", "Clean?", "FailedClean"],
        "FailedClean",
    ),
]
ROLLS = [
    deploy(
        "a service that has rolled is asked, and is healthy",
        {**READY, "Start api": [ROLLED_TO_BE_ASKED], "Smoke api": [HEALTHY], **SUCCEEDED},
        [*LOCK, *ROLL_1, *SUCCEED],
        "Succeeded",
    ),
    deploy(
        "a service that has rolled is asked, and is not healthy",
        {
            **READY,
            "Start api": [ROLLED_TO_BE_ASKED],
            "Smoke api": [UNHEALTHY],
            "Report api": [REPORTED],
            **TAKEN_BACK,
        },
        [*LOCK, *ROLL_1, *COMPENSATE, *REVERT_1, *CLEAN],
        "FailedClean",
    ),
    deploy(
        "it is aborted while it rolls",
        {**READY, "Start api": [ABORTED], **TAKEN_BACK},
        [*LOCK, *ROLL_1, *COMPENSATE, *REVERT_1, *CLEAN],
        "FailedClean",
    ),
    deploy(
        "an abort comes before the success is recorded",
        {**READY, "Start api": [ROLLED], "Succeed": [DRIFTED], **TAKEN_BACK},
        [*LOCK, *ROLL_1, "RecordSuccess", "Recorded?", *COMPENSATE, *REVERT_1, *CLEAN],
        "FailedClean",
    ),
]
BAKES = [
    caught(
        "no alarm rings for as long as it bakes",
        "Bake",
        {**BAKED_SHORTLY, "Bake": [SILENCE], **SUCCEEDED},
        [*LOCK, *ROLL_1, "Bake", *SUCCEED],
        error=None,
        outcome="Succeeded",
    ),
    deploy(
        "it bakes as long as the second plan says, after its last wave",
        {
            "Plan": [planned("Ready", ["api"])],
            "Acquire": [ACQUIRED_LATER],
            "PlanAgain": [planned("Ready", ["api"], ["worker"], bake=1)],
            "Start api": [ROLLED],
            "Start worker": [ROLLED],
            "Bake": [SILENCE],
            **SUCCEEDED,
        },
        [*LOCK, *REPLAN, *ROLL_1, *ROLL_1, "Bake", *SUCCEED],
        "Succeeded",
    ),
    deploy(
        "an alarm rings at the end of the bake",
        {**BAKED_SHORTLY, "Bake": [SILENCE], "Succeed": [DRIFTED], **TAKEN_BACK},
        [*LOCK, *ROLL_1, "Bake", "RecordSuccess", "Recorded?", *COMPENSATE, *REVERT_1, *CLEAN],
        "FailedClean",
    ),
    *(
        deploy(
            f"{what} while it bakes",
            {**BAKED, "Bake": [answer], **TAKEN_BACK},
            [*LOCK, *ROLL_1, "Bake", *COMPENSATE, *REVERT_1, *CLEAN],
            "FailedClean",
        )
        for what, answer in (("an alarm rings", ALARMED), ("it is aborted", ABORTED))
    ),
    caught(
        "nobody can watch its alarms",
        "Bake",
        {**BAKED, "Bake": [DENIED], **TAKEN_BACK},
        [*LOCK, *ROLL_1, "Bake", *COMPENSATE, *REVERT_1, *CLEAN],
        place=1,
    ),
]

SAFETY = [*APPROVALS, *QUEUE, *ROLLS, *BAKES]
