"""infrastructure/runner.yaml: what its function may do, that it is the orchestrator's function, and how it is named."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.api import lint_file
from samtranslator.yaml_helper import yaml_parse

from tests.template.loading import ROOT, Json, Stack, load
from tests.template.policies import as_list, statements

RUNNER = ROOT / "infrastructure/runner.yaml"
TEXT = RUNNER.read_text()
WRITTEN: Json = yaml_parse(TEXT)
# Service Authorization Reference: DescribeNetworkInterfaces and DescribeSubnets have no resource type, the interfaces
# that Lambda makes have no name beforehand, and X-Ray has none for what is sent to it.
# Lambda developer guide, "Giving Lambda functions access to resources in an Amazon VPC", Required IAM permissions.
INTERFACES = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}
ON_EVERYTHING = INTERFACES | {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
ON_ITS_LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}
Rule = Callable[[Json], list[str]]


def function(template: Json) -> Json:
    found: Json = template["Resources"]["SmokeFunction"]["Properties"]
    return found


def may(template: Json) -> list[Json]:
    return list(statements(template["Resources"]["SmokeRole"]["Properties"]))


def it_may_do_nothing_but_log_and_be_in_a_vpc(template: Json) -> list[str]:
    wrong = []
    for statement in may(template):
        actions = set(as_list(statement["Action"]))
        if statement["Effect"] == "Allow":
            on_its_log = statement["Resource"] == {"Fn::GetAtt": ["SmokeLogs", "Arn"]}
            wrong += sorted(actions - (ON_ITS_LOG if on_its_log else ON_EVERYTHING))
    return wrong


def it_may_do_what_lambda_needs(template: Json) -> list[str]:
    allowed = {a for s in may(template) if s["Effect"] == "Allow" for a in as_list(s["Action"])}
    return sorted((ON_EVERYTHING | ON_ITS_LOG) - allowed)


def its_code_may_not_touch_the_network(template: Json) -> list[str]:
    wanted = {
        "ArnEquals": {
            "lambda:SourceFunctionArn": {
                "Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:"
                "${AWS::StackName}-smoke"
            }
        }
    }
    denied = [s for s in may(template) if s["Effect"] == "Deny" and s.get("Condition") == wanted]
    return sorted(INTERFACES - {a for s in denied if s["Resource"] == "*" for a in as_list(s["Action"])})


def only_lambda_takes_the_role(template: Json) -> list[str]:
    trust = template["Resources"]["SmokeRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    right = [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]
    return [] if trust == right else [str(trust)]


def it_is_named_as_it_is_invoked(template: Json) -> list[str]:
    name = function(template)["FunctionName"]
    return [] if name == {"Fn::Sub": "${AWS::StackName}-smoke"} else [str(name)]


def it_has_no_table_and_no_other_setting(template: Json) -> list[str]:
    return sorted({"Environment", "Policies"} & function(template).keys()) + sorted(
        {"Globals"} & template.keys()
    )


def it_is_in_the_vpc(template: Json) -> list[str]:
    wanted = {"SubnetIds": {"Ref": "SubnetIds"}, "SecurityGroupIds": {"Ref": "SecurityGroupIds"}}
    required = all("Default" not in template["Parameters"][name] for name in wanted)
    return [] if function(template).get("VpcConfig") == wanted and required else ["VpcConfig"]


def its_log_forgets(template: Json) -> list[str]:
    group = template["Resources"]["SmokeLogs"]["Properties"]
    right = group == {
        "LogGroupName": {"Fn::Sub": "/aws/lambda/${AWS::StackName}-smoke"},
        "RetentionInDays": {"Ref": "LogRetentionDays"},
    } and function(template)["LoggingConfig"] == {"LogGroup": {"Ref": "SmokeLogs"}}
    return [] if right else [str(group)]


def it_has_all_the_time_of_a_manifest(template: Json) -> list[str]:
    return [] if function(template).get("Timeout") == 900 else ["Timeout"]


def every_parameter_is_described_and_listed(template: Json) -> list[str]:
    grouped = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    listed = [name for group in grouped for name in group["Parameters"]]
    undescribed = [name for name, one in template["Parameters"].items() if not one.get("Description")]
    return undescribed + sorted(set(listed) ^ template["Parameters"].keys())


RULES: list[Rule] = [
    it_may_do_nothing_but_log_and_be_in_a_vpc,
    it_may_do_what_lambda_needs,
    its_code_may_not_touch_the_network,
    only_lambda_takes_the_role,
    it_is_named_as_it_is_invoked,
    it_has_no_table_and_no_other_setting,
    it_is_in_the_vpc,
    its_log_forgets,
    it_has_all_the_time_of_a_manifest,
    every_parameter_is_described_and_listed,
]


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds(rule: Rule) -> None:
    assert rule(WRITTEN) == []


def of_role(template: Json, index: int) -> Json:
    return may(template)[index]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda t: of_role(t, 0)["Action"].append("dynamodb:GetItem"), RULES[0]),
        (lambda t: of_role(t, 0).update(Resource="*"), RULES[0]),
        (lambda t: of_role(t, 1)["Action"].append("ec2:*"), RULES[0]),
        (lambda t: of_role(t, 1)["Action"].remove("ec2:DescribeSubnets"), RULES[1]),
        (lambda t: of_role(t, 2)["Action"].remove("ec2:DeleteNetworkInterface"), RULES[2]),
        (lambda t: of_role(t, 2).pop("Condition"), RULES[2]),
        (
            lambda t: t["Resources"]["SmokeRole"]["Properties"]["AssumeRolePolicyDocument"][
                "Statement"
            ].append({}),
            RULES[3],
        ),
        (lambda t: function(t).update(FunctionName="smoke"), RULES[4]),
        (lambda t: function(t).update(Environment={"Variables": {"TIDEGATE_TABLE": "tidegate"}}), RULES[5]),
        (lambda t: function(t).pop("VpcConfig"), RULES[6]),
        (lambda t: t["Parameters"]["SubnetIds"].update(Default=""), RULES[6]),
        (lambda t: t["Resources"]["SmokeLogs"]["Properties"].pop("RetentionInDays"), RULES[7]),
        (lambda t: function(t).update(Timeout=30), RULES[8]),
        (lambda t: t["Parameters"].update(New={"Type": "String"}), RULES[9]),
    ],
)
def test_a_fault_breaks_its_rule(change: Callable[[Json], Any], rule: Rule) -> None:
    template = deepcopy(WRITTEN)
    change(template)
    assert rule(template) != []


def test_every_action_says_why() -> None:
    lines = [line for line in TEXT.splitlines() if line.strip().startswith("- ") and ":" in line]
    actions = [line for line in lines if line.strip()[2:].startswith(("ec2:", "logs:", "xray:"))]
    assert len(actions) == len(ON_ITS_LOG | ON_EVERYTHING) + len(INTERFACES)
    assert [line for line in actions if "# " not in line] == []


def test_it_is_the_orchestrators_function_from_the_same_checkout() -> None:
    orchestrator = load().written
    for name in ("PythonRuntime", "Architecture"):
        assert WRITTEN["Parameters"][name] == orchestrator["Parameters"][name]
    kept = "AllowedValues"
    assert (
        WRITTEN["Parameters"]["LogRetentionDays"][kept]
        == orchestrator["Parameters"]["LogRetentionDays"][kept]
    )
    layer, theirs = WRITTEN["Resources"]["CoreLayer"], orchestrator["Resources"]["CoreLayer"]
    assert layer["Metadata"] == theirs["Metadata"]
    assert layer["Properties"] == {**theirs["Properties"], "ContentUri": "../layers/core"}
    folder = RUNNER.parent
    assert (
        folder / layer["Properties"]["ContentUri"] / "tidegate"
    ).resolve() == ROOT / "layers/core/tidegate"
    assert (folder / function(WRITTEN)["CodeUri"] / "app.py").resolve() == ROOT / "functions/smoke/app.py"
    assert function(WRITTEN)["Handler"] == orchestrator["Globals"]["Function"]["Handler"]


def test_sam_makes_of_it_what_is_written() -> None:
    made = Stack(WRITTEN, {}, {}).changed(lambda written, machines: None).resources
    assert {resource["Type"] for resource in made.values()} == {
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Function",
        "AWS::IAM::Role",
        "AWS::Logs::LogGroup",
    }
    assert made["SmokeFunction"]["Properties"]["Timeout"] == 900


def test_cloudformation_takes_it() -> None:
    assert lint_file(Path(RUNNER)) == []
    # Without SAM's or CloudFormation's tags: that it is YAML at all, with no key twice.
    assert yaml.compose(TEXT) is not None
