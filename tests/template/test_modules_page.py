"""infrastructure/README.md says what each module takes and gives, by examples that CloudFormation would take."""

from __future__ import annotations

import re

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.systems.rendering import RenderError, render_file
from tests.template.loading import ROOT, Json
from tests.template.modules_page import FOLDER, SAID, capabilities, page

EXAMPLES = [name for name, said in SAID.items() if "example" in said]


def test_the_page_is_made_from_these_modules() -> None:
    readme = (FOLDER / "README.md").read_text()
    assert readme == page(), "python -m tests.template.modules_page > infrastructure/README.md"


def test_what_it_points_to_is_there() -> None:
    named = set(re.findall(r"docs/[a-z]+(?:\.md|/\d{4})", page()))
    assert named >= {"docs/ci.md", "docs/decisions/0035"}
    assert [name for name in sorted(named) if not list(ROOT.glob(f"{name}*"))] == []


def test_every_module_is_on_the_page() -> None:
    assert SAID.keys() == {path.stem for path in FOLDER.glob("*.yaml")}


def test_every_module_of_a_system_has_an_example() -> None:
    assert SAID.keys() - set(EXAMPLES) == {"runner"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_cloudformation_would_take_the_example(name: str) -> None:
    rendered = render_file(FOLDER / f"{name}.yaml", region="eu-west-1", **SAID[name]["example"])
    assert rendered.resources


def test_it_would_not_take_another_one() -> None:
    with pytest.raises(RenderError, match=r"PublicCidrs is .*; two ranges"):
        render_file(FOLDER / "network.yaml", **{**SAID["network"]["example"], "PublicCidrs": "10.0.1.0/24"})


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_needs_no_bucket(name: str) -> None:
    """CloudFormation quotas: 51,200 bytes for a template body that is sent along, 200 parameters, 200 outputs."""
    text = (FOLDER / f"{name}.yaml").read_bytes()
    assert len(text) <= 51_200
    assert len(yaml_parse(text.decode())["Parameters"]) <= 200


@pytest.mark.parametrize(
    ("resources", "asked"),
    [
        ({"Queue": {"Type": "AWS::SQS::Queue"}}, ""),
        ({"Role": {"Type": "AWS::IAM::Role", "Properties": {}}}, "CAPABILITY_IAM"),
        ({"Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "a"}}}, "CAPABILITY_NAMED_IAM"),
    ],
)
def test_roles_need_a_word(resources: Json, asked: str) -> None:
    assert capabilities({"Resources": resources}) == asked


def test_numbered_parameters_are_one_line() -> None:
    [line] = [one for one in page().splitlines() if "EnvironmentName" in one and one.startswith("| `")]
    assert line.startswith("| `EnvironmentName1` to `EnvironmentName10` |")
    assert "variable n;" in line
