"""The ways through `migrate`, and those of `deploy` that go through it: a failure is data, and ends the release."""

from __future__ import annotations

from typing import Any

from tests.machines.case import (
    ABORTED,
    ACQUIRED,
    ACQUIRED_LATER,
    DENIED,
    DEPLOYMENT,
    FENCE,
    ROLLED,
    SILENCE,
    TAKEN,
    Answers,
    Case,
    Ending,
    Said,
    document,
    ended,
    fails,
    gives,
    planned,
    raises,
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
    REPLAN,
    REVERT_1,
    ROLL_1,
    SUCCEED,
    deploy,
)
from tests.machines.stage import Json

SQL = {
    "runner": "sql",
    "release": "r42",
    "secret": "shop/production/database",
    "tls": "verify-full",
    "lock_timeout": 5,
    "statement_timeout": 900,
    "transaction_age": 300,
    "image": {"repository": "shop-migrations", "digest": "sha256:0", "directory": "/migrations"},
}
"""What `migrate_sql` is told of the plan."""
LOOK = {**SQL, "runner": "task", "image": None}
"""The same of a command that a task runs: the database is only looked at."""
AT_MOST = 600
HEAD = "0042_add_email.sql"


def prepared(outcome: str = "Ready", reason: str = "", **more: Any) -> Json:
    answer = {
        "outcome": outcome,
        "reason": reason,
        "runner": "task",
        "snapshot": False,
        "verify": False,
        "timeout": AT_MOST,
        "function": "",
        "sql": None,
    }
    return gives(**{**answer, **more})


TASK = prepared()
TASK_AND_LOOK = prepared(sql=LOOK)
FILES = prepared(runner="sql", sql=SQL)
MADE, NOT_MADE = gives(outcome="Made", reason=""), gives(outcome="Failed", reason="the snapshot is failed")
IS_READY = gives(outcome="Ready", reason="", head="0041_more.sql")
IS_NOT_READY = gives(outcome="NotReady", reason="a transaction is 9 min old", head="0041_more.sql")
MIGRATED = gives(outcome="Migrated", reason="", head=HEAD, applied=1)
MORE = gives(outcome="More", reason="", head="0041_more.sql", applied=3)
GOES_ON = gives(outcome="GoOn", reason="")
NOT_MIGRATED = gives(
    outcome="Failed", reason="0042_add_email.sql: lock timeout", head="0041_more.sql", applied=0
)
VERIFIED = gives(outcome="Verified", reason="", head=HEAD)
NOT_VERIFIED = gives(outcome="NotVerified", reason="an index is invalid", head=HEAD)
TERMINATED = gives(outcome="Terminated", reason="", head="0041_more.sql", count=1)
EXITED = gives(outcome="Exited", reason="")
CRASHED = gives(outcome="Failed", reason="container app exited with code 1")
KEPT = gives(outcome="Migrated", reason="", head=None)

BEGIN = ["Alone?", "Prepare", "Prepared?"]
SNAPSHOT = ["AwaitSnapshot", "SnapshotMade?"]
CHECK = ["CheckDatabase", "DatabaseReady?"]
APPLY = ["MigrateSql", "Applied?"]
GO_ON = ["GoOn", "GoesOn?"]
RUN = ["RunTask", "TaskEnded?"]
LOOK_AT_IT = ["VerifyTask", "Verified?"]
VERIFY = ["VerifyDatabase", "SchemaVerified?"]
DONE = ["RecordMigration", "Migrated"]
STOP = ["StopTask", "Stopped?"]
FAILED = ["RecordFailure", "NotMigrated"]
RECORDED: Answers = {"Record": [KEPT]}
BROKEN = "OutsideError: "


def migrate(
    name: str,
    answers: Answers,
    path: list[str],
    reason: str | Said | None = None,
    head: str | None = None,
    **more: object,
) -> Case:
    """It was migrated, or failed for this reason."""
    said = {"outcome": "Migrated" if reason is None else "Failed", "reason": reason or "", "head": head}
    given = {"deployment": DEPLOYMENT, "fence": FENCE, **more.pop("given", {})}  # type: ignore[dict-item]
    last = {} if "Record" in answers else RECORDED
    return Case(name, "migrate", {**answers, **last}, path, Ending("SUCCEEDED", said), given=given, **more)  # type: ignore[arg-type]


def caught(name: str, state: str, answers: Answers, path: list[str], place: int = 0, **more: object) -> Case:
    """By the last catcher of a state that has one; the reason is the error that the function raised."""
    error = more.pop("error", (BROKEN, "access denied"))
    reason = more.pop("reason", Said((BROKEN, "access denied")))
    return migrate(name, answers, path, reason, caught=(state, place), error=error, **more)  # type: ignore[arg-type]


