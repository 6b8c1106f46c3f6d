"""infrastructure/*.yaml: what every module says of itself, and what none of them does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse

from tests.template.loading import ROOT, Json, within
from tests.template.policies import as_list

MODULES = sorted((ROOT / "infrastructure").glob("*.yaml"))
# A part of Tidegate itself, written for SAM; tests/template/test_runner.py has more on it.
RUNNER = ROOT / "infrastructure/runner.yaml"
REASONS: dict[str, str] = yaml.safe_load((ROOT / "tests/template/wildcards_of_modules.yaml").read_text())

_REFERENCE = re.compile(r"\$\{([A-Za-z0-9]+)[.}]")
_STATEMENT_LINE = re.compile(r"^\s+- (Sid|Effect):")
_ACTION_LINE = re.compile(r"^\s+(?:- |Action: )[a-z0-9-]+:[A-Za-z*]+\s*(?P<why>#.+)?$")
# Principals of services are the same in every partition.
_PRINCIPAL = re.compile(r"[a-z0-9.-]+\.(\$\{AWS::Region\}\.)?amazonaws\.com")
# Partition, region, account: CloudFormation knows all three.
_HARD_CODED = re.compile(
    r"arn:aws[a-z-]*:|\b(us|eu|ap|sa|ca|me|af|il|mx|cn)-(gov-)?(north|south|east|west|central)[a-z]*-\d"
    r"|\b\d{12}\b|amazonaws\.com"
)

# CloudFormation template reference, "Rule-specific intrinsic functions".
_IN_RULES = {
    f"Fn::{name}"
    for name in [
        "And",
        "Contains",
        "EachMemberEquals",
        "EachMemberIn",
        "Equals",
        "Not",
        "Or",
        "RefAll",
        "ValueOf",
        "ValueOfAll",
    ]
}
_SHORT_IN_RULES = re.compile(r"!(?:Contains|EachMember\w+|RefAll|ValueOf\w*)\b")


@dataclass
class Module:
    """`text` has the comments, `template` what CloudFormation sees."""

    text: str
    template: Json

    def section(self, name: str) -> Json:
        found: Json = self.template.get(name, {})
        return found

    def of(self, *types: str) -> dict[str, Json]:
        """Properties by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.section("Resources").items()
            if resource["Type"] in types
        }


@cache
def module_of(path: Path) -> Module:
    text = path.read_text()
    return Module(text, yaml_parse(text))


Rule = Callable[[Module], list[str]]


def names_in(value: object) -> set[str]:
    """All that a Ref, a Sub or an If names, and conditions of resources."""
    found: set[str] = set()
    for one in within(value):
        if isinstance(one, dict):
            found |= {one[key] for key in ("Ref", "Condition") if isinstance(one.get(key), str)}
            if isinstance(one.get("Fn::If"), list):
                found.add(one["Fn::If"][0])
            for text in as_list(one.get("Fn::Sub", [])):
                found |= set(_REFERENCE.findall(text)) if isinstance(text, str) else set()
    return found


def allowed(module: Module) -> Iterator[Json]:
    """Each statement that allows something, of roles and of policies for them."""
    for properties in module.of("AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy").values():
        documents = [properties.get("PolicyDocument"), properties.get("Policies")]
        for one in within(documents):
            if isinstance(one, dict) and one.get("Effect") == "Allow":
                yield one


def it_says_what_it_is(module: Module) -> list[str]:
    return [] if len(module.template.get("Description", "")) > 20 else ["Description"]


def every_parameter_says_what_it_is(module: Module) -> list[str]:
    return [name for name, one in module.section("Parameters").items() if not one.get("Description")]


def every_pattern_says_what_it_wants(module: Module) -> list[str]:
    """What a person sees who has typed something else."""
    return [
        name
        for name, one in module.section("Parameters").items()
        if "AllowedPattern" in one and not one.get("ConstraintDescription")
    ]


def yes_and_no_are_true_and_false(module: Module) -> list[str]:
    return [
        name
        for name, one in module.section("Parameters").items()
        if str(one.get("Default")).lower() in {"true", "false"}
        and (one["Type"], one.get("AllowedValues")) != ("String", ["true", "false"])
    ]


def every_parameter_is_in_one_group(module: Module) -> list[str]:
    groups = module.section("Metadata")["AWS::CloudFormation::Interface"]["ParameterGroups"]
    listed = [name for group in groups for name in group["Parameters"]]
    twice = {name for name in listed if listed.count(name) > 1}
    return sorted(set(listed) ^ module.section("Parameters").keys() | twice)


