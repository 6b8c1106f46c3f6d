"""The ways through `roll`: however it goes, it ends well, with the outcome as data."""

from __future__ import annotations

from tests.machines.case import (
    DENIED,
    REPORTED,
    ROLLED,
    ROLLED_BACK,
    SILENCE,
    Answers,
    Case,
    Ending,
    fails,
    gives,
)

ROLLED_OUT = ["StartRollout", "RolledOut?", "Rolled"]
NOT_ROLLED = ["StartRollout", "RolledOut?", "ReportFailure", "NotRolled"]
CUT_SHORT = ["StartRollout", "ReportFailure", "NotRolled"]
REPORT: Answers = {"Report api": [REPORTED]}


def roll(
    name: str, answers: Answers, path: list[str], outcome: str, direction: str = "Roll", **more: object
) -> Case:
    given = {"deployment": "01J", "service": "api", "direction": direction, "fence": 7}
    ending = Ending("SUCCEEDED", {"service": "api", "outcome": outcome})
    return Case(name, "roll", answers, path, ending, given=given, **more)  # type: ignore[arg-type]


ROLL = [
    roll("ECS completes it", {"Start api": [ROLLED]}, ROLLED_OUT, "Rolled"),
    roll("ECS completes the way back", {"Start api back": [ROLLED]}, ROLLED_OUT, "Rolled", "Revert"),
    roll("ECS rolls it back", {"Start api": [ROLLED_BACK], **REPORT}, NOT_ROLLED, "RolledBack"),
    roll(
        "it was called off",
        {"Start api": [gives(outcome="Aborted", reason="its deployment was stopped")], **REPORT},
        NOT_ROLLED,
        "Aborted",
    ),
    roll(
        "ECS does not decide in time",
        {"Start api": [SILENCE], **REPORT},
        CUT_SHORT,
        "Stuck",
        seconds=1,
        caught=("StartRollout", 0),
        error=("ECS had not decided within 1 s", ""),
    ),
    roll(
        "it cannot be started",
        {"Start api": [DENIED], **REPORT},
        CUT_SHORT,
        "Stuck",
        caught=("StartRollout", 1),
        error=("OutsideError: ", "access denied"),
    ),
    roll(
        "its token is answered with a failure",
        {"Start api": [fails("Broken", "by hand")], **REPORT},
        CUT_SHORT,
        "Stuck",
        caught=("StartRollout", 1),
        error=("Broken: ", "by hand"),
    ),
    roll(
        "the report cannot be written",
        {"Start api": [ROLLED_BACK], "Report api": [DENIED]},
        NOT_ROLLED,
        "RolledBack",
        caught=("ReportFailure", 0),
    ),
]
