"""infrastructure/build.yaml: what its role may do, what it keeps, and that its buildspec is the one that is tested."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml
from cfnlint.api import lint_file
from samtranslator.yaml_helper import yaml_parse

from tests.template.buildspec_copy import BUILD_TEMPLATE, BUILDSPEC, with_copy
from tests.template.loading import Json, referred, within
from tests.template.policies import as_list, statements

WRITTEN: Json = yaml_parse(BUILD_TEMPLATE.read_text())
TEXT = BUILD_TEMPLATE.read_text()
HERE = ("${AWS::AccountId}", "Fn::GetAtt", "ConnectionArn", "arn:*:ecr:*:*:repository/")
# ecr:GetAuthorizationToken: the Service Authorization Reference lists no resource type for it.
ON_EVERYTHING = {"ecr:GetAuthorizationToken"}
Rule = Callable[[Json], list[str]]


def permissions(template: Json) -> Iterator[Json]:
    """Statements of the role, those behind a condition too."""
    for statement in statements(template["Resources"]["Role"]["Properties"]):
        yield from (
            [x for x in statement["Fn::If"][1:] if "Effect" in x] if "Fn::If" in statement else [statement]
        )


def no_action_is_a_wildcard(template: Json) -> list[str]:
    return [a for s in permissions(template) for a in as_list(s["Action"]) if "*" in a]


def everything_is_narrowed_that_can_be(template: Json) -> list[str]:
    wrong = []
    for statement in permissions(template):
        actions, resource = set(as_list(statement["Action"])), str(statement["Resource"])
        if resource == "*":
            wrong += sorted(actions - ON_EVERYTHING)
        elif not any(part in resource for part in HERE):
            wrong.append(f"{resource} is not of this account")
    return wrong


def repositories_are_those_of_this_account_and_region(template: Json) -> list[str]:
    """Their ARNs leave both open, since CloudFormation cannot put them into a list of names."""
    wanted = {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}, "aws:RequestedRegion": {"Ref": "AWS::Region"}}
    return [
        str(statement["Resource"])
        for statement in permissions(template)
        if "arn:*" in str(statement["Resource"])
        and statement.get("Condition") != {"StringEqualsIfExists": wanted}
    ]


def only_base_images_come_from_other_repositories(template: Json) -> list[str]:
    return [
        action
        for statement in permissions(template)
        if "BaseRepositories" in str(statement["Resource"])
        for action in statement["Action"]
        if action
        not in {"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
    ]


def only_this_project_takes_the_role(template: Json) -> list[str]:
    (trust,) = template["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    source = trust.get("Condition", {}).get("StringEquals", {}).get("aws:SourceArn", {}).get("Fn::Sub", "")
    right = trust["Principal"] == {"Service": "codebuild.amazonaws.com"} and source.endswith(
        "${AWS::AccountId}:project/${ProjectName}"
    )
    return [] if right else [str(trust)]


def the_log_forgets(template: Json) -> list[str]:
    group = template["Resources"]["Logs"]["Properties"]
    logging = template["Resources"]["Project"]["Properties"]["LogsConfig"]["CloudWatchLogs"]
    right = (
        group.get("RetentionInDays") == {"Ref": "LogRetentionDays"}
        and logging == {"Status": "ENABLED", "GroupName": {"Ref": "Logs"}}
        and group.get("KmsKeyId") == {"Fn::If": ["HasLogKey", {"Ref": "LogKeyArn"}, {"Ref": "AWS::NoValue"}]}
    )
    return [] if right else [str(group)]


def every_parameter_is_used_and_described(template: Json) -> list[str]:
    parts = [part for section in ("Resources", "Conditions", "Rules") for part in within(template[section])]
    used = {referred(part) for part in parts}
    for part in parts:
        if isinstance(part, str):
            used |= set(re.findall(r"\$\{(\w+)\}", part))
    grouped = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    listed = [name for group in grouped for name in group["Parameters"]]
    wrong = sorted(template["Parameters"].keys() - used)
    wrong += sorted(set(listed) ^ template["Parameters"].keys())
    for name, parameter in template["Parameters"].items():
        bounded = "AllowedValues" in parameter or "MinValue" in parameter
        explained = "AllowedPattern" not in parameter or "ConstraintDescription" in parameter
        free = name == "TestCommand"  # any command
        if not parameter.get("Description") or not explained:
            wrong.append(f"{name} is not explained")
        if not (bounded or "AllowedPattern" in parameter or free):
            wrong.append(f"{name} may be anything")
    return wrong


RULES: list[Rule] = [
    no_action_is_a_wildcard,
    everything_is_narrowed_that_can_be,
    repositories_are_those_of_this_account_and_region,
    only_base_images_come_from_other_repositories,
    only_this_project_takes_the_role,
    the_log_forgets,
    every_parameter_is_used_and_described,
]


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds(rule: Rule) -> None:
    assert rule(WRITTEN) == []


def statement_with(action: str) -> Callable[[Json], Json]:
    return lambda t: next(s for s in permissions(t) if action in as_list(s["Action"]))


def properties(name: str) -> Callable[[Json], Json]:
    def find(template: Json) -> Json:
        found: Json = template["Resources"][name]["Properties"]
        return found

    return find


@pytest.mark.parametrize(
    ("rule", "where", "change"),
    [
        (no_action_is_a_wildcard, statement_with("ecr:PutImage"), lambda s: s["Action"].append("ecr:*")),
        (
            everything_is_narrowed_that_can_be,
            statement_with("ecr:PutImage"),
            lambda s: s.update(Resource="*"),
        ),
        (
            everything_is_narrowed_that_can_be,
            statement_with("codecommit:GitPull"),
            lambda s: s.update(Resource="arn:aws:codecommit:us-east-1:123456789012:shop"),
        ),
        (
            repositories_are_those_of_this_account_and_region,
            statement_with("ecr:PutImage"),
            lambda s: s.pop("Condition"),
        ),
        (
            only_base_images_come_from_other_repositories,
            lambda t: next(s for s in permissions(t) if "BaseRepositories" in str(s["Resource"])),
            lambda s: s["Action"].append("ecr:PutImage"),
        ),
        (
            only_this_project_takes_the_role,
            properties("Role"),
            lambda p: p["AssumeRolePolicyDocument"]["Statement"][0].pop("Condition"),
        ),
        (the_log_forgets, properties("Logs"), lambda p: p.pop("RetentionInDays")),
        (
            the_log_forgets,
            properties("Project"),
            lambda p: p["LogsConfig"]["CloudWatchLogs"].pop("GroupName"),
        ),
        (every_parameter_is_used_and_described, lambda t: t["Parameters"], lambda p: p.update(Forgotten={})),
        (
            every_parameter_is_used_and_described,
            lambda t: t["Parameters"]["Branch"],
            lambda p: p.pop("AllowedPattern"),
        ),
    ],
)
def test_the_rule_can_fail(rule: Rule, where: Callable[[Json], Json], change: Callable[[Json], Any]) -> None:
    template = deepcopy(WRITTEN)
    change(where(template))
    assert rule(template) != []


def test_it_is_clean() -> None:
    assert [found.message for found in lint_file(BUILD_TEMPLATE)] == []


def test_every_action_says_why() -> None:
    lines = re.findall(r"^ +- ([a-z-]+:[A-Za-z]+)( # .+)?$", TEXT, re.MULTILINE)
    assert len(lines) > 10
    assert [action for action, why in lines if not why] == []


def test_the_buildspec_in_it_is_the_file() -> None:
    """If not: python -m tests.template.buildspec_copy"""
    source = WRITTEN["Resources"]["Project"]["Properties"]["Source"]
    assert source["BuildSpec"] == BUILDSPEC.read_text()
    assert with_copy(TEXT, BUILDSPEC.read_text()) == TEXT


def test_a_changed_buildspec_is_put_in() -> None:
    changed = with_copy(TEXT, "version: 0.2\n\nphases: {}\n")
    source = yaml_parse(changed)["Resources"]["Project"]["Properties"]["Source"]
    assert source["BuildSpec"] == "version: 0.2\n\nphases: {}\n"
    assert with_copy(changed, BUILDSPEC.read_text()) == TEXT


def test_it_needs_nothing_that_plain_deploy_does_not_have() -> None:
    """No transform and no file beside it; and CloudFormation takes no YAML aliases (its user guide, "Format")."""
    assert "Transform" not in WRITTEN
    assert not [token for token in yaml.scan(TEXT) if isinstance(token, yaml.AliasToken | yaml.AnchorToken)]


@pytest.mark.parametrize(
    ("parameter", "fits", "does_not"),
    [
        ("ProjectName", ["arive-build", "a1"], ["", "a", "-build", "a build"]),
        (
            "SourceLocation",
            ["shop", "https://github.com/acme/shop.git", "https://github.acme.com/a/b"],
            [
                "git@github.com:acme/shop.git",
                "http://github.com/acme/shop",
                "https://user:key@github.com/a/b",
                "",
            ],
        ),
        ("Repositories", ["shop", "acme/shop-api", "a__b", "a1.b2"], ["", "Shop", "/shop", "shop*", "a b"]),
        ("BaseRepositories", ["", "base"], ["*", "Base"]),
        (
            "BuildArguments",
            ["", "A=1", "BASE_IMAGE=base:1 B=", "OPTS=a=b"],
            ["A", "A = 1", "1A=2", "--network=host", "A=1 --pull"],
        ),
        (
            "ConnectionArn",
            ["", f"arn:aws:codeconnections:eu-west-1:111122223333:connection/{'1-' * 18}"],
            ["arn:aws:codeconnections:eu-west-1:111122223333:host/x", "*"],
        ),
        ("LogKeyArn", ["", "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab"], ["alias/logs", "*"]),
        ("Branch", ["main", "release/1.2"], ["", "main$", "a b", "(x)"]),
        ("ImageKey", ["", "app", "identity-api"], ["App", "1app"]),
        ("Context", [".", "back end"], ["", "/etc"]),
        ("Dockerfile", ["Dockerfile", "deploy/Dockerfile"], ["", "/Dockerfile"]),
    ],
)
def test_parameters_take_what_fits(parameter: str, fits: list[str], does_not: list[str]) -> None:
    pattern = WRITTEN["Parameters"][parameter]["AllowedPattern"]
    assert [value for value in fits if not re.fullmatch(pattern, value)] == []
    assert [value for value in does_not if re.fullmatch(pattern, value)] == []
