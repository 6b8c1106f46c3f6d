"""The template as it is written, as SAM's transform expands it, and the definitions of the state machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
_ARTEFACTS = ("CodeUri", "ContentUri", "DefinitionUri")

Json = dict[str, Any]
# Gets the template as written and the definitions by the machine's logical id, and changes them in place.
Change = Callable[[Json, dict[str, Json]], object]


@dataclass(frozen=True)
class Stack:
    """`written` has SAM's types, `resources` CloudFormation's, `machines` is by the machine's logical id."""

    written: Json
    resources: dict[str, Json]
    machines: dict[str, Json]

    def of_type(self, type_: str) -> dict[str, Json]:
        """Properties by logical id, after the transform."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == type_
        }

    def target(self, value: object) -> str | None:
        """The logical id of what is called: by a Ref, or a machine by its ARN where a Ref would be a circle."""
        if isinstance(value, dict) and isinstance(value.get("Fn::Sub"), str):
            name = value["Fn::Sub"].rpartition(":stateMachine:")[2]
            machines = self.of_type("AWS::StepFunctions::StateMachine")
            return next(
                (id_ for id_, m in machines.items() if m["StateMachineName"] == {"Fn::Sub": name}), None
            )
        return referred(value)

    def functions(self) -> dict[str, Json]:
        return self.of_type("AWS::Lambda::Function")

    def changed(self, change: Change) -> Stack:
        """Another stack, with a fault put in."""
        written, machines = deepcopy(self.written), deepcopy(self.machines)
        change(written, machines)
        return Stack(written, _translated(written), machines)


@cache
def load() -> Stack:
    written = yaml_parse(TEMPLATE.read_text())
    machines = {
        name: json.loads((ROOT / resource["Properties"]["DefinitionUri"]).read_text())
        for name, resource in written["Resources"].items()
        if resource["Type"] == "AWS::Serverless::StateMachine"
    }
    return Stack(written, _translated(written), machines)


def _translated(written: Json) -> dict[str, Json]:
    """Local paths become addresses in S3, as `sam package` makes them; nothing is sent anywhere."""
    template = deepcopy(written)
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for key in _ARTEFACTS:
            if isinstance(properties.get(key), str):
                properties[key] = f"s3://bucket/{properties[key]}"
    session = boto3.Session(region_name="us-east-1")
    translated = Translator({}, Parser(), boto_session=session).translate(template, {})
    resources: dict[str, Json] = translated["Resources"]
    return resources


def referred(value: object) -> str | None:
    """The logical id that a Ref or Fn::GetAtt points to."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("Ref"), str):
        return str(value["Ref"])
    attribute = value.get("Fn::GetAtt")
    if isinstance(attribute, str):
        return attribute.split(".", 1)[0]
    return str(attribute[0]) if isinstance(attribute, list) else None


def within(value: object) -> Iterator[Any]:
    """A value and everything in it."""
    yield value
    if isinstance(value, dict):
        for inner in value.values():
            yield from within(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from within(inner)
