"""infrastructure/build.yaml in CloudFormation, with the parameters that a person gives."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until
from tests.template.buildspec_copy import BUILD_TEMPLATE, BUILDSPEC

pytestmark = pytest.mark.emulator

CONNECTION = "arn:aws:codeconnections:us-east-1:111122223333:connection/12345678-1234-1234-1234-123456789012"


def deployed(cloud: Cloud, **parameters: str) -> dict[str, str]:
    """Outputs by name."""
    client, name = cloud.client("cloudformation"), f"build-{uuid.uuid4().hex[:8]}"
    client.create_stack(
        StackName=name,
        TemplateBody=BUILD_TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )

    def settled() -> dict[str, Any] | None:
        described: dict[str, Any] = client.describe_stacks(StackName=name)["Stacks"][0]
        return None if described["StackStatus"].endswith("IN_PROGRESS") else described

    described = wait_until(settled, what="the stack", seconds=30)
    assert described["StackStatus"] == "CREATE_COMPLETE", described.get("StackStatusReason")
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def project(cloud: Cloud, name: str) -> dict[str, Any]:
    (found,) = cloud.client("codebuild").batch_get_projects(names=[name])["projects"]
    return dict(found)


def resources(cloud: Cloud, role: str, action: str) -> list[Any]:
    """What the role may do it on, one entry a statement."""
    document = cloud.client("iam").get_role_policy(RoleName=role.rpartition("/")[2], PolicyName="build")
    return [s["Resource"] for s in document["PolicyDocument"]["Statement"] if action in s["Action"]]


def test_a_project_for_codecommit(cloud: Cloud) -> None:
    outputs = deployed(
        cloud,
        ProjectName="shop-build",
        SourceLocation="shop",
        Repositories="shop, acme/shop-api",
        Context="backend",
        BuildArguments="BASE_IMAGE=base:1",
    )
    built = project(cloud, outputs["ProjectName"])
    assert built["source"]["type"] == "CODECOMMIT"
    assert built["source"]["location"] == "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/shop"
    assert built["source"]["buildspec"] == BUILDSPEC.read_text()
    assert built["environment"]["type"] == "ARM_CONTAINER"
    assert built["environment"]["privilegedMode"] is True
    variables = {entry["name"]: entry["value"] for entry in built["environment"]["environmentVariables"]}
    assert variables == {
        "TIDEGATE_IMAGE": "",
        "TIDEGATE_REPOSITORY": "shop",
        "TIDEGATE_CONTEXT": "backend",
        "TIDEGATE_DOCKERFILE": "Dockerfile",
        "TIDEGATE_TEST": "",
        "TIDEGATE_BUILD_ARGS": "BASE_IMAGE=base:1",
    }
    assert resources(cloud, outputs["RoleArn"], "ecr:PutImage") == [
        ["arn:*:ecr:*:*:repository/shop", "arn:*:ecr:*:*:repository/acme/shop-api"]
    ]
    assert len(resources(cloud, outputs["RoleArn"], "ecr:BatchGetImage")) == 1
    assert len(resources(cloud, outputs["RoleArn"], "codecommit:GitPull")) == 1
    assert resources(cloud, outputs["RoleArn"], "codeconnections:GetConnectionToken") == []
    (group,) = cloud.client("logs").describe_log_groups(logGroupNamePrefix=outputs["LogGroupName"])[
        "logGroups"
    ]
    assert group["retentionInDays"] == 30


def test_a_project_for_github_by_a_connection(cloud: Cloud) -> None:
    outputs = deployed(
        cloud,
        ProjectName="hub-build",
        SourceType="GITHUB",
        SourceLocation="https://github.com/acme/shop.git",
        ConnectionArn=CONNECTION,
        Repositories="shop",
        BaseRepositories="base",
        Architecture="x86_64",
        TriggerOnPush="true",
    )
    built = project(cloud, outputs["ProjectName"])
    assert built["source"]["location"] == "https://github.com/acme/shop.git"
    assert built["source"]["auth"] == {"type": "CODECONNECTIONS", "resource": CONNECTION}
    assert built["environment"]["type"] == "LINUX_CONTAINER"
    assert resources(cloud, outputs["RoleArn"], "codeconnections:GetConnectionToken") == [CONNECTION]
    assert resources(cloud, outputs["RoleArn"], "codecommit:GitPull") == []
    assert ["arn:*:ecr:*:*:repository/base"] in resources(cloud, outputs["RoleArn"], "ecr:BatchGetImage")
    assert resources(cloud, outputs["RoleArn"], "ecr:PutImage") == [["arn:*:ecr:*:*:repository/shop"]]
