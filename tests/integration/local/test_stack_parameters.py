"""Parameters and secrets that a stack makes, and others write."""

import json
import re
from typing import Any

import pytest

from tests.integration.local.stacks import Stack, Template, name, resources
from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


def registration(at: str, image: str = "shop:1") -> Template:
    properties = {"Name": at, "Type": "String", "Value": image, "Description": "written by a release"}
    return resources(Image=("AWS::SSM::Parameter", properties))


def value(cloud: Cloud, at: str) -> str:
    return str(cloud.client("ssm").get_parameter(Name=at)["Parameter"]["Value"])


@pytest.mark.parametrize("tags", [{}, {"team": "shop"}])
def test_a_parameter_is_not_written_again(cloud: Cloud, tags: dict[str, str]) -> None:
    """Guards `update`: MiniStack writes the template's value again where only tags of the stack changed."""
    at, stack = name("/image"), Stack(cloud)
    stack.create(registration(at))
    cloud.client("ssm").put_parameter(Name=at, Value="shop:2", Type="String", Overwrite=True)
    template = registration(at)
    template["Resources"]["Topic"] = {"Type": "AWS::SNS::Topic"}
    assert stack.update(template, tags) == "UPDATE_COMPLETE"
    assert value(cloud, at) == "shop:2"
    listed = cloud.client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=at)["TagList"]
    assert {"Key": "team", "Value": "shop"} in listed or not tags


def test_a_parameter_whose_template_changed_is(cloud: Cloud) -> None:
    at, stack = name("/image"), Stack(cloud)
    stack.create(registration(at))
    stack.update(registration(at, "shop:3"))
    assert value(cloud, at) == "shop:3"


def secret(at: str, **generated: Any) -> Template:
    properties = {"Name": at, "GenerateSecretString": generated}
    template = resources(Secret=("AWS::SecretsManager::Secret", properties))
    return {**template, "Outputs": {"Secret": {"Value": {"Ref": "Secret"}}}}


def test_ref_of_a_secret_is_its_arn(cloud: Cloud) -> None:
    """Guards `create`: MiniStack's is the name."""
    at, stack = name("shop/"), Stack(cloud)
    stack.create(secret(at))
    described = cloud.client("secretsmanager").describe_secret(SecretId=at)
    assert stack.outputs["Secret"] == described["ARN"] == stack.physical_id("Secret")
    template = secret(at)
    template["Resources"]["Secret"]["Properties"]["Description"] = "new"
    assert stack.update(template) == "UPDATE_COMPLETE"
    assert cloud.client("secretsmanager").describe_secret(SecretId=at)["Description"] == "new"
    assert stack.outputs["Secret"] == described["ARN"]
    assert stack.delete() == "DELETE_COMPLETE"
    with pytest.raises(cloud.client("secretsmanager").exceptions.ResourceNotFoundException):
        cloud.client("secretsmanager").describe_secret(SecretId=at)


def test_a_password_is_what_was_asked_for(cloud: Cloud) -> None:
    """Guards `_value`: MiniStack puts punctuation in regardless."""
    at = name("shop/")
    asked = {
        "SecretStringTemplate": '{"username": "shop"}',
        "GenerateStringKey": "password",
        "PasswordLength": "40",
        "ExcludePunctuation": "true",
    }
    Stack(cloud).create(secret(at, **asked))
    held = json.loads(cloud.client("secretsmanager").get_secret_value(SecretId=at)["SecretString"])
    assert held["username"] == "shop"
    assert re.fullmatch("[A-Za-z0-9]{40}", held["password"])
    assert all(re.search(each, held["password"]) for each in ("[a-z]", "[A-Z]", "[0-9]"))


def test_a_name_that_is_taken_fails_the_secret(cloud: Cloud) -> None:
    at, stack = name("shop/"), Stack(cloud)
    cloud.client("secretsmanager").create_secret(Name=at, SecretString="mine")
    assert stack.create(secret(at)) == "ROLLBACK_COMPLETE"
    assert "already exists" in stack.failures["Secret"]
    assert cloud.client("secretsmanager").get_secret_value(SecretId=at)["SecretString"] == "mine"