def every_parameter_is_used(module: Module) -> list[str]:
    """A rule alone would check what nothing takes."""
    used = names_in([module.section(part) for part in ("Conditions", "Resources", "Outputs", "Globals")])
    return sorted(module.section("Parameters").keys() - used)


def every_condition_is_used(module: Module) -> list[str]:
    conditions = module.section("Conditions")
    used = names_in([module.section("Resources"), module.section("Outputs")])
    for name in reversed(conditions):
        used |= names_in(conditions[name]) if name in used else set()
    return sorted(conditions.keys() - used)


def every_output_says_what_it_is(module: Module) -> list[str]:
    return [name for name, one in module.section("Outputs").items() if not one.get("Description")]


def every_rule_says_what_is_wrong(module: Module) -> list[str]:
    return [
        name
        for name, rule in module.section("Rules").items()
        for assertion in rule["Assertions"]
        if not assertion.get("AssertDescription")
    ]


def every_rule_is_written_as_documented(module: Module) -> list[str]:
    """In rules CloudFormation knows few functions, and those that exist for rules alone by their long names."""
    used = {
        key
        for one in within(module.section("Rules"))
        if isinstance(one, dict)
        for key in one
        if key.startswith("Fn::")
    }
    return sorted(used - _IN_RULES) + _SHORT_IN_RULES.findall(module.text)


def nobody_acts_on_everything(module: Module) -> list[str]:
    """Beside what AWS does not let us narrow."""
    return [
        action
        for statement in allowed(module)
        for action in as_list(statement.get("Action", "NotAction"))
        if ("*" in as_list(statement.get("Resource", "*")) and action not in REASONS) or "*" in action
    ]


def every_action_says_why(module: Module) -> list[str]:
    """By a comment beside it, or the statement by its Sid."""
    wrong, named = [], False
    for line in module.text.splitlines():
        if begins := _STATEMENT_LINE.match(line):
            named = begins[1] == "Sid"
        action = _ACTION_LINE.match(line)
        if action and not named and not action["why"] and "sts:AssumeRole" not in line:
            wrong.append(line.strip())
    return wrong


def every_log_forgets(module: Module) -> list[str]:
    return [name for name, one in module.of("AWS::Logs::LogGroup").items() if "RetentionInDays" not in one]


