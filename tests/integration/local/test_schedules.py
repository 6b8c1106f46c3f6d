"""Schedules of EventBridge Scheduler: when they invoke, and what their target is told."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tidegate.adapters.scheduler import SchedulerSchedules, Target
from tidegate.domain.request import RotateRequest, parse_rotate
from tidegate.domain.schedule import Schedule

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

SLOT = "<aws.scheduler.scheduled-time>"


def schedule(cloud: Cloud, machine: str, begins: datetime, **fields: Any) -> str:
    """Name of a new one, every minute from `begins` on."""
    name = f"schedule-{uuid.uuid4().hex[:8]}"
    target = {
        "Arn": machine,
        "RoleArn": "arn:aws:iam::000000000000:role/schedules",
        "Input": json.dumps({"slot": SLOT, "by": "<aws.scheduler.schedule-arn>"}),
    }
    cloud.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression="rate(1 minute)",
        StartDate=begins,
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1},
        Target=target,
        **fields,
    )
    return name


def inputs(cloud: Cloud, machine: str) -> list[dict[str, Any]]:
    client = cloud.client("stepfunctions")
    found = client.list_executions(stateMachineArn=machine)["executions"]
    return [json.loads(client.describe_execution(executionArn=one["executionArn"])["input"]) for one in found]


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def test_a_schedule_starts_its_machine_when_it_begins_and_says_for_which_time(cloud: Cloud) -> None:
    """MiniStack alone would start it a minute after it was made, and pass the words on as they are."""
    machine = cloud.machine({"End": {"Type": "Succeed"}})
    begins = now() + timedelta(seconds=2)
    name = schedule(cloud, machine, begins)
    (told,) = wait_until(lambda: inputs(cloud, machine), what="an execution", seconds=10)
    assert told["slot"] == begins.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert re.fullmatch(rf"arn:aws:scheduler:.*:schedule/default/{name}", told["by"])


def test_one_that_has_yet_to_begin_or_is_switched_off_starts_nothing(cloud: Cloud) -> None:
    later, off, due = (cloud.machine({"End": {"Type": "Succeed"}}) for _ in range(3))
    schedule(cloud, later, now() + timedelta(hours=1))
    schedule(cloud, off, now() + timedelta(seconds=1), State="DISABLED")
    schedule(cloud, due, now() + timedelta(seconds=2))
    wait_until(lambda: inputs(cloud, due), what="the one that is due", seconds=10)
    assert inputs(cloud, later) == inputs(cloud, off) == []


def test_what_the_port_keeps_starts_a_rotation(cloud: Cloud) -> None:
    """The adapter's own schedule, from its name to the request that the machine is given."""
    stack = f"stack-{uuid.uuid4().hex[:8]}"
    scheduler, states = cloud.client("scheduler"), cloud.client("stepfunctions")
    scheduler.create_schedule_group(Name=stack)
    role = cloud.role(f"{stack}-role")
    made = states.create_state_machine(
        name=f"{stack}-rotate",
        roleArn=role,
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
    )
    machine = made["stateMachineArn"]
    target = Target.of(stack, "aws", cloud.region, machine.split(":")[4], role)
    port = SchedulerSchedules(lambda: scheduler, stack, lambda: target)
    begins = now() + timedelta(seconds=2)
    kept = Schedule("shop", "production", "shop/production/token", timedelta(minutes=1), begins)
    assert port.put(kept)
    assert not port.put(kept)
    assert port.of("shop", "production") == {kept.name: kept}

    (told,) = wait_until(lambda: inputs(cloud, machine), what="a rotation", seconds=10)
    request = parse_rotate(told)
    assert isinstance(request, RotateRequest)
    assert (request.system, request.environment, request.secret) == ("shop", "production", kept.secret)
    assert (request.scheduled, request.actor) == (True, "schedule")
    assert request.slot == begins.strftime("%Y-%m-%dT%H:%M:%SZ")
    port.remove(kept.name)
    assert port.of("shop", "production") == {}
