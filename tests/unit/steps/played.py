"""Executions, as Step Functions plays them: the states are those of the machines that are deployed (`asl`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidegate.domain.errors import ConflictError
from tidegate.ports import Execution
from tidegate.steps import lock, plan_release, record, roll_service

from tests.support.clock import iso
from tests.unit.steps import asl
from tests.unit.steps.invoked import NONE, Function, Invocation, KilledError, Trouble

if TYPE_CHECKING:
    from tests.unit.steps.fire import Fire

FUNCTIONS: dict[str, Function] = {
    "${PlanReleaseArn}": plan_release.run,
    "${LockArn}": lock.run,
    "${RollServiceArn}": roll_service.run,
    "${RecordArn}": record.run,
}


@dataclass(eq=False)
class Run:
    """One execution of a state machine, as Step Functions plays it: a state, its variables, the task that waits."""

    fire: Fire
    machine: str
    name: str
    request: Mapping[str, Any]
    parent: Run | None = None
    state: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    live: bool = True
    ended: str = ""
    output: Any = None
    children: list[Run] = field(default_factory=list)
    token: str | None = None
    entered: str = ""
    attempt: int = 0
    called: bool = False
    until: datetime | None = None
    function: Invocation | None = None

    def __post_init__(self) -> None:
        self.arn = self.fire.world.executions.arn(self.machine, self.name)
        self.began = iso(self.fire.world.clock.now())

    @property
    def definition(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = asl.states(self.machine)[self.state]
        return found

    @property
    def waits(self) -> bool:
        """For an answer to its token, which nothing but that, or its time-out, ends."""
        return self.live and self.called and self.token is not None

    @property
    def ready(self) -> bool:
        """Its state has a function that was not called yet."""
        idle = self.function is None and not self.called
        return self.live and idle and self.definition["Type"] == "Task"

    def scope(self, **more: Any) -> dict[str, Any]:
        execution = {"Id": self.arn, "Name": self.name, "StartTime": self.began, "Input": self.request}
        context = {
            "Execution": execution,
            "Task": {"Token": self.token},
            "State": {"EnteredTime": self.entered, "RetryCount": self.attempt},
            **more.pop("context", {}),
        }
        return {**self.variables, "states": {"input": self.request, "context": context, **more}}

    def enter(self, state: str) -> None:
        """And through all that decides itself."""
        self._leave()
        self.state, self.attempt = state, 0
        self.entered = iso(self.fire.world.clock.now())
        definition = self.definition
        match definition["Type"]:
            case "Choice":
                self.enter(asl.chosen(definition, self.scope()))
            case "Succeed" | "Fail":
                self.output = asl.evaluated(definition.get("Output"), self.scope())
                self._end("SUCCEEDED" if definition["Type"] == "Succeed" else "FAILED")
                self.ended = state
            case "Wait":
                seconds = asl.evaluated(definition["Seconds"], self.scope())
                self.until = self.fire.world.clock.now() + timedelta(seconds=seconds)
            case "Map":
                for item in asl.evaluated(definition["Items"], self.scope()):
                    chosen = self.scope(context={"Map": {"Item": {"Value": item}}})
                    given = asl.evaluated(definition["ItemSelector"], chosen)
                    self.children.append(self.fire.begin("roll", given, self))
                if not self.children:
                    self._complete([])

    def _leave(self) -> None:
        if self.token is not None:
            self.fire.world.executions.waiting.discard(self.token)
        self.token, self.function, self.called, self.until, self.children = None, None, False, None, []

    def advance(self, trouble: Trouble = NONE) -> None:
        """Call the function of its state, where it was not called yet."""
        definition = self.definition
        if not self.ready:
            return
        if definition["Resource"].endswith("waitForTaskToken"):
            self.fire.numbers += 1
            self.token = self.fire.world.executions.wait(f"{self.name}/{self.state}/{self.fire.numbers}")
        function = FUNCTIONS[definition["Arguments"]["FunctionName"]]
        event = asl.evaluated(definition["Arguments"]["Payload"], self.scope())
        invocation = self.fire.call(function, event, trouble)
        invocation.run = self
        self.function = invocation
        if invocation.over:
            self.returned(invocation)

    def returned(self, invocation: Invocation) -> None:
        """The function of its state, unless it has gone on without it, has answered or failed."""
        if not self.live or self.function is not invocation:
            return
        self.function = None
        if self._answered():
            return
        error = invocation.error
        if error is None and self.token is None:
            self._complete({"Payload": invocation.result})
        elif error is None:
            self.called = True
        else:
            name = "Sandbox.Timedout" if isinstance(error, KilledError) else type(error).__name__
            self.failed(name, str(error), worn_out=invocation.trouble.worn_out)

    def failed(self, name: str, cause: str, *, worn_out: bool = False) -> None:
        known = "ConflictError" if name == ConflictError.__name__ else name
        if asl.retried(self.definition, known) and not worn_out:
            attempt = self.attempt + 1
            state, entered = self.state, self.entered
            self._leave()
            self.state, self.entered, self.attempt = state, entered, attempt
            return
        catch = asl.caught(self.definition, name)
        scope = self.scope(errorOutput={"Error": name, "Cause": cause})
        self.variables |= asl.evaluated(catch.get("Assign", {}), scope)
        self.enter(catch["Next"])

    def settle(self) -> bool:
        """What needs nobody: an answered token, children that have ended, a wait that is over."""
        if self.token is not None and self._answered():
            return True
        if self.until is not None and self.fire.world.clock.now() >= self.until:
            self.enter(self.definition["Next"])
            return True
        if self.children and not any(child.live for child in self.children):
            # One that was stopped ends its iteration as a Catch has it.
            stuck = {"outcome": "Stuck"}
            self._complete([child.output or {**stuck, **child.request} for child in self.children])
            return True
        return False

    def time_out(self) -> bool:
        """The state's time is over; False where it was not waiting for an answer."""
        if not self.waits:
            return False
        self.failed("States.Timeout", "")
        return True

    def stop(self, *, children: bool = True) -> None:
        """StopExecution. Step Functions stops the children as well, as good as it can."""
        kept = self.children
        self._leave()
        self._end("ABORTED")
        for child in kept if children else []:
            if child.live:
                child.stop()

    def _answered(self) -> bool:
        answer = self.fire.world.executions.answers.get(self.token or "")
        if answer is None:
            return False
        self._complete(answer)
        return True

    def _complete(self, result: Any) -> None:
        definition = self.definition
        self.variables |= asl.evaluated(definition.get("Assign", {}), self.scope(result=result))
        self.enter(definition["Next"])

    def _end(self, status: str) -> None:
        self.live = False
        executions = self.fire.world.executions
        executions.executions[self.arn] = Execution(self.arn, status, self.fire.world.clock.now())
