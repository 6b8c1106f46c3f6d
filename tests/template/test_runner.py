"""infrastructure/runner.yaml: what its functions may do, that they are the orchestrator's, and their names."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.api import lint_file
from samtranslator.yaml_helper import yaml_parse
from tidegate.steps.taking_over import LONGEST_ROTATION

from tests.template.loading import ROOT, Json, Stack, load
from tests.template.policies import as_list, statements
from tests.template.test_policies import ONLY_IF_NAMED

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


# What else a function of a runner may do, and on what.
_REPOSITORIES = {
    "Fn::If": [
        "RepositoriesAreNamed",
        {"Ref": "Repositories"},
        [{"Fn::Sub": "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/*"}],
    ]
}
_BY_WAY_OF_SECRETS_MANAGER = {"StringLike": {"kms:ViaService": "secretsmanager.*"}}
ITS_OWN: dict[str, list[tuple[set[str], Json | str, Json | None]]] = {
    "Smoke": [],
    "MigrateSql": [
        ({"secretsmanager:GetSecretValue"}, {"Ref": "MigrationSecrets"}, None),
        ({"kms:Decrypt"}, {"Ref": "SecretsKey"}, _BY_WAY_OF_SECRETS_MANAGER),
        ({"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}, _REPOSITORIES, None),
    ],
    "RotateSecret": [
        (
            {
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
            },
            {"Ref": "RotatedSecrets"},
            None,
        ),
        ({"secretsmanager:GetSecretValue"}, {"Ref": "AdminSecrets"}, None),
        ({"kms:Decrypt", "kms:GenerateDataKey"}, {"Ref": "SecretsKey"}, _BY_WAY_OF_SECRETS_MANAGER),
        # The reference lists no resource type for it: what it makes is of no secret yet.
        ({"secretsmanager:GetRandomPassword"}, "*", None),
    ],
}
NAMES = {"Smoke": "smoke", "MigrateSql": "migrate_sql", "RotateSecret": "rotate_secret"}
# All that a manifest may ask for; of a rotation, what a takeover of one waits for.
SECONDS = {"Smoke": 900, "MigrateSql": 900, "RotateSecret": LONGEST_ROTATION.total_seconds()}


def function(template: Json, name: str) -> Json:
    found: Json = template["Resources"][f"{name}Function"]["Properties"]
    return found


def may(template: Json, name: str) -> list[Json]:
    return list(statements(template["Resources"][f"{name}Role"]["Properties"]))


def both(rule: Callable[[Json, str], list[str]]) -> Rule:
    """A rule that holds for each function of a runner."""

    @wraps(rule)
    def of_each(template: Json) -> list[str]:
        return [f"{name}: {wrong}" for name in NAMES for wrong in rule(template, name)]

    return of_each


def there_is_no_other_function(template: Json) -> list[str]:
    found = {
        name for name, one in template["Resources"].items() if one["Type"] == "AWS::Serverless::Function"
    }
    return sorted(found ^ {f"{name}Function" for name in NAMES})


@both
def it_may_do_nothing_but_its_own_and_log_and_be_in_a_vpc(template: Json, name: str) -> list[str]:
    wrong = []
    for statement in may(template, name):
        actions = set(as_list(statement["Action"]))
        granted = (actions, statement["Resource"], statement.get("Condition"))
        if statement["Effect"] == "Allow" and granted not in ITS_OWN[name]:
            on_its_log = statement["Resource"] == {"Fn::GetAtt": [f"{name}Logs", "Arn"]}
            wrong += sorted(actions - (ON_ITS_LOG if on_its_log else ON_EVERYTHING))
    return wrong


@both
def it_may_do_what_lambda_needs(template: Json, name: str) -> list[str]:
    allowed = {a for s in may(template, name) if s["Effect"] == "Allow" for a in as_list(s["Action"])}
    own = {action for actions, *_ in ITS_OWN[name] for action in actions}
    return sorted((ON_EVERYTHING | ON_ITS_LOG | own) - allowed)


@both
def its_code_may_not_touch_the_network(template: Json, name: str) -> list[str]:
    wanted = {
        "ArnEquals": {
            "lambda:SourceFunctionArn": {
                "Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:"
                f"${{AWS::StackName}}-{NAMES[name]}"
            }
        }
    }
    denied = [s for s in may(template, name) if s["Effect"] == "Deny" and s.get("Condition") == wanted]
    return sorted(INTERFACES - {a for s in denied if s["Resource"] == "*" for a in as_list(s["Action"])})


@both
def only_lambda_takes_the_role(template: Json, name: str) -> list[str]:
    trust = template["Resources"][f"{name}Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    right = [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]
    return [] if trust == right else [str(trust)]


@both
def it_is_named_as_it_is_invoked(template: Json, name: str) -> list[str]:
    found = function(template, name)["FunctionName"]
    return [] if found == {"Fn::Sub": f"${{AWS::StackName}}-{NAMES[name]}"} else [str(found)]


@both
def it_has_no_table_and_no_other_setting(template: Json, name: str) -> list[str]:
    return sorted({"Environment", "Policies"} & function(template, name).keys()) + sorted(
        {"Globals"} & template.keys()
    )


@both
def it_is_in_the_vpc(template: Json, name: str) -> list[str]:
    wanted = {"SubnetIds": {"Ref": "SubnetIds"}, "SecurityGroupIds": {"Ref": "SecurityGroupIds"}}
    required = all("Default" not in template["Parameters"][name] for name in wanted)
    return [] if function(template, name).get("VpcConfig") == wanted and required else ["VpcConfig"]


@both
def its_log_forgets(template: Json, name: str) -> list[str]:
    group = template["Resources"][f"{name}Logs"]["Properties"]
    right = group == {
        "LogGroupName": {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}-{NAMES[name]}"},
        "RetentionInDays": {"Ref": "LogRetentionDays"},
    } and function(template, name)["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}Logs"}}
    return [] if right else [str(group)]


@both
def it_has_all_its_time(template: Json, name: str) -> list[str]:
    return [] if function(template, name).get("Timeout") == SECONDS[name] else ["Timeout"]


def it_touches_no_secret_that_nobody_named(template: Json) -> list[str]:
    """And no key."""
    theirs = load().written["Conditions"]
    wrong = [name for name in ONLY_IF_NAMED if template["Parameters"][name]["Default"] != ""]
    wrong += [one for one in ONLY_IF_NAMED.values() if template["Conditions"].get(one) != theirs[one]]
    for role in NAMES:
        document = template["Resources"][f"{role}Role"]["Properties"]["Policies"][0]["PolicyDocument"]
        for one in document["Statement"]:
            condition, bare, *_ = one.get("Fn::If", [None, one])
            on = bare["Resource"]
            named = on.get("Ref") if isinstance(on, dict) else None
            if named in ONLY_IF_NAMED and condition != ONLY_IF_NAMED[named]:
                wrong.append(f"{role}: {bare['Action']} if {condition}")
    return wrong


def every_parameter_is_described_and_listed(template: Json) -> list[str]:
    grouped = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    listed = [name for group in grouped for name in group["Parameters"]]
    undescribed = [name for name, one in template["Parameters"].items() if not one.get("Description")]
    return undescribed + sorted(set(listed) ^ template["Parameters"].keys())


RULES: list[Rule] = [
    it_may_do_nothing_but_its_own_and_log_and_be_in_a_vpc,
    it_may_do_what_lambda_needs,
    its_code_may_not_touch_the_network,
    only_lambda_takes_the_role,
    it_is_named_as_it_is_invoked,
    it_has_no_table_and_no_other_setting,
    it_is_in_the_vpc,
    its_log_forgets,
    it_has_all_its_time,
    every_parameter_is_described_and_listed,
    there_is_no_other_function,
    it_touches_no_secret_that_nobody_named,
]


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds(rule: Rule) -> None:
    assert rule(WRITTEN) == []


Broken = Callable[[Json, str], Any]


def of_role(template: Json, name: str, holding: str, effect: str = "Allow") -> Json:
    """The statement with this action."""
    return next(s for s in may(template, name) if s["Effect"] == effect and holding in s["Action"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda t, n: of_role(t, n, "logs:PutLogEvents")["Action"].append("dynamodb:GetItem"), RULES[0]),
        (lambda t, n: of_role(t, n, "logs:PutLogEvents").update(Resource="*"), RULES[0]),
        (lambda t, n: of_role(t, n, "ec2:DescribeSubnets")["Action"].append("ec2:*"), RULES[0]),
        (
            lambda t, n: of_role(t, n, "ec2:DescribeSubnets")["Action"].remove("ec2:DescribeSubnets"),
            RULES[1],
        ),
        (
            lambda t, n: of_role(t, n, "ec2:DeleteNetworkInterface", "Deny")["Action"].remove(
                "ec2:DeleteNetworkInterface"
            ),
            RULES[2],
        ),
        (lambda t, n: of_role(t, n, "ec2:DescribeSubnets", "Deny").pop("Condition"), RULES[2]),
        (
            lambda t, n: t["Resources"][f"{n}Role"]["Properties"]["AssumeRolePolicyDocument"][
                "Statement"
            ].append({}),
            RULES[3],
        ),
        (lambda t, n: function(t, n).update(FunctionName="smoke"), RULES[4]),
        (
            lambda t, n: function(t, n).update(Environment={"Variables": {"TIDEGATE_TABLE": "tidegate"}}),
            RULES[5],
        ),
        (lambda t, n: function(t, n).pop("VpcConfig"), RULES[6]),
        (lambda t, n: t["Parameters"]["SubnetIds"].update(Default=""), RULES[6]),
        (lambda t, n: t["Resources"][f"{n}Logs"]["Properties"].pop("RetentionInDays"), RULES[7]),
        (lambda t, n: function(t, n).update(Timeout=30), RULES[8]),
        (lambda t, n: t["Parameters"].update(New={"Type": "String"}), RULES[9]),
        (lambda t, n: t["Resources"].update(Third=t["Resources"][f"{n}Function"]), RULES[10]),
    ],
)
def test_a_fault_breaks_its_rule(change: Broken, rule: Rule, name: str) -> None:
    template = deepcopy(WRITTEN)
    change(template, name)
    assert rule(template) != []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda s: s.update(Resource="*"), RULES[0]),
        (lambda s: s["Action"].append("secretsmanager:PutSecretValue"), RULES[0]),
        (lambda s: s["Action"].clear(), RULES[1]),
    ],
)
def test_a_credential_is_read_of_the_named_secrets_only(change: Callable[[Json], Any], rule: Rule) -> None:
    template = deepcopy(WRITTEN)
    change(of_role(template, "MigrateSql", "secretsmanager:GetSecretValue"))
    assert rule(template) != []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda s: s.update(Resource={"Ref": "AdminSecrets"}), RULES[0]),
        (lambda s: s.update(Resource="*"), RULES[0]),
        (lambda s: s["Action"].append("secretsmanager:DeleteSecret"), RULES[0]),
        (lambda s: s["Action"].remove("secretsmanager:UpdateSecretVersionStage"), RULES[1]),
    ],
)
def test_a_value_is_written_of_the_rotated_secrets_only(change: Callable[[Json], Any], rule: Rule) -> None:
    template = deepcopy(WRITTEN)
    change(of_role(template, "RotateSecret", "secretsmanager:PutSecretValue"))
    assert rule(template) != []


@pytest.mark.parametrize("name", ["MigrateSql", "RotateSecret"])
def test_a_key_is_used_by_way_of_secrets_manager_only(name: str) -> None:
    template = deepcopy(WRITTEN)
    of_role(template, name, "kms:Decrypt").pop("Condition")
    assert RULES[0](template) != []


@pytest.mark.parametrize(
    ("name", "number"), [("MigrateSql", 0), ("MigrateSql", 1), *(("RotateSecret", n) for n in range(3))]
)
def test_without_a_named_secret_none_is_touched(name: str, number: int) -> None:
    template = deepcopy(WRITTEN)
    document = template["Resources"][f"{name}Role"]["Properties"]["Policies"][0]["PolicyDocument"]
    document["Statement"][number] = document["Statement"][number]["Fn::If"][1]
    assert it_touches_no_secret_that_nobody_named(template) != []


@pytest.mark.parametrize("name", ONLY_IF_NAMED)
def test_by_default_no_secret_is_named(name: str) -> None:
    template = deepcopy(WRITTEN)
    template["Parameters"][name]["Default"] = "arn:aws:secretsmanager:*:*:secret:*"
    assert it_touches_no_secret_that_nobody_named(template) != []


def test_every_action_says_why() -> None:
    lines = [line for line in TEXT.splitlines() if line.strip().startswith("- ") and ":" in line]
    actions = [
        line
        for line in lines
        if line.strip()[2:].startswith(("ec2:", "logs:", "xray:", "ecr:", "secretsmanager:", "kms:"))
    ]
    own = sum(len(found) for grants in ITS_OWN.values() for found, *_ in grants)
    assert (
        len(actions)
        == len(NAMES) * len(ON_ITS_LOG | ON_EVERYTHING | INTERFACES) + len(NAMES) * len(INTERFACES) + own
    )
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
    for name, code in NAMES.items():
        made = function(WRITTEN, name)
        assert (folder / made["CodeUri"] / "app.py").resolve() == ROOT / "functions" / code / "app.py"
        assert made["Handler"] == orchestrator["Globals"]["Function"]["Handler"]
        theirs = orchestrator["Resources"][f"{name}Function"]["Properties"]
        assert (made["Timeout"], made["MemorySize"]) == (theirs["Timeout"], theirs["MemorySize"])


def test_sam_makes_of_it_what_is_written() -> None:
    made = Stack(WRITTEN, {}, {}).changed(lambda written, machines: None).resources
    assert {resource["Type"] for resource in made.values()} == {
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Function",
        "AWS::IAM::Role",
        "AWS::Logs::LogGroup",
    }
    assert [made[f"{name}Function"]["Properties"]["Timeout"] for name in NAMES] == [900, 900, 60]


def test_cloudformation_takes_it() -> None:
    assert lint_file(Path(RUNNER)) == []
    # Without SAM's or CloudFormation's tags: that it is YAML at all, with no key twice.
    assert yaml.compose(TEXT) is not None
