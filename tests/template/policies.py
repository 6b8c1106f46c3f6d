"""The policies of roles, taken apart: one entry for each action on each set of resources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.template.loading import Json, Stack, referred


@dataclass(frozen=True, order=True)
class Permission:
    """`resource` and `condition` are JSON with sorted keys: an ARN, a function of CloudFormation, "*"."""

    role: str
    action: str
    resource: str
    condition: str = "null"


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(role: Json) -> Iterator[Json]:
    """Those that are there under a condition, too."""
    for policy in role.get("Policies", []):
        for statement in as_list(policy["PolicyDocument"]["Statement"]):
            _, *either = statement.get("Fn::If", [None, statement])
            yield from (one for one in either if "Ref" not in one)


def permissions(stack: Stack, role: str) -> set[Permission]:
    found = set()
    for statement in statements(stack.resources[role]["Properties"]):
        for action in as_list(statement.get("Action", [])):
            for resource in as_list(statement.get("Resource", [])):
                found.add(
                    Permission(role, action, canonical(resource), canonical(statement.get("Condition")))
                )
    return found


def roles(stack: Stack) -> dict[str, Json]:
    return stack.of_type("AWS::IAM::Role")


def function_roles(stack: Stack) -> dict[str, list[str]]:
    """Functions by the logical id of their role."""
    found: dict[str, list[str]] = {}
    for name, function in stack.functions().items():
        found.setdefault(referred(function["Role"]) or "", []).append(name)
    return found


def machine_roles(stack: Stack) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, machine in stack.of_type("AWS::StepFunctions::StateMachine").items():
        found.setdefault(referred(machine["RoleArn"]) or "", []).append(name)
    return found
