from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import tidegate
from tidegate.runtime.settings import Settings, SettingsError

GIVEN = {"TIDEGATE_TABLE": "table", "TIDEGATE_STACK": "gate", "AWS_REGION": "eu-west-1", "OTHER": "hunter2"}


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_environment(GIVEN) == Settings(table="table", stack="gate", region="eu-west-1")
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment() == Settings.from_environment(GIVEN)


@pytest.mark.parametrize("stack", [None, ""])
def test_the_stack_is_named_tidegate_unless_said(stack: str | None) -> None:
    given = {name: value for name, value in GIVEN.items() if name != "TIDEGATE_STACK"}
    assert Settings.from_environment(given | ({} if stack is None else {"TIDEGATE_STACK": stack})).stack == (
        "tidegate"
    )


def test_there_may_be_no_secret_of_github() -> None:
    assert Settings.from_environment(GIVEN).github_secret is None
    assert Settings.from_environment(GIVEN | {"TIDEGATE_GITHUB_SECRET": ""}).github_secret is None


def test_the_secret_of_github_is_an_arn() -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:github-a1B2c3"
    assert Settings.from_environment(GIVEN | {"TIDEGATE_GITHUB_SECRET": arn}).github_secret == arn


@pytest.mark.parametrize("name", ["TIDEGATE_TABLE", "AWS_REGION"])
@pytest.mark.parametrize("value", [None, "", " "])
def test_a_missing_variable_is_named_and_no_other_is_shown(name: str, value: str | None) -> None:
    given = {key: text for key, text in GIVEN.items() if key != name}
    with pytest.raises(SettingsError, match=name) as raised:
        Settings.from_environment(given | ({} if value is None else {name: value}))
    assert raised.value.field == name
    assert "hunter2" not in str(raised.value)


def test_a_function_may_have_no_table() -> None:
    given = {name: value for name, value in GIVEN.items() if name != "TIDEGATE_TABLE"}
    assert Settings.from_environment(given, table=False) == Settings(None, "eu-west-1", "gate")
    with pytest.raises(SettingsError, match="AWS_REGION"):
        Settings.from_environment({}, table=False)


@pytest.mark.parametrize("region", ["us-gov-west-1", "eu-central-2", "ap-southeast-5"])
def test_regions_are_taken(region: str) -> None:
    assert Settings.from_environment({**GIVEN, "AWS_REGION": region}).region == region


@pytest.mark.parametrize("region", ["Ireland", "eu-west", "eu-west-1a", "eu-west-1.evil.example"])
def test_what_is_no_region_is_refused(region: str) -> None:
    with pytest.raises(SettingsError, match="AWS_REGION"):
        Settings.from_environment({**GIVEN, "AWS_REGION": region})


def test_the_version_we_tell_aws_is_the_one_that_is_packaged() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["version"] == tidegate.__version__
