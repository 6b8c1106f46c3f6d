"""CloudFormation deploys every type Tidegate's template needs, and the properties arrive."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

STACK = "whole"


@pytest.fixture(scope="module")
def stack(cloud: Cloud) -> Mapping[str, str]:
    """Physical ids by logical id."""
    client = cloud.client("cloudformation")
    body = Path(__file__).with_name("stack.yaml").read_text()
    client.create_stack(
        StackName=STACK, TemplateBody=body, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    )

    def settled() -> dict[str, Any] | None:
        described: dict[str, Any] = client.describe_stacks(StackName=STACK)["Stacks"][0]
        return None if described["StackStatus"].endswith("IN_PROGRESS") else described

    described = wait_until(settled, what="the stack", seconds=30)
    assert described["StackStatus"] == "CREATE_COMPLETE", described.get("StackStatusReason")
    resources = client.describe_stack_resources(StackName=STACK)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}


def test_a_machine_invokes_a_function_with_its_settings(cloud: Cloud, stack: Mapping[str, str]) -> None:
    result = cloud.run(stack["Machine"], {"n": 1})
    assert result["output"] == {"table": stack["Table"], "given": {"n": 1}}
    assert stack["Machine"].endswith(f":stateMachine:{STACK}-deploy")
    assert cloud.run(stack["PlainMachine"])["output"] == "substituted"


def test_the_table_has_its_index_and_its_safeguards(cloud: Cloud, stack: Mapping[str, str]) -> None:
    client = cloud.client("dynamodb")
    table = client.describe_table(TableName=stack["Table"])["Table"]
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["by_time"]
    assert table["SSEDescription"]["Status"] == "ENABLED"
    ttl = client.describe_time_to_live(TableName=stack["Table"])["TimeToLiveDescription"]
    assert (ttl["AttributeName"], ttl["TimeToLiveStatus"]) == ("expires", "ENABLED")
    backups = client.describe_continuous_backups(TableName=stack["Table"])["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_failures_of_deliveries_have_somewhere_to_go(cloud: Cloud, stack: Mapping[str, str]) -> None:
    queue = "arn:aws:sqs:us-east-1:000000000000:" + stack["Queue"].rsplit("/", 1)[-1]
    config = cloud.client("lambda").get_function_event_invoke_config(FunctionName=stack["Wake"])
    assert config["MaximumRetryAttempts"] == 1
    assert config["DestinationConfig"]["OnFailure"] == {"Destination": queue}
    for rule in ("Rule", "WakeDeployments"):
        targets = cloud.client("events").list_targets_by_rule(Rule=stack[rule].rsplit("/", 1)[-1])["Targets"]
        assert [target["DeadLetterConfig"] for target in targets] == [{"Arn": queue}]


def test_a_function_may_not_do_what_the_template_did_not_allow(
    cloud: Cloud, stack: Mapping[str, str]
) -> None:
    iam = cloud.client("iam")
    config = cloud.client("lambda").get_function_configuration(FunctionName=stack["Wake"])
    role = config["Role"].rsplit("/", 1)[-1]
    documents = [
        iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    ]
    allowed = {statement["Action"] for document in documents for statement in document["Statement"]}
    assert allowed == {"dynamodb:PutItem", "sqs:SendMessage"}  # the second by SAM, for the destination


def test_schedules_are_there(cloud: Cloud, stack: Mapping[str, str]) -> None:
    rule = cloud.client("events").describe_rule(Name=stack["WakeEveryMinute"].rsplit("/", 1)[-1])
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "DISABLED")
    schedule = cloud.client("scheduler").get_schedule(Name=stack["WakeEveryDay"].rsplit("/", 1)[-1])
    assert schedule["ScheduleExpression"] == "rate(1 day)"
