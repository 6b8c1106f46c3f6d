"""Each permission is checked on the resource that AWS names for it, dependent actions included."""

import json
from typing import Any

import pytest

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator

ACCOUNT = "000000000000"
ECS = f"arn:aws:ecs:us-east-1:{ACCOUNT}"
ECR = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository"
DIGEST = f"sha256:{'0' * 64}"
CALLS = """
    import boto3
    from botocore.exceptions import ClientError

    def handler(event, context):
        client = boto3.client(event["service"])
        try:
            getattr(client, event["call"])(**event["request"])
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "done"
"""
TASK = {"family": "resources", "containerDefinitions": [{"name": "app", "image": "app", "memory": 64}]}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/task"
CLUSTER = {"cluster": "green"}
ONE_TASK = {**CLUSTER, "tasks": ["1"]}


def allow(action: str, resource: str, **condition: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **condition}


def when(key: str, value: str) -> dict[str, Any]:
    return {"Condition": {"ArnLike" if value.startswith("arn:") else "StringEquals": {key: value}}}


def when_all(key: str, value: str) -> dict[str, Any]:
    return {"Condition": {"ForAllValues:StringLike": {key: [value]}}}


def event(source: str) -> dict[str, Any]:
    return {"Source": source, "DetailType": "any", "Detail": "{}"}


KEYED = "keyed"


def keyed(cloud: Cloud) -> None:
    """A table whose partition key is `id`."""
    client = cloud.client("dynamodb")
    if KEYED not in client.list_tables()["TableNames"]:
        client.create_table(
            TableName=KEYED,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )


RUN = {**CLUSTER, "taskDefinition": "resources-run"}


def runnable(cloud: Cloud) -> None:
    """A family whose first revision has a task role, and an execution role."""
    roles = {"taskRoleArn": ROLE, "executionRoleArn": ROLE}
    client = cloud.client("ecs")
    if not client.list_task_definitions(familyPrefix="resources-run")["taskDefinitionArns"]:
        cloud.role(ROLE.rpartition("/")[2])
        client.register_task_definition(**{**TASK, **roles, "family": "resources-run"})


REGISTER = allow("ecs:RegisterTaskDefinition", f"{ECS}:task-definition/resources:*")
TAG = allow(
    "ecs:TagResource", f"{ECS}:task-definition/*", **when("ecs:CreateAction", "RegisterTaskDefinition")
)
PASS = allow("iam:PassRole", ROLE, **when("iam:PassedToService", "ecs-tasks.amazonaws.com"))
DESCRIBE = f"{ECS}:service/green/*"
ALLOW_RUN = allow(
    "ecs:RunTask", f"{ECS}:task-definition/resources-run:*", **when("ecs:cluster", f"{ECS}:cluster/green")
)
RDS = f"arn:aws:rds:us-east-1:{ACCOUNT}"
OF_SHOP = {"DBInstanceIdentifier": "shop", "DBSnapshotIdentifier": "before-1"}
OF_CLUSTER = {"DBClusterIdentifier": "shop", "DBClusterSnapshotIdentifier": "before-1"}
TAGS = {"Tags": [{"Key": "a", "Value": "b"}]}
SNAPSHOT = [
    allow("rds:CreateDBSnapshot", f"{RDS}:db:shop"),
    allow("rds:CreateDBSnapshot", f"{RDS}:snapshot:before-*"),
]
CLUSTER_SNAPSHOT = [
    allow("rds:CreateDBClusterSnapshot", f"{RDS}:cluster:shop"),
    allow("rds:CreateDBClusterSnapshot", f"{RDS}:cluster-snapshot:before-*"),
]
TAG_SNAPSHOT = allow("rds:AddTagsToResource", f"{RDS}:snapshot:before-*")


