"""Conditions may use pseudo parameters, lists and texts put together.

AWS: `Fn::Equals` in Conditions takes `Ref` (pseudo parameters too), `Fn::FindInMap`, `Fn::Join`, `Fn::Select`,
`Fn::Split` and `Fn::Sub` (CloudFormation template reference, "Condition functions": "Supported functions").
MiniStack: resolves only `Ref` to a parameter and `Fn::Select`; `!Equals [!Ref AWS::Region, us-east-1]` compares the
words "AWS::Region", and `!Equals [!Join ["", !Ref List], ""]` compares the function itself: always false.
Mended by resolving both sides as everywhere else in a template.
"""

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import engine

from tidegate_local.seam import Handler, expect, expect_attributes, graft

Json = dict[str, Any]
_REFS = "(value, resources, params, conditions, mappings, stack_name, stack_id)"


@dataclass(slots=True)
class Conditions:
    """The conditions of one template with these parameters."""

    template: Json
    parameters: Json
    resolve: Handler
    known: dict[str, bool] = field(default_factory=dict)

    def every(self) -> dict[str, bool]:
        """By name. Raises `ValueError`."""
        return {name: self._condition(name) for name in self._definitions}

    @property
    def _definitions(self) -> Json:
        return self.template.get("Conditions") or {}

    def _condition(self, name: str) -> bool:
        if name not in self._definitions:
            raise ValueError(
                f"Template format error: Unresolved dependencies [{name}] in the Conditions block"
            )
        if name not in self.known:
            self.known[name] = self._truth(self._definitions[name])
        return self.known[name]

    def _truth(self, given: Any) -> bool:
        function, arguments = next(iter(given.items())) if isinstance(given, dict) else ("", given)
        match function:
            case "Fn::Equals":
                return self._text(arguments[0]) == self._text(arguments[1])
            case "Fn::And":
                return all(self._truth(each) for each in arguments)
            case "Fn::Or":
                return any(self._truth(each) for each in arguments)
            case "Fn::Not":
                return not self._truth(arguments[0])
            case "Condition":
                return self._condition(arguments)
        return bool(given)

    def _text(self, given: Any) -> str:
        mappings = self.template.get("Mappings") or {}
        found = self.resolve(
            given, {}, self.parameters, self.known, mappings, "AWS::StackName", "AWS::StackId"
        )
        if isinstance(found, list | dict) or found is engine._NO_VALUE:
            # AWS's words.
            raise ValueError(
                "Template error: every Fn::Equals object requires a list of 2 string parameters."
            )
        return str(found).lower() if isinstance(found, bool) else str(found)


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(engine, "_NO_VALUE")
    resolve = expect(engine, "_resolve_refs", signature=_REFS)

    def evaluate(template: Json, params: Json) -> dict[str, bool]:
        return Conditions(template, params, resolve).every()

    original = graft(
        engine,
        "_evaluate_conditions",
        evaluate,
        signature="(template: dict, params: dict) -> dict",
        shows="if pname in params:",
    )
    # Its neighbours have imported it by name.
    for module in vars(cloudformation).values():
        if isinstance(module, ModuleType) and vars(module).get("_evaluate_conditions") is original:
            setattr(module, "_evaluate_conditions", evaluate)  # noqa: B010 -- a name of another's module
