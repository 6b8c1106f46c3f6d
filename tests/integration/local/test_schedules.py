"""Schedules of EventBridge Scheduler: when they invoke, and what their target is told."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

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
