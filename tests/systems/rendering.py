"""What CloudFormation makes of a template and its parameters, without CloudFormation: nested stacks and all.

Only what can be known beforehand: what AWS chooses itself is a `Symbol`, a text such as `<Database/Instance.Arn>`.
Intrinsic functions are as the template reference has them ("Intrinsic function reference"); dynamic references
(`{{resolve:…}}`) stay as they are.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
SYSTEMS = ROOT / "systems"
ACCOUNT = "123456789012"
NESTED = "AWS::CloudFormation::Stack"

Json = dict[str, Any]


class RenderError(Exception):
    """CloudFormation would refuse this template, or these parameters."""


class Symbol(str):
    """What is known once the stack is there; `<path>` or `<path.attribute>`."""

    __slots__ = ()


class _Left:
    """AWS::NoValue."""


_LEFT = _Left()
# What Ref gives, where that is a name of the template's own ("Return values" of each type).
_NAMED = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "ResourceId",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::CodeBuild::Project": "Name",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBCluster": "DBClusterIdentifier",
    "AWS::RDS::DBClusterParameterGroup": "DBClusterParameterGroupName",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::RDS::DBParameterGroup": "DBParameterGroupName",
    "AWS::RDS::DBSubnetGroup": "DBSubnetGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SSM::Parameter": "Name",
}
_NAMED_ATTRIBUTES = {
    ("AWS::ECS::Service", "Name"): "ServiceName",
    ("AWS::SQS::Queue", "QueueName"): "QueueName",
}


def environments(system: str) -> list[str]:
    """Those that its samconfig.toml has a table for."""
    content = tomllib.loads((SYSTEMS / system / "samconfig.toml").read_text())
    return [name for name, value in content.items() if isinstance(value, dict) and name != "default"]


def settings(system: str, environment: str) -> Json:
    """The `deploy` parameters of an environment: `stack_name`, `region`, `parameter_overrides` as a mapping."""
    content = tomllib.loads((SYSTEMS / system / "samconfig.toml").read_text())
    table = {**content[environment].get("global", {}).get("parameters", {})}
    table |= content[environment].get("deploy", {}).get("parameters", {})
    given = table.get("parameter_overrides", [])
    listed = shlex.split(given) if isinstance(given, str) else given
    table["parameter_overrides"] = dict(str(entry).partition("=")[::2] for entry in listed)
    return table


@cache
def _template(file: Path, written: int) -> Json:
    """`written` is when: a file that is written anew is read anew."""
    template: Json = yaml_parse(file.read_text())
    return template


@cache
def _rendered(system: str, environment: str, overrides: tuple[tuple[str, str], ...]) -> Rendered:
    table = settings(system, environment)
    given = {**table["parameter_overrides"], **dict(overrides)}
    return Stack.read(
        SYSTEMS / system / "template.yaml", given, region=str(table["region"]), name=str(table["stack_name"])
    ).render()


def render(system: str, environment: str, **overrides: str) -> Rendered:
    """The system's template as its samconfig.toml has it, with `overrides`. Raises `RenderError`."""
    return _rendered(system, environment, tuple(sorted(overrides.items())))


def render_file(path: Path, region: str = "us-east-1", **parameters: str) -> Rendered:
    """Any template. Raises `RenderError`."""
    return Stack.read(path, parameters, region=region, name="stack").render()


@dataclass(frozen=True)
class Rendered:
    """Resources that the conditions leave, by path (`Database/Instance`), those of nested stacks among them."""

    resources: Mapping[str, Json]
    outputs: Mapping[str, Any]

    def of(self, type_: str) -> dict[str, Json]:
        """Properties by path."""
        return {
            path: resource["Properties"]
            for path, resource in self.resources.items()
            if resource["Type"] == type_
        }

    def one(self, type_: str) -> Json:
        """The properties of the only one of its type."""
        [(_, properties)] = self.of(type_).items()
        return properties

    def named(self, type_: str, **properties: Any) -> Json:
        """The properties of the only one with these."""
        found = [
            own for own in self.of(type_).values() if all(own.get(k) == v for k, v in properties.items())
        ]
        assert len(found) == 1, f"{len(found)} of {type_} with {properties}; there are {self.of(type_)}"
        return found[0]

    def __getitem__(self, path: str) -> Json:
        properties: Json = self.resources[path]["Properties"]
        return properties


