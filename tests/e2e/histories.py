"""What executions did, read from their histories."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.e2e.support import SampleCloud
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Entered:
    """A state that an execution entered; AWS bills each of them (Step Functions pricing, "state transitions")."""

    at: datetime
    state: str
    given: Any
    machine: str

    @property
    def name(self) -> str:
        """`deploy.PlanRelease`"""
        return f"{self.machine}.{self.state}"


def entered(cloud: SampleCloud, execution: str) -> list[Entered]:
    """In the order in which it entered them."""
    pages = cloud.client("stepfunctions").get_paginator("get_execution_history")
    machine = execution.split(":")[-2].removeprefix(f"{cloud.cloud.options.stack}-")
    return [
        Entered(event["timestamp"], said["name"], json.loads(said.get("input") or "null"), machine)
        for page in pages.paginate(executionArn=execution)
        for event in page["events"]
        if (said := event.get("stateEnteredEventDetails")) is not None
    ]


def path(cloud: SampleCloud, execution: str) -> list[str]:
    """The names of the states, in the order in which it entered them."""
    return [step.state for step in entered(cloud, execution)]


def all_entered(cloud: SampleCloud, executions: Iterable[str]) -> list[Entered]:
    """Of several executions together, in the order of time."""
    steps = [step for execution in sorted(set(executions)) for step in entered(cloud, execution)]
    return sorted(steps, key=lambda step: step.at)


def over(cloud: SampleCloud, execution: str, seconds: float = 90.0) -> dict[str, Any]:
    """DescribeExecution, once it has ended."""
    states = cloud.client("stepfunctions")

    def look() -> dict[str, Any] | None:
        described = states.describe_execution(executionArn=execution)
        return dict(described) if described["status"] != "RUNNING" else None

    return wait_until(look, what=f"{execution} to end", seconds=seconds, pause=0.2)


def document(cloud: SampleCloud, execution: str, seconds: float = 90.0) -> dict[str, Any]:
    """The outcome document with which it ended."""
    described = over(cloud, execution, seconds)
    return dict(json.loads(described.get("output") or described.get("cause") or "{}"))
