"""The permissions of the functions, one by one: what there is to take away, and a policy without it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.template.loading import Json, Stack
from tests.template.policies import as_list, function_roles, statements

AWS_ONLY: dict[str, dict[str, str]] = yaml.safe_load(
    (Path(__file__).parents[1] / "template" / "aws_only.yaml").read_text()
)


@dataclass(frozen=True, order=True)
class Pair:
    """An action that the role of a function has; `function` is its folder's name, `role` the logical id."""

    function: str
    action: str
    role: str

    def __str__(self) -> str:
        return f"{self.function} {self.action}"


def pairs(stack: Stack) -> list[Pair]:
    """All of them, in the order of the template."""
    return list(dict.fromkeys(_pairs(stack)))


def _pairs(stack: Stack) -> Iterator[Pair]:
    for role, (function,) in function_roles(stack).items():
        name = stack.functions()[function]["Code"]["S3Key"].rsplit("/", 1)[-1]
        for statement in statements(stack.resources[role]["Properties"]):
            for action in as_list(statement["Action"]):
                yield Pair(name, action, role)


def without(document: Json, action: str) -> Json:
    """A policy document without one action; a statement that has no other goes with it."""
    left: list[dict[str, Any]] = []
    for statement in deepcopy(document)["Statement"]:
        actions = [name for name in as_list(statement["Action"]) if name != action]
        if actions:
            left.append({**statement, "Action": actions})
    return {**document, "Statement": left}
