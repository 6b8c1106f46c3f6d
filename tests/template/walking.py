"""Walking through a definition in Amazon States Language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
_SUBSTITUTION = re.compile(r"\$\{(\w+)\}")
# A function of this stack, or the one of the same name of an environment's runner, whose stack's name is data.
_OR_A_RUNNERS = re.compile(r"\{% (\$\w+(?:\.\w+)?) \? \1 & '(-\w+)' : '\$\{(\w+)\}' %\}")
# The step in a payload that an expression makes.
_STEP = re.compile(r"\{% .*'step': '(\w+)'")
_KEY = re.compile(r"'(\w+)': ")
INVOKE = "arn:aws:states:::lambda:invoke"
INVOKE_AND_WAIT = f"{INVOKE}.waitForTaskToken"
RUN = "arn:aws:states:::states:startExecution.sync:2"


@dataclass(frozen=True)
class Flow:
    """The states of one level: a machine's own, or those of a Map's iteration (`path` says which)."""

    path: str
    start: str
    states: dict[str, Json]
    inner: list[Flow] = field(default_factory=list)

    @property
    def iteration(self) -> bool:
        return "/" in self.path

    def all(self) -> Iterator[Flow]:
        yield self
        for flow in self.inner:
            yield from flow.all()

    def ends(self, origin: str, *, not_through: frozenset[str] = frozenset()) -> set[str]:
        """The states in which a run can end that has come to `origin`."""
        return {
            name
            for name in reachable(self.states, origin, not_through)
            if self.states[name]["Type"] in ("Succeed", "Fail") or self.states[name].get("End")
        }


def flow_of(name: str, definition: Json) -> Flow:
    inner = [
        flow_of(f"{name}/{key}", part)
        for key, state in definition["States"].items()
        for part in [state.get("ItemProcessor"), *state.get("Branches", [])]
        if part is not None
    ]
    return Flow(name, definition["StartAt"], definition["States"], inner)


def following(state: Json) -> list[str]:
    """Where a state may lead, catchers included."""
    names = [state.get("Next"), state.get("Default")]
    names += [choice["Next"] for choice in state.get("Choices", [])]
    names += [catcher["Next"] for catcher in state.get("Catch", [])]
    return [name for name in names if name is not None]


def reachable(states: dict[str, Json], origin: str, not_through: frozenset[str] = frozenset()) -> set[str]:
    found: set[str] = set()
    ahead = [origin]
    while ahead:
        name = ahead.pop()
        if name in found or name not in states or name in not_through:
            continue
        found.add(name)
        ahead += following(states[name])
    return found


def tasks(flow: Flow) -> Iterator[tuple[str, Json]]:
    for name, state in flow.states.items():
        if state["Type"] == "Task":
            yield name, state


def substitutions(value: object) -> set[str]:
    """Names of the `${…}` in a definition or a part of it."""
    return set(_SUBSTITUTION.findall(json.dumps(value)))


def called(state: Json) -> str | None:
    """What a Task calls: the name of the substitution that is its function or machine, whole, or that is called where
    there is no runner."""
    text = _target(state)
    if match := _OR_A_RUNNERS.fullmatch(text):
        return match.group(3)
    match = _SUBSTITUTION.fullmatch(text)
    return match.group(1) if match else None


def runners(state: Json) -> str | None:
    """How the names of the functions of runners end that a Task may call instead: `-smoke`."""
    match = _OR_A_RUNNERS.fullmatch(_target(state))
    return match.group(2) if match else None


def step_of(state: Json) -> str | None:
    """Which step of its function a Task asks for; one that does a single thing is not told."""
    payload = state["Arguments"].get("Payload", {})
    if isinstance(payload, str):
        match = _STEP.match(payload)
        return match.group(1) if match else None
    step = payload.get("step")
    return None if step is None else str(step)


def keys_of(state: Json) -> frozenset[str]:
    """What a Task tells its function; of a payload that an expression makes, what that adds to the variable."""
    payload = state["Arguments"]["Payload"]
    return frozenset(_KEY.findall(payload) if isinstance(payload, str) else payload)


def _target(state: Json) -> str:
    arguments = state.get("Arguments", {})
    return str(arguments.get("FunctionName") or arguments.get("StateMachineArn") or "")