def a_snapshot_that_takes_too_long(definition: Json) -> None:
    definition["States"]["AwaitSnapshot"]["TimeoutSeconds"] = 1


def no_machine_to_deploy_with(definition: Json) -> None:
    definition["States"]["RunUnderLock"]["Arguments"]["StateMachineArn"] += "-deleted"


LATE = "it did not end within 1 s"
WENT_WELL = [
    migrate(
        "a command, no credential", {"Prepare": [TASK], "RunTask Migrate": [EXITED]}, [*BEGIN, *RUN, *DONE]
    ),
    migrate(
        "a command, verified by another, no credential",
        {"Prepare": [prepared(verify=True)], "RunTask Migrate": [EXITED], "RunTask Verify": [EXITED]},
        [*BEGIN, *RUN, *LOOK_AT_IT, *DONE],
    ),
    migrate(
        "a command, and a look into the database before and after",
        {"Prepare": [TASK_AND_LOOK], "Check": [IS_READY], "RunTask Migrate": [EXITED], "Verify": [VERIFIED]},
        [*BEGIN, *CHECK, *RUN, *VERIFY, *DONE],
        head=HEAD,
    ),
    migrate(
        "a command behind a snapshot, verified by another and in the database",
        {
            "Prepare": [prepared(sql=LOOK, verify=True, snapshot=True)],
            "AwaitSnapshot": [MADE],
            "Check": [IS_READY],
            "RunTask Migrate": [EXITED],
            "RunTask Verify": [EXITED],
            "Verify": [VERIFIED],
        },
        [*BEGIN, *SNAPSHOT, *CHECK, *RUN, *LOOK_AT_IT, *VERIFY, *DONE],
        head=HEAD,
    ),
    migrate(
        "a command behind a snapshot, no credential",
        {"Prepare": [prepared(snapshot=True)], "AwaitSnapshot": [MADE], "RunTask Migrate": [EXITED]},
        [*BEGIN, *SNAPSHOT, *RUN, *DONE],
    ),
    migrate(
        "SQL files",
        {"Prepare": [FILES], "Check": [IS_READY], "Migrate": [MIGRATED], "Verify": [VERIFIED]},
        [*BEGIN, *CHECK, *APPLY, *VERIFY, *DONE],
        head=HEAD,
    ),
    migrate(
        "SQL files, in three invocations",
        {
            "Prepare": [FILES],
            "Check": [IS_READY],
            "Migrate": [MORE, MORE, MIGRATED],
            "GoOn": [GOES_ON, GOES_ON],
            "Verify": [VERIFIED],
        },
        [*BEGIN, *CHECK, *APPLY, *GO_ON, *APPLY, *GO_ON, *APPLY, *VERIFY, *DONE],
        head=HEAD,
    ),
    migrate(
        "SQL files, in two invocations, behind a snapshot",
        {
            "Prepare": [prepared(runner="sql", sql=SQL, snapshot=True)],
            "AwaitSnapshot": [MADE],
            "Check": [IS_READY],
            "Migrate": [MORE, MIGRATED],
            "GoOn": [GOES_ON],
            "Verify": [VERIFIED],
        },
        [*BEGIN, *SNAPSHOT, *CHECK, *APPLY, *GO_ON, *APPLY, *VERIFY, *DONE],
        head=HEAD,
    ),
]
DID_NOT = [
    migrate(
        "the database is down",
        {"Prepare": [prepared("Failed", "the database shop is stopped")]},
        [*BEGIN, *FAILED],
        "the database shop is stopped",
    ),
    migrate(
        "the snapshot fails",
        {"Prepare": [prepared(snapshot=True)], "AwaitSnapshot": [NOT_MADE]},
        [*BEGIN, *SNAPSHOT, *FAILED],
        "the snapshot is failed",
    ),
    migrate(
        "the database is not ready",
        {"Prepare": [FILES], "Check": [IS_NOT_READY]},
        [*BEGIN, *CHECK, *FAILED],
        "a transaction is 9 min old",
    ),
    migrate(
        "a SQL file fails",
        {"Prepare": [FILES], "Check": [IS_READY], "Migrate": [NOT_MIGRATED]},
        [*BEGIN, *CHECK, *APPLY, *FAILED],
        "0042_add_email.sql: lock timeout",
        "0041_more.sql",
    ),
    migrate(
        "what the files made is not what it should be",
        {"Prepare": [FILES], "Check": [IS_READY], "Migrate": [MIGRATED], "Verify": [NOT_VERIFIED]},
        [*BEGIN, *CHECK, *APPLY, *VERIFY, *FAILED],
        "an index is invalid",
        HEAD,
    ),
    migrate(
        "the command fails, no credential",
        {"Prepare": [TASK], "RunTask Migrate": [CRASHED]},
        [*BEGIN, *RUN, *FAILED],
        "container app exited with code 1",
    ),
    migrate(
        "the command fails, its statements are terminated",
        {
            "Prepare": [TASK_AND_LOOK],
            "Check": [IS_READY],
            "RunTask Migrate": [CRASHED],
            "Terminate": [TERMINATED],
        },
        [*BEGIN, *CHECK, *RUN, "TerminateBackends", *FAILED],
        "container app exited with code 1",
        "0041_more.sql",
    ),
    migrate(
        "the second command says no",
        {"Prepare": [prepared(verify=True)], "RunTask Migrate": [EXITED], "RunTask Verify": [CRASHED]},
        [*BEGIN, *RUN, *LOOK_AT_IT, *FAILED],
        "container app exited with code 1",
    ),
    migrate(
        "it is aborted, its task is stopped",
        {"Prepare": [TASK], "RunTask Migrate": [ABORTED], "StopTask": [EXITED]},
        [*BEGIN, *RUN, *STOP, *FAILED],
        "aborted by ada: wrong commit",
    ),
    migrate(
        "it is aborted while it is looked at",
        {
            "Prepare": [prepared(verify=True)],
            "RunTask Migrate": [EXITED],
            "RunTask Verify": [ABORTED],
            "StopTask": [EXITED],
        },
        [*BEGIN, *RUN, *LOOK_AT_IT, *STOP, *FAILED],
        "aborted by ada: wrong commit",
    ),
    migrate(
        "it is aborted while its files run",
        {
            "Prepare": [FILES],
            "Check": [IS_READY],
            "Migrate": [MORE],
            "GoOn": [gives(outcome="Aborted", reason="aborted by ada: wrong commit")],
            "Terminate": [TERMINATED],
        },
        [*BEGIN, *CHECK, *APPLY, *GO_ON, "TerminateBackends", *FAILED],
        "aborted by ada: wrong commit",
        "0041_more.sql",
    ),
    migrate(
        "nobody ended it: what it left is ended",
        {
            "Prepare": [prepared("Stop", "its run ended without an outcome", sql=SQL)],
            "StopTask": [EXITED],
            "Terminate": [TERMINATED],
        },
        [*BEGIN, *STOP, "TerminateBackends", *FAILED],
        "its run ended without an outcome",
        "0041_more.sql",
        given={"stop": True},
    ),
]
RUNNING_FILES: Answers = {"Prepare": [FILES], "Check": [IS_READY]}
CAUGHT = [
    caught("it cannot be prepared", "Prepare", {"Prepare": [DENIED]}, ["Alone?", "Prepare", *FAILED]),
    caught(
        "the snapshot takes too long",
        "AwaitSnapshot",
        {"Prepare": [prepared(snapshot=True)], "AwaitSnapshot": [SILENCE]},
        [*BEGIN, "AwaitSnapshot", *FAILED],
        error=("the snapshot was not made within 6 hours", ""),
        reason="the snapshot was not made within 6 hours",
        change=a_snapshot_that_takes_too_long,
    ),
    caught(
        "no snapshot can be begun",
        "AwaitSnapshot",
        {"Prepare": [prepared(snapshot=True)], "AwaitSnapshot": [DENIED]},
        [*BEGIN, "AwaitSnapshot", *FAILED],
        place=1,
    ),
    caught(
        "the database cannot be looked at",
        "CheckDatabase",
        {"Prepare": [FILES], "Check": [DENIED]},
        [*BEGIN, "CheckDatabase", *FAILED],
    ),
    caught(
        "its environment's runner is not there to look",
        "CheckDatabase",
        {"Prepare": [prepared(runner="sql", sql=SQL, function="nobodys")]},
        [*BEGIN, "CheckDatabase", *FAILED],
        error=("Lambda.", "nobodys-migrate_sql"),
        reason=Said(("Lambda.", "nobodys-migrate_sql")),
    ),
    caught(
        "the files break off, their statements are terminated",
        "MigrateSql",
        {**RUNNING_FILES, "Migrate": [DENIED], "Terminate": [TERMINATED]},
        [*BEGIN, *CHECK, "MigrateSql", "TerminateBackends", *FAILED],
        head="0041_more.sql",
    ),
    caught(
        "nobody can say whether its files are to go on",
        "GoOn",
        {**RUNNING_FILES, "Migrate": [MORE], "GoOn": [DENIED]},
        [*BEGIN, *CHECK, *APPLY, "GoOn", *FAILED],
        head="0041_more.sql",
    ),
    caught(
        "it takes too long",
        "RunTask",
        {"Prepare": [prepared(timeout=1)], "RunTask Migrate": [SILENCE], "StopTask": [EXITED]},
        [*BEGIN, "RunTask", *STOP, *FAILED],
        error=(LATE, ""),
        reason=LATE,
    ),
    caught(
        "it takes too long, its statements are terminated",
        "RunTask",
        {
            "Prepare": [prepared(timeout=1, sql=LOOK)],
            "Check": [IS_READY],
            "RunTask Migrate": [SILENCE],
            "StopTask": [EXITED],
            "Terminate": [TERMINATED],
        },
        [*BEGIN, *CHECK, "RunTask", *STOP, "TerminateBackends", *FAILED],
        error=(LATE, ""),
        reason=LATE,
        head="0041_more.sql",
    ),
    caught(
        "no task can be started",
        "RunTask",
        {"Prepare": [TASK], "RunTask Migrate": [DENIED], "StopTask": [EXITED]},
        [*BEGIN, "RunTask", *STOP, *FAILED],
        place=1,
    ),
    caught(
        "the second command takes too long",
        "VerifyTask",
        {
            "Prepare": [prepared(timeout=1, verify=True)],
            "RunTask Migrate": [EXITED],
            "RunTask Verify": [SILENCE],
            "StopTask": [EXITED],
        },
        [*BEGIN, *RUN, "VerifyTask", *STOP, *FAILED],
        error=(LATE, ""),
        reason=LATE,
    ),
    caught(
        "the second task's token is answered with a failure",
        "VerifyTask",
        {
            "Prepare": [prepared(verify=True)],
            "RunTask Migrate": [EXITED],
            "RunTask Verify": [fails("Broken", "by hand")],
            "StopTask": [EXITED],
        },
        [*BEGIN, *RUN, "VerifyTask", *STOP, *FAILED],
        place=1,
        error=("Broken: ", "by hand"),
        reason="Broken: by hand",
    ),
    caught(
        "what the files made cannot be looked at",
        "VerifyDatabase",
        {**RUNNING_FILES, "Migrate": [MIGRATED], "Verify": [DENIED]},
        [*BEGIN, *CHECK, *APPLY, "VerifyDatabase", *FAILED],
        head=HEAD,
    ),
    # Not as if it had been: the plans that come have to know, and the machine says why.
    caught(
        "that it was migrated cannot be recorded",
        "RecordMigration",
        {"Prepare": [TASK], "RunTask Migrate": [EXITED], "Record": [DENIED, KEPT]},
        [*BEGIN, *RUN, "RecordMigration", *FAILED],
    ),
    caught(
        "its task cannot be stopped",
        "StopTask",
        {"Prepare": [TASK], "RunTask Migrate": [ABORTED], "StopTask": [DENIED]},
        [*BEGIN, *RUN, *STOP, *FAILED],
        error=("aborted by ada", ""),
        reason="aborted by ada: wrong commit",
    ),
    caught(
        "its statements cannot be terminated",
        "TerminateBackends",
        {**RUNNING_FILES, "Migrate": [DENIED], "Terminate": [raises("OutsideError", "nor this")]},
        [*BEGIN, *CHECK, "MigrateSql", "TerminateBackends", *FAILED],
    ),
    caught(
        "the failure cannot be recorded",
        "RecordFailure",
        {"Prepare": [TASK], "RunTask Migrate": [CRASHED], "Record": [DENIED]},
        [*BEGIN, *RUN, *FAILED],
        error=("container app", ""),
        reason="container app exited with code 1",
    ),
]
FIRST = planned("Ready", migration=AT_MOST)
UNDER_LOCK: Answers = {"Plan": [FIRST], "Acquire": [ACQUIRED]}


