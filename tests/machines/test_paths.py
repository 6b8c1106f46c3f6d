"""Every way through the machines: the states entered, in order, how it ends, and what was asked on the way.

Each answer is scripted once, so an error that is tried again although a retry does not mend it fails these tests.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.machines.build_cases import BUILDS
from tests.machines.case import Case, Ending
from tests.machines.deploy_cases import DEPLOY
from tests.machines.deploy_catches import DEPLOY_CAUGHT
from tests.machines.migrate_cases import MIGRATE, MIGRATE_FIRST
from tests.machines.roll_cases import ROLL
from tests.machines.rollback_cases import ROLLBACK
from tests.machines.rotate_cases import ROTATE
from tests.machines.rotate_failures import ROTATE_FAILED
from tests.machines.safety_cases import SAFETY
from tests.machines.stage import Run, Stage, definition
from tests.template.walking import flow_of

pytestmark = pytest.mark.emulator

CASES = [
    *[*DEPLOY, *DEPLOY_CAUGHT, *SAFETY],
    *[*ROLLBACK, *ROLL, *BUILDS],
    *[*MIGRATE, *MIGRATE_FIRST],
    *[*ROTATE, *ROTATE_FAILED],
]


def ending(described: dict[str, Any]) -> Ending:
    said = described.get("output") or described["cause"]
    return Ending(described["status"], json.loads(said), described.get("error"))


def told(run: Run, machine: str) -> tuple[str, str]:
    """The error that the step behind a Catch hears of: of a roll, a migration or an image's build the reason, of a run
    its name and cause; else the reason that the execution ends with."""
    if machine in ("roll", "build") and "Report api" in run.called:
        reason = run.payload("Report api")["reason"]
        return reason, reason
    if machine == "migrate" and "Record" in run.called:
        reason = run.payload("Record", -1)["reason"]
        return reason, reason
    if "Fail" in run.called:
        error = run.payload("Fail")["error"]
        return error["name"], error["cause"]
    reason = ending(run.ended()).document["reason"]
    return reason, reason


def by_level(machine: str, path: list[str]) -> list[list[str]]:
    """The machine's own states in order; those of its iterations, which run side by side, only counted."""
    own, *inner = [
        [name for name in path if name in flow.states] for flow in flow_of(machine, definition(machine)).all()
    ]
    return [own, *(sorted(names) for names in inner)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_way(stage: Stage, case: Case) -> None:
    run = stage.start(stage.machine(case.machine, case.seconds, case.change), case.answers, case.given)
    described = run.ended()
    if case.side_by_side:
        assert by_level(case.machine, run.path) == by_level(case.machine, case.path)
    else:
        assert run.path == case.path
    assert ending(described) == case.ending
    assert Counter(run.called) == {name: len(answers) for name, answers in case.answers.items()}
    if case.error is not None:
        name, cause = told(run, case.machine)
        assert name.startswith(case.error[0])
        assert case.error[1] in cause