@pytest.mark.parametrize(
    ("statements", "service", "call", "request_", "allowed"),
    [
        ([allow("ecs:DescribeServices", DESCRIBE)], "ecs", "describe_services", {**CLUSTER, "services": ["a"]}, True),
        ([allow("ecs:DescribeServices", f"{ECS}:service/green/a")], "ecs", "describe_services",
         {**CLUSTER, "services": ["a", "b"]}, False),
        ([allow("ecs:DescribeServices", f"{ECS}:cluster/green")], "ecs", "describe_services",
         {**CLUSTER, "services": ["a"]}, False),
        ([allow("ecs:DescribeServices", DESCRIBE, **when("ecs:cluster", f"{ECS}:cluster/green"))], "ecs",
         "describe_services", {**CLUSTER, "services": ["a"]}, True),
        ([allow("ecs:DescribeServices", "*", **when("ecs:cluster", f"{ECS}:cluster/blue"))], "ecs",
         "describe_services", {**CLUSTER, "services": ["a"]}, False),
        ([allow("ecs:ListTasks", f"{ECS}:container-instance/green/*")], "ecs", "list_tasks", CLUSTER, True),
        ([allow("ecs:DescribeTasks", f"{ECS}:task/green/*")], "ecs", "describe_tasks", ONE_TASK, True),
        ([allow("ecs:DescribeTasks", f"{ECS}:cluster/*")], "ecs", "describe_tasks", ONE_TASK, False),
        ([REGISTER], "ecs", "register_task_definition", TASK, True),
        ([REGISTER], "ecs", "register_task_definition", {**TASK, "tags": [{"key": "a", "value": "b"}]}, False),
        ([REGISTER, TAG], "ecs", "register_task_definition", {**TASK, "tags": [{"key": "a", "value": "b"}]}, True),
        ([REGISTER], "ecs", "register_task_definition", {**TASK, "taskRoleArn": ROLE}, False),
        ([REGISTER, PASS], "ecs", "register_task_definition", {**TASK, "taskRoleArn": ROLE}, True),
        ([REGISTER, PASS], "ecs", "register_task_definition", {**TASK, "executionRoleArn": f"{ROLE}-other"}, False),
        ([allow("ecr:DescribeRepositories", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/shop")], "ecr",
         "describe_repositories", {"repositoryNames": ["shop"]}, True),
        ([allow("ecr:DescribeRepositories", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/shop")], "ecr",
         "describe_repositories", {"repositoryNames": ["bank"]}, False),
        ([allow("ecr:GetDownloadUrlForLayer", f"{ECR}/shop")], "ecr", "get_download_url_for_layer",
         {"repositoryName": "shop", "layerDigest": DIGEST}, True),
        ([allow("ecr:GetDownloadUrlForLayer", f"{ECR}/shop"), allow("ecr:BatchGetImage", "*")], "ecr",
         "get_download_url_for_layer", {"repositoryName": "bank", "layerDigest": DIGEST}, False),
        ([allow("ecr:BatchGetImage", f"{ECR}/shop")], "ecr", "batch_get_image",
         {"repositoryName": "shop", "imageIds": [{"imageDigest": DIGEST}]}, True),
        ([allow("ecr:BatchGetImage", f"{ECR}/shop"), allow("ecr:GetDownloadUrlForLayer", "*")], "ecr",
         "batch_get_image", {"repositoryName": "bank", "imageIds": [{"imageDigest": DIGEST}]}, False),
        ([allow("ssm:GetParametersByPath", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/tidegate/*")], "ssm",
         "get_parameters_by_path", {"Path": "/tidegate/shop"}, True),
        ([allow("ssm:GetParametersByPath", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/tidegate/*")], "ssm",
         "get_parameters_by_path", {"Path": "/other"}, False),
        ([allow("events:PutEvents", "*", **when_all("events:source", "shop"))], "events", "put_events",
         {"Entries": [event("shop"), event("shop")]}, True),
        ([allow("events:PutEvents", "*", **when_all("events:source", "shop"))], "events", "put_events",
         {"Entries": [event("shop"), event("bank")]}, False),
        ([allow("dynamodb:GetItem", "*", **when_all("dynamodb:LeadingKeys", "SEEN#*"))], "dynamodb", "get_item",
         {"TableName": KEYED, "Key": {"id": {"S": "SEEN#1"}}}, True),
        ([allow("dynamodb:GetItem", "*", **when_all("dynamodb:LeadingKeys", "SEEN#*"))], "dynamodb", "get_item",
         {"TableName": KEYED, "Key": {"id": {"S": "LOCK#1"}}}, False),
        ([allow("dynamodb:PutItem", "*", **when_all("dynamodb:LeadingKeys", "SEEN#*"))], "dynamodb", "put_item",
         {"TableName": KEYED, "Item": {"a": {"S": "SEEN#1"}, "id": {"S": "LOCK#1"}}}, False),
        ([ALLOW_RUN, PASS], "ecs", "run_task", RUN, True),
        ([ALLOW_RUN], "ecs", "run_task", RUN, False),
        ([ALLOW_RUN, PASS], "ecs", "run_task", {**RUN, "cluster": "blue"}, False),
        ([ALLOW_RUN, PASS], "ecs", "run_task", {**RUN, "tags": [{"key": "a", "value": "b"}]}, False),
        ([ALLOW_RUN, PASS], "ecs", "run_task", {**RUN, "overrides": {"taskRoleArn": f"{ROLE}-other"}}, False),
        ([allow("ecs:RunTask", f"{ECS}:cluster/green"), PASS], "ecs", "run_task", RUN, False),
        ([allow("ecs:StopTask", f"{ECS}:task/green/*")], "ecs", "stop_task", {**CLUSTER, "task": "1"}, True),
        ([allow("ecs:StopTask", f"{ECS}:cluster/*")], "ecs", "stop_task", {**CLUSTER, "task": "1"}, False),
        (SNAPSHOT, "rds", "create_db_snapshot", OF_SHOP, True),
        (SNAPSHOT[:1], "rds", "create_db_snapshot", OF_SHOP, False),
        (SNAPSHOT[1:], "rds", "create_db_snapshot", OF_SHOP, False),
        (SNAPSHOT, "rds", "create_db_snapshot", {**OF_SHOP, **TAGS}, False),
        ([*SNAPSHOT, TAG_SNAPSHOT], "rds", "create_db_snapshot", {**OF_SHOP, **TAGS}, True),
        (CLUSTER_SNAPSHOT, "rds", "create_db_cluster_snapshot", OF_CLUSTER, True),
        (CLUSTER_SNAPSHOT[:1], "rds", "create_db_cluster_snapshot", OF_CLUSTER, False),
        (CLUSTER_SNAPSHOT, "rds", "create_db_cluster_snapshot", {**OF_CLUSTER, **TAGS}, False),
        ([allow("rds:DescribeDBInstances", f"{RDS}:db:shop")], "rds", "describe_db_instances",
         {"DBInstanceIdentifier": "shop"}, True),
        ([allow("rds:DescribeDBInstances", f"{RDS}:db:shop")], "rds", "describe_db_instances", {}, False),
        ([allow("rds:DescribeDBClusters", f"{RDS}:cluster:shop")], "rds", "describe_db_clusters",
         {"DBClusterIdentifier": "shop"}, True),
        ([allow("rds:DescribeDBSnapshots", f"{RDS}:snapshot:before-*")], "rds", "describe_db_snapshots",
         {"DBSnapshotIdentifier": "before-1"}, True),
        ([allow("rds:DescribeDBSnapshots", f"{RDS}:db:shop")], "rds", "describe_db_snapshots",
         {"DBSnapshotIdentifier": "before-1"}, False),
        ([allow("rds:DescribeDBClusterSnapshots", f"{RDS}:cluster-snapshot:before-*")], "rds",
         "describe_db_cluster_snapshots", {"DBClusterSnapshotIdentifier": "before-1"}, True),
        ([allow("rds:DescribeDBClusterSnapshots", f"{RDS}:snapshot:*")], "rds",
         "describe_db_cluster_snapshots", {"DBClusterSnapshotIdentifier": "before-1"}, False),
        ([TAG_SNAPSHOT], "rds", "add_tags_to_resource",
         {"ResourceName": f"{RDS}:snapshot:before-1", **TAGS}, True),
        ([TAG_SNAPSHOT], "rds", "add_tags_to_resource", {"ResourceName": f"{RDS}:db:shop", **TAGS}, False),
    ],
)  # fmt: skip
def test_a_permission_is_checked_where_aws_checks_it(
    cloud: Cloud,
    statements: list[dict[str, Any]],
    service: str,
    call: str,
    request_: dict[str, Any],
    allowed: bool,
) -> None:
    if service == "dynamodb":
        keyed(cloud)
    if call == "run_task":
        runnable(cloud)
    function = cloud.function(CALLS, *statements)
    payload = json.dumps({"service": service, "call": call, "request": request_}).encode()
    answer = cloud.client("lambda").invoke(FunctionName=function, Payload=payload)
    said = json.load(answer["Payload"])
    assert (said not in ("AccessDeniedException", "AccessDenied")) is allowed, said
