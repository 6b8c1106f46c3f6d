"""The ways through `roll`: however it goes, it ends well, with the outcome as data."""

from __future__ import annotations

from tests.machines.case import (
    ABORTED,
    DENIED,
    HEALTHY,
    REPORTED,
    ROLLED,
    ROLLED_BACK,
    ROLLED_TO_BE_ASKED,
    SILENCE,
    SMOKE,
    UNHEALTHY,
    Answers,
    Case,
    Ending,
    fails,
    gives,
)

ROLLED_OUT = ["StartRollout", "RolledOut?", "Rolled"]
NOT_ROLLED = ["StartRollout", "RolledOut?", "ReportFailure", "NotRolled"]
ASKED = ["StartRollout", "RolledOut?", "CheckSmoke"]
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
    # Somebody wanted it so: there is no failure to report.
    roll("it is aborted", {"Start api": [ABORTED]}, ["StartRollout", "RolledOut?", "NotRolled"], "Aborted"),
    roll(
        "it is asked, and is healthy",
        {"Start api": [ROLLED_TO_BE_ASKED], "Smoke api": [HEALTHY]},
        [*ASKED, "Healthy?", "Rolled"],
        "Rolled",
    ),
    roll(
        "it is asked, and is not healthy",
        {"Start api": [ROLLED_TO_BE_ASKED], "Smoke api": [UNHEALTHY], **REPORT},
        [*ASKED, "Healthy?", "ReportFailure", "NotRolled"],
        "Unhealthy",
    ),
    roll(
        "it cannot be asked",
        {"Start api": [ROLLED_TO_BE_ASKED], "Smoke api": [DENIED], **REPORT},
        [*ASKED, "ReportFailure", "NotRolled"],
        "Unhealthy",
        caught=("CheckSmoke", 0),
        error=("the smoke check failed to run: OutsideError: ", "access denied"),
    ),
    roll(
        "its environment's runner is not there to ask it",
        {"Start api": [gives(**ROLLED["gives"] | {"smoke": SMOKE | {"runner": "nobodys"}})], **REPORT},
        [*ASKED, "ReportFailure", "NotRolled"],
        "Unhealthy",
        caught=("CheckSmoke", 0),
        error=("the smoke check failed to run: Lambda.", "nobodys-smoke"),
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