def alone(name: str, answers: Answers, last: str, said: Json, **more: object) -> Case:
    path = ["Alone?", "RunUnderLock", last]
    return Case(name, "migrate", answers, path, Ending("SUCCEEDED", said), **more)  # type: ignore[arg-type]


ALONE = [
    alone(
        "by itself it is a deployment that rolls nothing",
        {
            **UNDER_LOCK,
            "Prepare": [TASK],
            "RunTask Migrate": [EXITED],
            **RECORDED,
            "Succeed": [recorded("Succeeded")],
        },
        "MigratedAlone",
        {**document("Succeeded"), "outcome": "Migrated"},
    ),
    alone(
        "by itself, and there is nothing to be done",
        {"Plan": [planned("NoChange")], "Conclude": [recorded("NoChange")]},
        "MigratedAlone",
        document("NoChange"),
    ),
    alone(
        "by itself, and it fails",
        {
            **UNDER_LOCK,
            "Prepare": [TASK],
            "RunTask Migrate": [CRASHED],
            **RECORDED,
            "BeginCompensation": [to_revert()],
            **FAILED_CLEAN,
        },
        "NotMigratedAlone",
        {"outcome": "Failed", "reason": Said(("FailedClean",))},
        caught=("RunUnderLock", 0),
    ),
    alone(
        "by itself, and there is no machine to deploy with",
        {},
        "NotMigratedAlone",
        {"outcome": "Failed", "reason": Said(("StepFunctions.",))},
        caught=("RunUnderLock", 0),
        change=no_machine_to_deploy_with,
    ),
]
MIGRATE = [*WENT_WELL, *DID_NOT, *CAUGHT, *ALONE]


