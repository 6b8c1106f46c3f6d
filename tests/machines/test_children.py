"""A roll that ends without an outcome is a failure as data: its siblings are not cut off half-way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.machines.case import ACQUIRED, SILENCE, ended, planned, recorded, to_revert
from tests.machines.deploy_cases import CLEAN, COMPENSATE, LOCK
from tests.machines.stage import Run, Stage
from tests.machines.test_paths import ending
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

ANSWERS = {
    "Plan": [planned("Ready", ["api", "worker"])],
    "Acquire": [ACQUIRED],
    "Start api": [SILENCE],
    "Start worker": [SILENCE],
    "BeginCompensation": [to_revert()],
    "Fail": [recorded("FailedClean")],
}


def asked_to_start(run: Run, service: str) -> dict[str, Any]:
    wait_until(lambda: f"Start {service}" in run.called, what=f"{service} to be rolled")
    return run.payload(f"Start {service}")


def test_a_roll_that_is_stopped_leaves_its_sibling_alone(stage: Stage) -> None:
    run = stage.start(stage.machine("deploy"), ANSWERS)
    client = stage.cloud.client("stepfunctions")
    stopped, left = asked_to_start(run, "api"), asked_to_start(run, "worker")
    client.stop_execution(executionArn=stopped["execution"])
    wait_until(lambda: "RollUnknown" in run.path, what="the stopped roll to be noticed")
    client.send_task_success(taskToken=left["token"], output='{"outcome": "Rolled", "reason": ""}')
    assert ending(run.ended()) == ended("FailedClean")
    rolled = ["RollWave", "RollService", "RollService", "RollUnknown", "WaveHealthy?"]
    assert run.path == [*LOCK, *rolled, *COMPENSATE, *CLEAN]
    assert stage.cloud.ended(left["execution"])["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    "child",
    [{"Type": "Fail", "Error": "Broken"}, {"Type": "Succeed", "Output": {"service": "api"}}],
    ids=["fails", "says nothing"],
)
@pytest.mark.parametrize(
    ("machine", "calls"),
    [
        ("deploy", ["Plan", "Acquire", "BeginCompensation", "Fail"]),
        ("rollback", ["PlanRollback", "Acquire", "Fail"]),
    ],
)
def test_a_roll_without_an_outcome_did_not_roll(
    stage: Stage, machine: str, calls: list[str], child: dict[str, Any]
) -> None:
    roll = stage.cloud.machine({"Child": child})
    plan = planned("Ready", ["api"])
    answers = {**ANSWERS, "Plan": [plan], "PlanRollback": [plan]}
    run = stage.start(stage.machine(machine, RollMachineArn=roll), {name: answers[name] for name in calls})
    assert ending(run.ended()) == ended("FailedClean")
    assert run.called == calls
