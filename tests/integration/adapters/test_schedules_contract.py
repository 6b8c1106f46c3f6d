"""Schedules: in memory, and in EventBridge Scheduler on moto; what is sent to it, held to its model."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.scheduler import SchedulerSchedules, Target, role_of
from tidegate.domain.errors import NotFoundError, OutsideError
from tidegate.domain.schedule import Schedule
from tidegate.ports import Schedules

from tests.integration.adapters.cloud import ACCOUNT, REGION
from tests.support.answered import AnsweredAws, Refused, denied
from tests.support.schedules import FakeSchedules

DAY = timedelta(days=1)
BEGINS = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
DATABASE = Schedule("shop", "production", "shop/production/database", 30 * DAY, BEGINS)
TOKEN = Schedule("shop", "production", "shop/production/token", timedelta(hours=12), BEGINS)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/tidegate-RotationScheduleRole-1A2B3C"
TARGET = Target.of("tidegate", "aws", REGION, ACCOUNT, ROLE)


def on_aws(client: Any) -> SchedulerSchedules:
    return SchedulerSchedules(lambda: client, "tidegate", lambda: TARGET)


@pytest.fixture(params=["fake", "moto"])
def schedules(request: pytest.FixtureRequest) -> Schedules:
    if request.param == "fake":
        return FakeSchedules()
    clients: Clients = request.getfixturevalue("moto")
    client = clients.client("scheduler")
    client.create_schedule_group(Name="tidegate")
    return on_aws(client)


def test_a_schedule_comes_back_as_it_was_put(schedules: Schedules) -> None:
    assert schedules.of("shop", "production") == {}
    assert schedules.put(DATABASE)
    assert schedules.put(TOKEN)
    assert schedules.of("shop", "production") == {one.name: one for one in (DATABASE, TOKEN)}


def test_the_same_again_changes_nothing_whenever_it_begins(schedules: Schedules) -> None:
    """Red where what is kept is written in any case: each `apply` would put a rotation off."""
    schedules.put(DATABASE)
    assert not schedules.put(replace(DATABASE, begins=BEGINS + DAY))
    assert schedules.of("shop", "production") == {DATABASE.name: DATABASE}


def test_another_interval_takes_the_place_of_the_one_before(schedules: Schedules) -> None:
    schedules.put(DATABASE)
    sooner = replace(DATABASE, every=7 * DAY, begins=BEGINS + DAY)
    assert schedules.put(sooner)
    assert schedules.of("shop", "production") == {DATABASE.name: sooner}


def test_one_that_is_not_there_is_removed_already(schedules: Schedules) -> None:
    schedules.put(DATABASE)
    schedules.remove(DATABASE.name)
    schedules.remove(DATABASE.name)
    assert schedules.of("shop", "production") == {}


def test_another_environment_has_its_own(schedules: Schedules) -> None:
    schedules.put(DATABASE)
    schedules.put(replace(DATABASE, environment="staging"))
    assert list(schedules.of("shop", "production").values()) == [DATABASE]
    assert schedules.of("shop", "prod") == {}


def test_what_somebody_changed_is_put_right(moto: Clients) -> None:
    client = moto.client("scheduler")
    client.create_schedule_group(Name="tidegate")
    port = on_aws(client)
    port.put(DATABASE)
    kept = client.get_schedule(GroupName="tidegate", Name=DATABASE.name)
    changed = {
        "GroupName": "tidegate",
        "Name": DATABASE.name,
        "ScheduleExpression": "cron(0 3 * * ? *)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {**kept["Target"], "Input": "{}"},
        "State": "DISABLED",
    }
    client.update_schedule(**changed)
    (found,) = port.of("shop", "production").values()
    assert (found.secret, found.every, found.enabled) == ("", timedelta(0), False)
    assert port.put(DATABASE)
    assert port.of("shop", "production") == {DATABASE.name: DATABASE}


def test_what_it_starts_and_with_what(moto: Clients) -> None:
    client = moto.client("scheduler")
    client.create_schedule_group(Name="tidegate")
    on_aws(client).put(DATABASE)
    kept = client.get_schedule(GroupName="tidegate", Name=DATABASE.name)
    assert kept["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1440}
    target = kept["Target"]
    assert target["Arn"] == f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:tidegate-rotate"
    assert target["RoleArn"] == ROLE
    assert (
        target["DeadLetterConfig"]["Arn"] == f"arn:aws:sqs:{REGION}:{ACCOUNT}:tidegate-rotation-dead-letters"
    )
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 10}
    assert json.loads(target["Input"]) == {
        "system": "shop",
        "environment": "production",
        "secret": "shop/production/database",
        "reason": "scheduled",
        "actor": "schedule",
        "slot": "<aws.scheduler.scheduled-time>",
    }


def test_all_pages_are_read() -> None:
    aws = AnsweredAws()
    schedules = {one.name: one for one in (DATABASE, TOKEN)}
    names = list(schedules)

    def listed(parameters: dict[str, Any]) -> dict[str, Any]:
        page = int(parameters.get("NextToken", 0))
        more = {"NextToken": "1"} if page == 0 else {}
        return {"Schedules": [{"Name": names[page]}], **more}

    def got(parameters: dict[str, Any]) -> dict[str, Any]:
        one = schedules[parameters["Name"]]
        return {
            "Name": one.name,
            "ScheduleExpression": one.expression,
            "StartDate": one.begins,
            "CreationDate": one.begins,
            "Target": {"Arn": "a", "RoleArn": "r", "Input": json.dumps({"secret": one.secret})},
        }

    aws.answers["scheduler", "ListSchedules"] = listed
    aws.answers["scheduler", "GetSchedule"] = got
    assert on_aws(aws.client("scheduler")).of("shop", "production") == schedules


def _gone(parameters: dict[str, Any]) -> dict[str, Any]:
    raise Refused("ResourceNotFoundException", "Schedule group tidegate does not exist.")


def test_an_installation_without_the_group_is_told_with_the_mend() -> None:
    aws = AnsweredAws()
    for operation in ("ListSchedules", "GetSchedule", "CreateSchedule"):
        aws.answers["scheduler", operation] = _gone
    port = on_aws(aws.client("scheduler"))
    for ask in (lambda: port.put(DATABASE), lambda: port.of("shop", "production")):
        with pytest.raises(NotFoundError, match="no group tidegate") as refused:
            ask()
        assert "sam deploy" in str(refused.value.hint)


def test_who_may_not_is_told_which_permission_is_missing() -> None:
    aws = AnsweredAws()
    aws.answers["scheduler", "ListSchedules"] = denied
    with pytest.raises(OutsideError, match="scheduler:ListSchedules") as refused:
        on_aws(aws.client("scheduler")).of("shop", "production")
    assert refused.value.hint == "allow scheduler:ListSchedules to the role that made this call"


def stack(**outputs: str) -> dict[str, Any]:
    told = [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]
    made = {
        "StackName": "tidegate",
        "CreationTime": BEGINS,
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": told,
    }
    return {"Stacks": [made]}


def test_the_role_is_the_one_that_the_stack_tells() -> None:
    aws = AnsweredAws()
    aws.answers["cloudformation", "DescribeStacks"] = lambda _: stack(Table="t", RotationScheduleRoleArn=ROLE)
    assert role_of(aws.client("cloudformation"), "tidegate") == ROLE


def _no_stack(parameters: dict[str, Any]) -> dict[str, Any]:
    raise Refused("ValidationError", "Stack with id tidegate does not exist")


@pytest.mark.parametrize("answer", [_no_stack, lambda _: stack(Table="t")])
def test_a_stack_without_the_role_is_told_with_the_mend(answer: Any) -> None:
    aws = AnsweredAws()
    aws.answers["cloudformation", "DescribeStacks"] = answer
    with pytest.raises(NotFoundError) as refused:
        role_of(aws.client("cloudformation"), "tidegate")
    assert "sam deploy" in str(refused.value.hint)
