"""The real definitions in the embedded cloud, with functions that only answer what a test's script says."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.machines.stub import KEY
from tests.support.embedded import Cloud

Json = dict[str, Any]
# Changes a copy of a definition in place.
Change = Callable[[Json], object]

ROOT = Path(__file__).parents[2]
SYSTEM = "shop"
ENVIRONMENT = "<environment>"
"""Stands in answers for what the environment of a run is called: its script's key."""
TABLE = "scripts"
MACHINES = ("deploy", "rollback", "roll", "build", "migrate", "rotate")
STEPS = {
    "PlanReleaseArn": "Plan PlanAgain PlanRollback PlanRotation",
    "LockArn": "AwaitApproval Acquire Release TakeOver",
    "RollServiceArn": "Start Await Bake Report",
    "SmokeArn": "Smoke",
    "RecordArn": "Succeed BeginCompensation Fail Conclude BeginRotation BeginRetire Rotated BeginRestoring",
    "BuildImagesArn": "Select Start Report",
    "PublishImagesArn": "AwaitScans Publish Fail",
    "RunMigrationArn": "Prepare AwaitSnapshot GoOn RunTask StopTask Record",
    "MigrateSqlArn": "Check Migrate Verify Terminate",
    "RotateSecretArn": "Precheck Stage Set Test Promote Retire Restore Abandon Adoption Adopt",
}
# What a machine waits for, each in seconds.
WAITS = ("RolloutTimeoutSeconds", "BuildTimeoutSeconds", "ScanTimeoutSeconds", "ApprovalTimeoutSeconds")
# Nothing but what a test lets run out takes as long.
PATIENCE = 600


@cache
def definition(machine: str) -> Json:
    parsed: Json = json.loads((ROOT / "statemachines" / f"{machine}.asl.json").read_text())
    return parsed


@dataclass(frozen=True)
class Run:
    """An execution that was started, and what its functions were asked."""

    cloud: Cloud
    execution: str
    script: str

    def ended(self) -> Json:
        return self.cloud.ended(self.execution, seconds=30)

    @property
    def path(self) -> list[str]:
        return self.cloud.path(self.execution)

    @property
    def calls(self) -> list[tuple[str, Json]]:
        """(what was called, payload) in order; those of its children as well."""
        found = self.cloud.client("dynamodb").get_item(
            TableName=TABLE, Key={KEY: {"S": self.script}}, ConsistentRead=True
        )
        calls = [json.loads(entry["S"]) for entry in found["Item"]["calls"]["L"]]
        return [(call["name"], call["event"]) for call in calls]

    @property
    def called(self) -> list[str]:
        return [name for name, _ in self.calls]

    def payload(self, name: str, call: int = 0) -> Json:
        return [event for called, event in self.calls if called == name][call]


@dataclass(frozen=True)
class Stage:
    cloud: Cloud
    functions: Mapping[str, str]
    _machines: dict[str, str] = field(default_factory=dict)

    def machine(
        self, name: str, seconds: int = PATIENCE, change: Change | None = None, **substituted: str
    ) -> str:
        """ARN of a machine all of whose waits may take so long; made once, and what it runs with it."""
        key = f"{name} {seconds} {change.__module__ + change.__name__ if change else ''} {substituted}"
        if key not in self._machines:
            whole = deepcopy(definition(name))
            if change is not None:
                change(whole)
            values = {**self.functions, **dict.fromkeys(WAITS, str(seconds)), "LongestFunctionSeconds": "0"}
            if name in ("deploy", "rollback", "rotate"):
                values["RollMachineArn"] = self.machine("roll", seconds)
            if name == "deploy":
                # That one is always told of its deployment, and starts none.
                values["MigrateMachineArn"] = self.machine("migrate", seconds, DeployMachineArn="nobody")
            if name == "migrate" and "DeployMachineArn" not in substituted:
                values["DeployMachineArn"] = self.machine("deploy", seconds)
            values.update(substituted)
            text = json.dumps(whole)
            for variable, value in values.items():
                text = text.replace(f"${{{variable}}}", value)
            filled = json.loads(text)
            self._machines[key] = self.cloud.machine(filled.pop("States"), **filled)
        return self._machines[key]

    def start(
        self, machine: str, answers: Mapping[str, list[Json]], given: Mapping[str, Any] | None = None
    ) -> Run:
        """Start an execution of the machine of this ARN; `given` is added to its input."""
        script = uuid.uuid4().hex[:12]
        text = json.dumps(answers).replace(ENVIRONMENT, script)
        item = {KEY: {"S": script}, "answers": {"S": text}, "calls": {"L": []}}
        self.cloud.client("dynamodb").put_item(TableName=TABLE, Item=item)
        request = {"system": SYSTEM, "environment": script, **(given or {})}
        return Run(self.cloud, self.cloud.start(machine, request), script)


def build(cloud: Cloud) -> Stage:
    cloud.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": KEY, "AttributeType": "S"}],
    )
    code = (Path(__file__).parent / "stub.py").read_text()
    may = {
        "Effect": "Allow",
        "Action": ["dynamodb:UpdateItem", "states:SendTaskSuccess", "states:SendTaskFailure"],
        "Resource": "*",
    }
    functions = {
        variable: cloud.function(
            code, may, Environment={"Variables": {"TABLE": TABLE, "STEPS": steps}}, Timeout=30
        )
        for variable, steps in STEPS.items()
    }
    return Stage(cloud, functions)