def no_machine_to_migrate_with(definition: Json) -> None:
    for name in ("Migrate", "EndMigration"):
        definition["States"][name]["Arguments"]["StateMachineArn"] += "-deleted"


READY: Answers = {"Plan": [planned("Ready", ["api"], migration=AT_MOST)], "Acquire": [ACQUIRED]}
MIGRATES: Answers = {"Prepare": [TASK], "RunTask Migrate": [EXITED], **RECORDED}
FIRST_OF_ALL = ["Migrate", "Migrated?"]
MIGRATE_FIRST = [
    deploy(
        "the schema goes first",
        {**READY, **MIGRATES, "Start api": [ROLLED], "Succeed": [recorded("Succeeded")]},
        [*LOCK, *FIRST_OF_ALL, *ROLL_1, *SUCCEED],
        "Succeeded",
    ),
    deploy(
        "the schema goes first, as the second plan says",
        {
            "Plan": [planned("Ready", ["api"])],
            "Acquire": [ACQUIRED_LATER],
            "PlanAgain": [planned("Ready", ["api"], migration=AT_MOST)],
            **MIGRATES,
            "Start api": [ROLLED],
            "Succeed": [recorded("Succeeded")],
        },
        [*LOCK, *REPLAN, *FIRST_OF_ALL, *ROLL_1, *SUCCEED],
        "Succeeded",
    ),
    deploy(
        "nothing but the schema",
        {**UNDER_LOCK, **MIGRATES, "Succeed": [recorded("Succeeded")]},
        [*LOCK, *FIRST_OF_ALL, "WaveHealthy?", *SUCCEED],
        "Succeeded",
    ),
    deploy(
        "the migration fails, nothing is rolled",
        {
            **READY,
            "Prepare": [TASK],
            "RunTask Migrate": [CRASHED],
            **RECORDED,
            "BeginCompensation": [to_revert()],
            **FAILED_CLEAN,
        },
        [*LOCK, *FIRST_OF_ALL, *COMPENSATE, *CLEAN],
        "FailedClean",
    ),
    deploy(
        "the dead run was migrating: that is ended before anything goes back",
        {
            "Plan": [planned("Recover", ["api"])],
            "TakeOver": [TAKEN],
            "BeginCompensation": [to_revert(["api"], end_migration=True)],
            "Prepare": [prepared("Stop", "its run ended without an outcome")],
            "StopTask": [EXITED],
            **RECORDED,
            "Start api back": [ROLLED],
            **FAILED_CLEAN,
        },
        [
            *[*PLAN, "TakeOverLock", "TakenOver?", *COMPENSATE],
            *["EndMigration", "MoreToRevert?"],
            *[*REVERT_1, *CLEAN],
        ],
        "FailedClean",
    ),
    deploy(
        "the migration cannot be run",
        {**READY, "BeginCompensation": [to_revert()], **FAILED_CLEAN},
        [*LOCK, "Migrate", *COMPENSATE, *CLEAN],
        "FailedClean",
        caught=("Migrate", 0),
        error=("StepFunctions.", ""),
        change=no_machine_to_migrate_with,
    ),
    deploy(
        "what is left of the migration cannot be ended",
        {
            "Plan": [planned("Recover", ["api"])],
            "TakeOver": [TAKEN],
            "BeginCompensation": [to_revert(end_migration=True)],
            "Fail": [recorded("FailedDirty")],
        },
        [
            *[*PLAN, "TakeOverLock", "TakenOver?", *COMPENSATE],
            *["EndMigration", "MoreToRevert?"],
            *DIRTY,
        ],
        "FailedDirty",
        caught=("EndMigration", 0),
        change=no_machine_to_migrate_with,
        ending=ended("FailedDirty"),
    ),
]
