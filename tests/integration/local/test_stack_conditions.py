"""Conditions of templates."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.local.stacks import Stack, Template, name
from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


def decided(cloud: Cloud, condition: Any, **given: str) -> str:
    """What a stack with this condition puts out."""
    template: Template = {
        "Parameters": {"Names": {"Type": "CommaDelimitedList", "Default": ""}},
        "Mappings": {"Sizes": {"production": {"small": "no"}}},
        "Conditions": {"First": {"Fn::Equals": ["a", "a"]}, "Asked": condition},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Decided": {"Value": {"Fn::If": ["Asked", "yes", "no"]}}},
    }
    stack = Stack(cloud)
    assert stack.create(template, **given) == "CREATE_COMPLETE"
    return stack.outputs["Decided"]


JOINED = {"Fn::Join": ["", {"Ref": "Names"}]}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}, "yes"),
        ({"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]}, "no"),
        ({"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws"]}, "yes"),
        ({"Fn::Equals": [JOINED, ""]}, "yes"),
        ({"Fn::Not": [{"Fn::Equals": [JOINED, ""]}]}, "no"),
        ({"Fn::Equals": [{"Fn::FindInMap": ["Sizes", "production", "small"]}, "no"]}, "yes"),
        ({"Fn::Equals": [{"Fn::Sub": "${AWS::Region}-x"}, "us-east-1-x"]}, "yes"),
        ({"Fn::Equals": [{"Fn::Select": [1, {"Fn::Split": ["-", "a-b"]}]}, "b"]}, "yes"),
        ({"Fn::And": [{"Condition": "First"}, {"Fn::Not": [{"Condition": "First"}]}]}, "no"),
        ({"Fn::Or": [{"Condition": "First"}, {"Fn::Not": [{"Condition": "First"}]}]}, "yes"),
    ],
)
def test_a_condition_resolves_both_sides(cloud: Cloud, condition: Any, expected: str) -> None:
    assert decided(cloud, condition) == expected


def test_a_list_that_is_given_counts(cloud: Cloud) -> None:
    assert decided(cloud, {"Fn::Equals": [JOINED, "ab"]}, Names="a,b") == "yes"


def test_a_list_is_not_compared(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="list of 2 string parameters"):
        decided(cloud, {"Fn::Equals": [{"Ref": "Names"}, ""]})


def test_a_rule_may_ask_for_the_region(cloud: Cloud) -> None:
    """As AWS evaluates it; nothing is made where it does not hold."""
    rule = {
        "Assertions": [
            {
                "Assert": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-2"]},
                "AssertDescription": "this system lives in us-east-2",
            }
        ]
    }
    template: Template = {"Rules": {"Region": rule}, "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    stack = Stack(cloud, name())
    with pytest.raises(ClientError, match="this system lives in us-east-2"):
        stack.create(template)
    with pytest.raises(ClientError, match="does not exist"):
        _ = stack.described


@pytest.mark.parametrize(
    ("parameter", "value", "reason"),
    [
        ({"AllowedValues": ["a", "b"]}, "c", "AllowedValues"),
        ({"AllowedPattern": "[a-z]+", "ConstraintDescription": "letters only"}, "1", "letters only"),
        ({"Type": "Number", "MinValue": 2}, "1", "not less than 2"),
        ({"Type": "Number", "MaxValue": 2}, "3", "not greater than 2"),
    ],
)
def test_parameters_are_held_to_their_constraints(
    cloud: Cloud, parameter: dict[str, Any], value: str, reason: str
) -> None:
    """MiniStack does this itself: the suite of the systems leans on it."""
    template: Template = {
        "Parameters": {"Given": {"Type": "String", **parameter}},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    }
    with pytest.raises(ClientError, match=reason):
        Stack(cloud).create(template, Given=value)
