"""The real state machines, as far as `deploy`, `rollback` and `roll` need it: their states, choices and expressions.

What is read here are the files that are deployed, so a test that plays them follows every change of them. JSONata is
translated into Python: the operators and functions that these files use, and no others.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MACHINES = Path(__file__).parents[3] / "statemachines"
# The variables of a run, and under "states" what JSONata knows as `$states`.
Scope = Mapping[str, Any]
_OPTIONAL = re.compile(r"\$exists\(\$([\w.]+)\) \? \$\1 : null")
_CALL = re.compile(r"\$(count|string|substring)\(")
_PATH = re.compile(r"\$(\w+(?:\.\w+)*)")
_ROLLED = re.compile(r"\$count\(\$states\.result\) - \$count\(\$states\.result\[outcome = 'Rolled'\]\)")


@functools.cache
def states(machine: str) -> dict[str, Any]:
    """By name; `""` stands for what the machine starts with."""
    definition = json.loads((MACHINES / f"{machine}.asl.json").read_text())
    return {**definition["States"], "": {"Next": definition["StartAt"]}}


def evaluated(template: Any, scope: Scope) -> Any:
    """A value of the file with its expressions filled in."""
    if isinstance(template, Mapping):
        return {name: evaluated(value, scope) for name, value in template.items()}
    if isinstance(template, str) and template.startswith("{%"):
        return _compiled(template)(scope)
    return template


def chosen(state: Mapping[str, Any], scope: Scope) -> str:
    """Where a Choice goes on."""
    for choice in state["Choices"]:
        if evaluated(choice["Condition"], scope):
            return str(choice["Next"])
    return str(state["Default"])


def caught(state: Mapping[str, Any], error: str) -> Mapping[str, Any]:
    """The Catch of an error; every Task and Map of these machines has one for all."""
    for catch in state["Catch"]:
        if error in catch["ErrorEquals"] or "States.ALL" in catch["ErrorEquals"]:
            return dict(catch)
    raise LookupError(error)


def retried(state: Mapping[str, Any], error: str) -> bool:
    return any(error in retry["ErrorEquals"] for retry in state.get("Retry", []))


@functools.cache
def _compiled(expression: str) -> Callable[[Scope], Any]:
    text = expression.removeprefix("{%").removesuffix("%}").strip()
    text = _ROLLED.sub("sum(item['outcome'] != 'Rolled' for item in at('states.result'))", text)
    text = text.replace(
        "[$waves[$wave].services]",
        "at('waves')[at('wave')]['services'] if at('wave') < len(at('waves')) else []",
    )
    text = _OPTIONAL.sub(r"at('\1', None)", text)
    text = _PATH.sub(r"at('\1')", _CALL.sub(r"\1(", text))
    text = text.replace(" = ", " == ").replace(" & ", " + ").replace("null", "None")
    code = compile(text, expression, "eval")
    known = {"count": len, "string": str, "substring": lambda text, first, length: text[first:length]}

    def evaluate(scope: Scope) -> Any:
        return eval(code, {**known, "at": functools.partial(_at, scope)})  # noqa: S307 -- our own files

    return evaluate


def _at(scope: Scope, path: str, *default: Any) -> Any:
    """What is not there is an error, as it is in a state machine."""
    found: Any = scope
    for name in path.split("."):
        if default and name not in found:
            return default[0]
        found = found[name]
    return found