def every_way_through_says_what_for(module: Module) -> list[str]:
    """And no group is left with the way out to everywhere that AWS gives it where none is named."""
    wrong = []
    for name, group in module.of("AWS::EC2::SecurityGroup").items():
        rules = [*group.get("SecurityGroupIngress", []), *group.get("SecurityGroupEgress", [])]
        wrong += [f"{name}: {rule}" for rule in rules if not rule.get("Description")]
        wrong += [] if group.get("SecurityGroupEgress") else [f"{name}: no SecurityGroupEgress"]
    alone = module.of("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
    return wrong + [name for name, rule in alone.items() if not rule.get("Description")]


def nothing_is_hard_coded(module: Module) -> list[str]:
    parts = [module.section(part) for part in ("Conditions", "Mappings", "Resources", "Outputs")]
    return [
        one
        for one in within(parts)
        if isinstance(one, str) and _HARD_CODED.search(one) and not _PRINCIPAL.fullmatch(one)
    ]


def it_needs_no_transform(module: Module) -> list[str]:
    return [str(module.template["Transform"])] if "Transform" in module.template else []


OF_ALL: list[Rule] = [
    it_says_what_it_is,
    every_parameter_says_what_it_is,
    every_pattern_says_what_it_wants,
    yes_and_no_are_true_and_false,
    every_parameter_is_in_one_group,
    every_parameter_is_used,
    every_condition_is_used,
    every_output_says_what_it_is,
    every_rule_says_what_is_wrong,
    every_rule_is_written_as_documented,
    every_action_says_why,
    every_log_forgets,
    every_way_through_says_what_for,
    nothing_is_hard_coded,
]
OF_PLAIN: list[Rule] = [nobody_acts_on_everything, it_needs_no_transform]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", [*OF_ALL, *OF_PLAIN])
def test_the_rule_holds(rule: Rule, path: Path) -> None:
    if path != RUNNER or rule in OF_ALL:
        assert rule(module_of(path)) == []


def test_every_reason_is_needed() -> None:
    used = {
        action
        for path in MODULES
        for statement in allowed(module_of(path))
        if path != RUNNER and "*" in as_list(statement["Resource"])
        for action in as_list(statement["Action"])
    }
    assert REASONS.keys() == used


def _first(module: Module, part: str) -> Any:
    return next(iter(module.section(part).values()))


def _statement(module: Module) -> Json:
    return next(allowed(module))


def _group(module: Module) -> Json:
    return next(iter(module.of("AWS::EC2::SecurityGroup").values()))


def _output(value: object) -> Callable[[Module], object]:
    return lambda module: module.section("Outputs").update(New={"Description": "New", "Value": value})


# service.yaml with one fault, and the rule that sees it.
FAULTS: list[tuple[Rule, Callable[[Module], object]]] = [
    (it_says_what_it_is, lambda m: m.template.pop("Description")),
    (every_parameter_says_what_it_is, lambda m: _first(m, "Parameters").pop("Description")),
    (every_pattern_says_what_it_wants, lambda m: _first(m, "Parameters").pop("ConstraintDescription")),
    (
        yes_and_no_are_true_and_false,
        lambda m: m.section("Parameters")["EnableExecute"].update(AllowedValues=["yes", "no"]),
    ),
    (every_parameter_is_in_one_group, lambda m: m.section("Parameters").pop("Cpu")),
    (every_parameter_is_in_one_group, lambda m: m.section("Parameters").update(New={"Type": "String"})),
    (
        every_parameter_is_in_one_group,
        lambda m: m.section("Metadata")["AWS::CloudFormation::Interface"]["ParameterGroups"][0][
            "Parameters"
        ].append("Cpu"),
    ),
    (every_parameter_is_used, lambda m: m.section("Parameters").update(New={"Type": "String"})),
    (
        every_parameter_is_used,
        lambda m: m.section("Resources")["TaskDefinition"]["Properties"].pop("Cpu"),
    ),
    (
        every_condition_is_used,
        lambda m: m.section("Conditions").update(New={"Fn::Equals": [{"Ref": "Cpu"}, "256"]}),
    ),
    (
        every_condition_is_used,  # one that only another uses, which nothing uses
        lambda m: m.section("Conditions").update(
            Old={"Fn::Equals": ["", "a"]}, New={"Fn::Not": [{"Condition": "Old"}]}
        ),
    ),
    (every_output_says_what_it_is, lambda m: _first(m, "Outputs").pop("Description")),
    (every_rule_says_what_is_wrong, lambda m: _first(m, "Rules")["Assertions"][0].pop("AssertDescription")),
    (
        every_rule_is_written_as_documented,
        lambda m: _first(m, "Rules").update(RuleCondition={"Fn::Equals": [{"Fn::Sub": "${Cpu}"}, "256"]}),
    ),
    (
        every_rule_is_written_as_documented,
        lambda m: setattr(m, "text", m.text.replace('{"Fn::Contains": ', "!Contains {", 1)),
    ),
    (nobody_acts_on_everything, lambda m: _statement(m).update(Resource="*")),
    (nobody_acts_on_everything, lambda m: _statement(m).update(Resource=["*"])),
    (nobody_acts_on_everything, lambda m: _statement(m).update(Action="logs:*")),
    (nobody_acts_on_everything, lambda m: _statement(m).update(Action=["logs:Put*"])),
    (nobody_acts_on_everything, lambda m: _statement(m).pop("Resource")),
    (every_action_says_why, lambda m: setattr(m, "text", m.text.replace(" # one for each task", ""))),
    (
        every_log_forgets,
        lambda m: m.section("Resources")["Logs"]["Properties"].pop("RetentionInDays"),
    ),
    (every_way_through_says_what_for, lambda m: _group(m)["SecurityGroupEgress"][0].pop("Description")),
    (every_way_through_says_what_for, lambda m: _group(m).pop("SecurityGroupEgress")),
    (
        every_way_through_says_what_for,
        lambda m: m.section("Resources")["FromLoadBalancer"]["Properties"].pop("Description"),
    ),
    (nothing_is_hard_coded, _output("arn:aws:s3:::bucket")),
    (nothing_is_hard_coded, _output("eu-west-2a")),
    (nothing_is_hard_coded, _output("us-gov-west-1")),
    (nothing_is_hard_coded, _output({"Fn::Sub": "123456789012.dkr.ecr.${AWS::Region}.x"})),
    (nothing_is_hard_coded, _output({"Fn::Sub": "https://sqs.${AWS::Region}.amazonaws.com"})),
    (it_needs_no_transform, lambda m: m.template.update(Transform="AWS::Serverless-2016-10-31")),
]


@pytest.mark.parametrize(("rule", "change"), FAULTS)
def test_a_fault_breaks_its_rule(rule: Rule, change: Callable[[Module], object]) -> None:
    read = module_of(ROOT / "infrastructure/service.yaml")
    module = Module(read.text, deepcopy(read.template))
    assert rule(module) == []
    change(module)
    assert rule(module) != []


def test_every_rule_has_a_fault() -> None:
    assert {rule for rule, _ in FAULTS} == {*OF_ALL, *OF_PLAIN}
