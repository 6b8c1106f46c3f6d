"""Step Functions, EventBridge and metrics in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.ports import Clock, Execution, Started

from tests.support.clock import FakeClock
from tests.support.scripted import Scripted, recorded

PREFIX = "arn:aws:states:eu-west-1:123456789012"


@dataclass(frozen=True, slots=True)
class StartedExecution:
    machine: str
    name: str
    payload: Mapping[str, Any]
    arn: str


class FakeExecutions(Scripted):
    """`started` holds every new execution; `wait(token)` makes a task wait, `answers` what it was told.

    As in Step Functions, a token that nobody waits with (never, or no longer) is not answered.
    """

    def __init__(self, clock: Clock | None = None, stack: str = "tidegate") -> None:
        super().__init__()
        self.clock = clock or FakeClock()
        self.stack = stack
        self.started: list[StartedExecution] = []
        self.executions: dict[str, Execution] = {}
        self.waiting: set[str] = set()
        self.answers: dict[str, Mapping[str, Any]] = {}

    @recorded
    def start(self, machine: str, name: str, payload: Mapping[str, Any]) -> Started:
        arn = self.arn(machine, name)
        if arn in self.executions:
            return Started(arn, new=False)
        self.started.append(StartedExecution(machine, name, json.loads(json.dumps(payload)), arn))
        self.executions[arn] = Execution(arn, "RUNNING")
        return Started(arn, new=True)

    @recorded
    def describe(self, arn: str) -> Execution | None:
        return self.executions.get(arn)

    @recorded
    def named(self, machine: str, name: str) -> Execution | None:
        return self.executions.get(self.arn(machine, name))

    @recorded
    def succeed(self, token: str, output: Mapping[str, Any]) -> bool:
        if token not in self.waiting:
            return False
        self.waiting.discard(token)
        self.answers[token] = json.loads(json.dumps(output))
        return True

    def arn(self, machine: str, name: str) -> str:
        return f"{PREFIX}:execution:{self.stack}-{machine}:{name}"

    def run(self, machine: str, name: str) -> str:
        """An execution that runs already, started by somebody else; its ARN."""
        arn = self.arn(machine, name)
        self.executions[arn] = Execution(arn, "RUNNING")
        return arn

    def end(self, arn: str, status: str = "SUCCEEDED", result: str | None = None) -> None:
        self.executions[arn] = Execution(arn, status, self.clock.now(), result)

    def forget(self, arn: str) -> None:
        """Step Functions forgets an execution 90 days after it ended."""
        del self.executions[arn]

    def wait(self, token: str) -> str:
        self.waiting.add(token)
        return token


class FakeBus(Scripted):
    """`events` are (detail type, detail) in order, `sources` theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.sources: list[str] = []

    @recorded
    def emit(self, detail_type: str, detail: Mapping[str, Any], source: str = "tidegate") -> None:
        self.events.append((detail_type, json.loads(json.dumps(detail))))
        self.sources.append(source)

    def of(self, detail_type: str) -> list[Mapping[str, Any]]:
        return [detail for kind, detail in self.events if kind == detail_type]


@dataclass(frozen=True, slots=True)
class Counted:
    name: str
    value: float
    unit: str
    dimensions: Mapping[str, str]


class FakeMetrics:
    def __init__(self) -> None:
        self.counted: list[Counted] = []

    def count(self, name: str, value: float = 1, unit: str = "Count", **dimensions: str) -> None:
        self.counted.append(Counted(name, value, unit, dimensions))

    def total(self, name: str, **dimensions: str) -> float:
        """The sum of what was counted under this name and (at least) these dimensions."""
        return sum(
            entry.value
            for entry in self.counted
            if entry.name == name and dimensions.items() <= entry.dimensions.items()
        )
