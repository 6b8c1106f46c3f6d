"""The renderer refuses what CloudFormation would refuse, and gives what it would give."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.systems.rendering import RenderError, render_file

INNER = """
    Parameters:
      Name: {Type: String, AllowedPattern: "[a-z-]+", ConstraintDescription: small letters}
      Ports: {Type: CommaDelimitedList, Default: ""}
      Count: {Type: Number, Default: 1, MinValue: 1, MaxValue: 3}
      Kind: {Type: String, Default: a, AllowedValues: [a, b]}
    Rules:
      Kinds:
        RuleCondition: !Equals [!Ref Kind, b]
        Assertions:
          - {Assert: !Contains [["2", "3"], !Ref Count], AssertDescription: b needs two}
    Conditions:
      HasPorts: !Not [!Equals [!Join [",", !Ref Ports], ""]]
    Resources:
      Group:
        Type: AWS::Logs::LogGroup
        Properties:
          LogGroupName: !Sub /${AWS::Region}/${Name}
          Tags: !If [HasPorts, [{Key: first, Value: !Select [0, !Ref Ports]}], !Ref AWS::NoValue]
      Never:
        Type: AWS::Logs::LogGroup
        Condition: HasPorts
    Outputs:
      Group: {Value: !Ref Group}
      Arn: {Value: !GetAtt Group.Arn}
"""
OUTER = """
    Resources:
      Inner:
        Type: AWS::CloudFormation::Stack
        Properties:
          TemplateURL: inner.yaml
          Parameters: {Name: web, Kind: !Ref AWS::NoValue}
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {AlarmName: !Sub "${Inner.Outputs.Group}-x", AlarmDescription: !GetAtt Inner.Outputs.Arn}
"""


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    path = tmp_path / "inner.yaml"
    path.write_text(textwrap.dedent(INNER))
    return path


def _outer(inner: Path, text: str = OUTER) -> Path:
    path = inner.with_name("outer.yaml")
    path.write_text(textwrap.dedent(text))
    return path


def test_nested_resources_have_their_path_and_their_outputs_arrive(inner: Path) -> None:
    rendered = render_file(_outer(inner), region="eu-west-1")
    assert rendered["Inner/Group"] == {"LogGroupName": "/eu-west-1/web"}
    assert rendered.one("AWS::CloudWatch::Alarm") == {
        "AlarmName": "/eu-west-1/web-x",
        "AlarmDescription": "<Inner/Group.Arn>",
    }


def test_what_a_condition_leaves_out_is_not_there(inner: Path) -> None:
    assert set(render_file(inner, Name="a").resources) == {"Group"}
    rendered = render_file(inner, Name="a", Ports="80, 443")
    assert set(rendered.resources) == {"Group", "Never"}
    assert rendered["Group"]["Tags"] == [{"Key": "first", "Value": "80"}]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "parameter Name is not given"),
        ({"Name": "a", "Nome": "b"}, "there is no parameter Nome"),
        ({"Name": "A"}, "small letters"),
        ({"Name": "a", "Count": "4"}, "out of its bounds"),
        ({"Name": "a", "Kind": "c"}, "may be one of"),
        ({"Name": "a", "Kind": "b"}, "b needs two"),
    ],
)
def test_bad_parameters_are_refused(inner: Path, parameters: dict[str, str], said: str) -> None:
    with pytest.raises(RenderError, match=said):
        render_file(inner, **parameters)


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("Name: web", "Nome: web", "there is no parameter Nome"),
        ("Name: web", "Name: [web]", "nested stacks take texts"),
        ("Outputs.Arn", "Outputs.Arm", "no output Arm"),
    ],
)
def test_what_does_not_fit_a_nested_stack_is_refused(
    inner: Path, written: str, instead: str, said: str
) -> None:
    with pytest.raises(RenderError, match=said):
        render_file(_outer(inner, OUTER.replace(written, instead)))
