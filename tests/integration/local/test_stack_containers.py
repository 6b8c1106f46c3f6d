"""Containers of a task definition that a stack makes."""

import json
import uuid
from typing import Any

import pytest

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:shop/database-AbCdEf"


def test_what_a_stack_says_of_a_container_is_what_the_api_says(cloud: Cloud) -> None:
    """Guards `_define`: MiniStack leaves `ValueFrom` and the like as CloudFormation spells them."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    container = {
        "Name": "api",
        "Image": "shop",
        "Secrets": [{"Name": "DATABASE", "ValueFrom": f"{SECRET}:password::"}],
        "RepositoryCredentials": {"CredentialsParameter": SECRET},
        "HealthCheck": {"Command": ["CMD", "true"], "Interval": 5},
        "DependsOn": [{"ContainerName": "proxy", "Condition": "START"}],
        "LogConfiguration": {
            "LogDriver": "splunk",
            "Options": {"Splunk-Url": "https://example.com"},
            "SecretOptions": [{"Name": "splunk-token", "ValueFrom": SECRET}],
        },
    }
    other = {"Name": "proxy", "Image": "proxy"}
    properties = {"Family": name, "ContainerDefinitions": [container, other]}
    template = {"Resources": {"Tasks": {"Type": "AWS::ECS::TaskDefinition", "Properties": properties}}}
    stacks: Any = cloud.client("cloudformation")
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template))
    wait_until(
        lambda: stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE",
        what=f"the stack {name}",
    )
    described = cloud.client("ecs").describe_task_definition(taskDefinition=name)["taskDefinition"]
    api, proxy = described["containerDefinitions"]
    assert api["secrets"] == [{"name": "DATABASE", "valueFrom": f"{SECRET}:password::"}]
    assert api["repositoryCredentials"] == {"credentialsParameter": SECRET}
    assert api["healthCheck"] == {"command": ["CMD", "true"], "interval": 5}
    assert api["dependsOn"] == [{"containerName": "proxy", "condition": "START"}]
    assert api["logConfiguration"] == {
        "logDriver": "splunk",
        "options": {"Splunk-Url": "https://example.com"},
        "secretOptions": [{"name": "splunk-token", "valueFrom": SECRET}],
    }
    assert (proxy["name"], proxy["image"]) == ("proxy", "proxy")
