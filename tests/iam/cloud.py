"""The roles of a running embedded cloud, and a way back to a quiet one after a scenario that broke."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.support import SampleCloud
from tests.iam.permissions import Pair, without

MACHINES = ("deploy", "rollback", "roll", "build")
# Its minute would make good what a scenario is to show broken; the scenarios sweep themselves.
SWEEP = "sweep"


class Roles:
    """The deployed roles by their logical id."""

    def __init__(self, cloud: SampleCloud) -> None:
        self._iam = cloud.client("iam")
        self._names: dict[str, str] = {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in cloud.client("cloudformation").describe_stack_resources(
                StackName=cloud.cloud.options.stack
            )["StackResources"]
            if resource["ResourceType"] == "AWS::IAM::Role"
        }

    @contextmanager
    def lacking(self, pair: Pair) -> Iterator[None]:
        """Take one action away, and give it back."""
        role = self._names[pair.role]
        (policy,) = self._iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = self._iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        if isinstance(document, str):
            document = json.loads(document)
        self._put(role, policy, without(document, pair.action))
        try:
            yield
        finally:
            self._put(role, policy, document)

    def _put(self, role: str, policy: str, document: Any) -> None:
        self._iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def forget(cloud: SampleCloud) -> None:
    """Nothing under way, nothing recorded, every event heard: as after the installation."""
    stack = cloud.cloud.options.stack
    events = cloud.client("events")
    for rule in events.list_rules(NamePrefix=f"{stack}-")["Rules"]:
        if rule["Name"] != f"{stack}-{SWEEP}" and rule["State"] != "ENABLED":
            events.enable_rule(Name=rule["Name"])
    events.disable_rule(Name=f"{stack}-{SWEEP}")
    for service in cloud.control.faults():
        cloud.control.clear_fault(service)
    stop_everything(cloud, stack)
    table, dynamodb = stack, cloud.client("dynamodb")
    for page in dynamodb.get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            dynamodb.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})
    cloud.wait_for_settled_services()


def stop_everything(cloud: SampleCloud, stack: str) -> None:
    sfn = cloud.client("stepfunctions")
    for machine in sfn.list_state_machines()["stateMachines"]:
        if machine["name"] in [f"{stack}-{name}" for name in MACHINES]:
            running = sfn.list_executions(stateMachineArn=machine["stateMachineArn"], statusFilter="RUNNING")
            for execution in running["executions"]:
                sfn.stop_execution(executionArn=execution["executionArn"])


def denials(cloud: SampleCloud, since: float) -> list[str]:
    """What functions logged of calls that AWS refused, from a time (epoch seconds) on.

    A refusal may come after everything that a scenario looks at: a token that was answered and could not be removed
    is only found again by the sweep.
    """
    logs, stack = cloud.client("logs"), cloud.cloud.options.stack
    found = []
    for group in logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{stack}-")["logGroups"]:
        events = logs.filter_log_events(logGroupName=group["logGroupName"], startTime=int(since * 1000))
        for event in events["events"]:
            said = _message(event["message"])
            if "AccessDenied" in said:
                found.append(f"{group['logGroupName'].rsplit('-', 1)[-1]} was denied: {said}")
    return found


def _message(line: str) -> str:
    try:
        return str(json.loads(line).get("message", ""))
    except (ValueError, AttributeError):
        return ""