@dataclass
class Stack:
    """One template with its parameters; `path` is where it is nested (`Database/`), empty for the root."""

    template: Json
    folder: Path
    parameters: Json
    pseudo: Mapping[str, str]
    path: str = ""
    _conditions: dict[str, bool] = field(default_factory=dict)
    _nested: dict[str, Stack] = field(default_factory=dict)
    _properties: dict[str, Json] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path, given: Mapping[str, str], *, region: str, name: str, path: str = "") -> Stack:
        """Raises `RenderError` for parameters that CloudFormation would refuse."""
        template = _template(file, file.stat().st_mtime_ns)
        pseudo = {
            "AWS::Region": region,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": name,
            "AWS::StackId": Symbol(f"<{name}>"),
        }
        declared = template.get("Parameters", {})
        where = f"{path or file.name}: "
        for unknown in sorted(set(given) - set(declared)):
            raise RenderError(f"{where}there is no parameter {unknown}")
        values: Json = {}
        for key, parameter in declared.items():
            if key not in given and "Default" not in parameter:
                raise RenderError(f"{where}parameter {key} is not given")
            value = given.get(key, parameter.get("Default"))
            if isinstance(value, (list, dict)):
                raise RenderError(
                    f"{where}parameter {key} is a {type(value).__name__}; nested stacks take texts"
                )
            value = _text(value)
            if parameter["Type"].startswith("AWS::SSM::Parameter::Value"):
                value = f"{{{{resolve:ssm:{value}}}}}"  # the same, written the other way
            values[key] = _parameter(f"{where}{key}", parameter, value)
        stack = cls(template, file.parent, values, pseudo, path)
        stack._check_rules(where)
        return stack

    def render(self) -> Rendered:
        """Raises `RenderError`."""
        resources: dict[str, Json] = {}
        for name, resource in self.template["Resources"].items():
            if not self._made(resource):
                continue
            if resource["Type"] == NESTED:
                resources |= self._stack(name).render().resources
            else:
                resources[self.path + name] = {**resource, "Properties": self._properties_of(name)}
        return Rendered(resources, self.outputs())

    def outputs(self) -> dict[str, Any]:
        """Of those whose condition holds."""
        listed = self.template.get("Outputs", {})
        return {name: self.value(output["Value"]) for name, output in listed.items() if self._made(output)}

    def _made(self, entry: Json) -> bool:
        return "Condition" not in entry or self.holds(entry["Condition"])

    def _properties_of(self, name: str) -> Json:
        if name not in self._properties:
            properties = self.value(self.template["Resources"][name].get("Properties", {}))
            self._properties[name] = properties
        return self._properties[name]

    def _stack(self, name: str) -> Stack:
        if name not in self._nested:
            properties = self.template["Resources"][name]["Properties"]
            given = {
                key: value
                for key, value in ((k, self.value(v)) for k, v in properties.get("Parameters", {}).items())
                if value is not _LEFT
            }
            self._nested[name] = Stack.read(
                self.folder / properties["TemplateURL"],
                given,
                region=self.pseudo["AWS::Region"],
                name=f"{self.pseudo['AWS::StackName']}-{name}",
                path=f"{self.path}{name}/",
            )
        return self._nested[name]

    def holds(self, condition: str) -> bool:
        """Whether a named condition is true."""
        if condition not in self._conditions:
            self._conditions[condition] = self._true(self.template["Conditions"][condition])
        return self._conditions[condition]

    def _true(self, said: Any) -> bool:
        if isinstance(said, bool):
            return said
        [(function, operand)] = said.items()
        if function == "Condition":
            return self.holds(operand)
        if function == "Fn::Equals":
            left, right = (self.value(one) for one in operand)
            return bool(_text(left) == _text(right))
        if function == "Fn::Not":
            return not self._true(operand[0])
        if function == "Fn::And":
            return all(self._true(one) for one in operand)
        if function == "Fn::Or":
            return any(self._true(one) for one in operand)
        if function == "Fn::Contains":
            listed, wanted = (self.value(one) for one in operand)
            return _text(wanted) in [_text(one) for one in listed]
        if function == "Fn::EachMemberIn":
            members, listed = (self.value(one) for one in operand)
            return {_text(one) for one in members} <= {_text(one) for one in listed}
        raise RenderError(f"{self.path}condition {function} is not known")

    def _check_rules(self, where: str) -> None:
        for name, rule in self.template.get("Rules", {}).items():
            if "RuleCondition" in rule and not self._true(rule["RuleCondition"]):
                continue
            for assertion in rule["Assertions"]:
                if not self._true(assertion["Assert"]):
                    said = assertion.get("AssertDescription", "")
                    raise RenderError(f"{where}rule {name}: {said}")

    def value(self, written: Any) -> Any:
        """A value of the template, evaluated. Raises `RenderError`."""
        if isinstance(written, list):
            values = [self.value(one) for one in written]
            return [one for one in values if one is not _LEFT]
        if not isinstance(written, dict):
            return written
        if len(written) == 1:
            [(function, operand)] = written.items()
            if function == "Ref":
                return self._ref(operand)
            if function.startswith("Fn::"):
                return self._function(function, operand)
        evaluated = {key: self.value(one) for key, one in written.items()}
        return {key: one for key, one in evaluated.items() if one is not _LEFT}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _LEFT
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        if name not in self.template["Resources"]:
            raise RenderError(f"{self.path}there is no {name} to refer to")
        type_ = self.template["Resources"][name]["Type"]
        named = None
        if type_ in _NAMED and self._made(self.template["Resources"][name]):
            named = self.value(self.template["Resources"][name].get("Properties", {}).get(_NAMED[type_]))
        return Symbol(f"<{self.path}{name}>") if named in {None, _LEFT} else named

    def _attribute(self, operand: Any) -> Any:
        name, attribute = operand.split(".", 1) if isinstance(operand, str) else operand
        if name not in self.template["Resources"]:
            raise RenderError(f"{self.path}there is no {name} to get {attribute} of")
        resource = self.template["Resources"][name]
        if resource["Type"] == NESTED:
            if not self._made(resource):
                raise RenderError(f"{self.path}{name} is not made, and its {attribute} is asked for")
            outputs = self._stack(name).outputs()
            wanted = attribute.removeprefix("Outputs.")
            if wanted not in outputs:
                raise RenderError(f"{self.path}{name} has no output {wanted}; it has {', '.join(outputs)}")
            return outputs[wanted]
        own = _NAMED_ATTRIBUTES.get((resource["Type"], attribute))
        written = resource.get("Properties", {}).get(own) if own else None
        return Symbol(f"<{self.path}{name}.{attribute}>") if written is None else self.value(written)

    def _function(self, function: str, operand: Any) -> Any:
        functions: dict[str, Callable[[Any], Any]] = {
            "Fn::Base64": self.value,
            "Fn::Cidr": lambda own: Symbol(f"<cidr {self.value(own)}>"),
            "Fn::FindInMap": self._mapped,
            "Fn::GetAtt": self._attribute,
            "Fn::GetAZs": lambda own: [
                f"{self.value(own) or self.pseudo['AWS::Region']}{zone}" for zone in "abc"
            ],
            "Fn::If": lambda own: self.value(own[1] if self.holds(own[0]) else own[2]),
            "Fn::Join": self._joined,
            "Fn::Select": self._selected,
            "Fn::Split": lambda own: _text(self.value(own[1])).split(own[0]),
            "Fn::Sub": self._substituted,
        }
        if function in functions:
            return functions[function](operand)
        if function in {"Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or", "Fn::Contains"}:
            return self._true({function: operand})
        raise RenderError(f"{self.path}{function} is not known")

    def _mapped(self, operand: Any) -> Any:
        name, first, second = (self.value(one) for one in operand)
        return self.value(self.template["Mappings"][name][_text(first)][_text(second)])

    def _joined(self, operand: Any) -> str:
        listed = self.value(operand[1])
        if not isinstance(listed, list):
            raise RenderError(f"{self.path}Fn::Join of {listed!r}, which is no list")
        return str(operand[0]).join(_text(one) for one in listed)

    def _selected(self, operand: Any) -> Any:
        index, listed = int(_text(self.value(operand[0]))), self.value(operand[1])
        if isinstance(listed, Symbol):  # a list that AWS makes, such as Ipv6CidrBlocks of a VPC
            return Symbol(f"<{listed.strip('<>')}[{index}]>")
        if not isinstance(listed, list) or index >= len(listed):
            raise RenderError(f"{self.path}Fn::Select of number {index} of {listed!r}")
        return listed[index]

    def _substituted(self, operand: Any) -> str:
        text, given = (operand, {}) if isinstance(operand, str) else operand

        def one(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in given:
                return str(_text(self.value(given[name])))
            known = name in self.pseudo or name in self.parameters or name in self.template["Resources"]
            return str(_text(self._ref(name) if known else self._attribute(name)))

        return re.sub(r"\$\{([^}]+)\}", one, text)


def parameters_of(path: Path) -> Iterator[tuple[str, Json]]:
    """The parameters of a template, by name."""
    yield from _written(path).get("Parameters", {}).items()


@cache
def _parsed(text: str) -> Json:
    template: Json = yaml_parse(text)
    return template


def _written(path: Path) -> Json:
    """A template as it is written, and nobody's to change: a service's is nested five times."""
    return _parsed(path.read_text())


def _parameter(where: str, declared: Json, value: str) -> Any:
    if isinstance(value, Symbol):
        return [value] if _is_list(declared) else value
    values = [one.strip() for one in value.split(",")] if _is_list(declared) else [value]
    for one in values:
        if "AllowedValues" in declared and one not in [_text(known) for known in declared["AllowedValues"]]:
            raise RenderError(f"{where} is {one!r}, and may be one of {declared['AllowedValues']}")
        pattern = declared.get("AllowedPattern")
        # What is known later cannot be looked at now.
        if pattern is not None and "<" not in one and re.fullmatch(pattern, one) is None:
            raise RenderError(f"{where} is {one!r}; {declared.get('ConstraintDescription', pattern)}")
        if declared["Type"] == "Number":
            number = float(one)
            if (
                not float(declared.get("MinValue", number))
                <= number
                <= float(declared.get("MaxValue", number))
            ):
                raise RenderError(f"{where} is {one}, which is out of its bounds")
    return values if _is_list(declared) else value


def _is_list(declared: Json) -> bool:
    return bool(declared["Type"] == "CommaDelimitedList") or declared["Type"].startswith("List<")


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, (str, list, dict)) else str(value)
