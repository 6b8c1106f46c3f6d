"""The definitions are Amazon States Language, and their expressions are JSONata.

cfn-lint knows the language's schema but looks only at a definition inside a template, so each is put into one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from jsonata import Jsonata

from tests.template.loading import Json, Stack, load, within
from tests.template.walking import Flow, flow_of

MACHINES = sorted(load().machines)
_VARIABLE = re.compile(r"\$([A-Za-z]\w*)\b(?!\()")  # a function is called, a variable is not
VALUES = {
    "RolloutTimeoutSeconds": "1800",
    "BuildTimeoutSeconds": "7200",
    "ScanTimeoutSeconds": "900",
    "ApprovalTimeoutSeconds": "86400",
    "LongestFunctionSeconds": "30",
}
# What a time-out may be computed from: as the plan has it, seconds.
VARIABLES = {"bake": 300, "smoke": {"within": 60}}


def filled(definition: Json) -> Json:
    """As CloudFormation substitutes it: numbers where numbers belong, ARNs elsewhere."""
    text = json.dumps(definition)
    for name, value in VALUES.items():
        text = text.replace("${" + name + "}", value)
    filled_: Json = json.loads(text.replace("${", "arn:aws:any:us-east-1:123456789012:").replace("Arn}", ""))
    return filled_


def expressions(value: object) -> Iterator[str]:
    for part in within(value):
        if isinstance(part, str) and part.startswith("{%"):
            yield part.removeprefix("{%").removesuffix("%}").strip()


def evaluated(expression: str) -> Any:
    parsed = Jsonata.jsonata(next(expressions(expression)))
    for name, value in VARIABLES.items():
        parsed.assign(name, value)
    return parsed.evaluate({})


def complaints(definition: Json) -> list[str]:
    """`TimeoutSeconds` may be an expression (Task state, "JSONata"), which cfn-lint's schema does not know yet."""
    plain = deepcopy(definition)
    for part in within(plain):
        if isinstance(part, dict) and isinstance(part.get("TimeoutSeconds"), str):
            part["TimeoutSeconds"] = evaluated(part["TimeoutSeconds"])
    template = {
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {"RoleArn": "arn:aws:iam::123456789012:role/any", "Definition": plain},
            }
        }
    }
    return [found.message for found in lint(json.dumps(template), config=ManualArgs(regions=["us-east-1"]))]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_definition_follows_the_schema(machine: str, stack: Stack) -> None:
    assert complaints(filled(stack.machines[machine])) == []


def test_a_definition_that_does_not_is_found(stack: Stack) -> None:
    definition = filled(stack.machines["RollMachine"])
    definition["States"]["StartRollout"]["ResultPath"] = "$.old"
    assert complaints(definition) != []


@pytest.mark.parametrize("machine", MACHINES)
def test_every_expression_is_jsonata(machine: str, stack: Stack) -> None:
    found = list(expressions(filled(stack.machines[machine])))
    assert found
    for expression in found:
        Jsonata.jsonata(expression)


def assigned(definition: Json) -> set[str]:
    return {name for part in within(definition) if isinstance(part, dict) for name in part.get("Assign", {})}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_variable_is_assigned_somewhere(machine: str, stack: Stack) -> None:
    definition = filled(stack.machines[machine])
    used = {name for text in expressions(definition) for name in _VARIABLE.findall(text)}
    assert used - {"states"} <= assigned(definition)


def shadowed(flow: Flow) -> set[str]:
    """Names that a level and one below it both assign.

    A Map's iteration cannot assign the machine's variables, so that one name for two would only seem to be shared
    (Step Functions developer guide, "Passing data between states with variables", "Scope of workflow variables").
    """
    own = {name for state in flow.states.values() for name in level(state)}
    below = {
        name
        for inner in flow.inner
        for deep in inner.all()
        for s in deep.states.values()
        for name in level(s)
    }
    return (own & below).union(*(shadowed(inner) for inner in flow.inner))


def level(state: Json) -> set[str]:
    """What a state assigns, without the states in it."""
    parts = [state, *state.get("Catch", []), *state.get("Choices", [])]
    return {name for part in parts for name in part.get("Assign", {})}


@pytest.mark.parametrize("machine", MACHINES)
def test_no_name_is_assigned_on_two_levels(machine: str, stack: Stack) -> None:
    assert shadowed(flow_of(machine, stack.machines[machine])) == set()


def test_a_name_on_two_levels_is_found(stack: Stack) -> None:
    definition = deepcopy(stack.machines["BuildMachine"])
    definition["States"]["SelectImages"]["Catch"][0]["Assign"]["digest"] = None
    assert shadowed(flow_of("BuildMachine", definition)) == {"digest"}
