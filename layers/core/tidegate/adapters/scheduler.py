"""Amazon EventBridge Scheduler (https://docs.aws.amazon.com/scheduler/latest/APIReference/, the page of each action).

Schedules are in the group that is named like the stack; each starts its machine `rotate`, with the role that the stack
has for that (template.yaml).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of
from tidegate.domain.errors import NotFoundError
from tidegate.domain.schedule import Schedule, prefix

ACTOR: Final = "schedule"
REASON: Final = "scheduled"
# User guide, "Adding context attributes": the time the schedule asks for, the same for each attempt.
_SLOT: Final = "<aws.scheduler.scheduled-time>"
_RETRY: Final = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 10}
_ROLE_OUTPUT: Final = "RotationScheduleRoleArn"
_MISSING: Final = "ResourceNotFoundException"
# All that a schedule is, but for when it begins.
_COMPARED: Final = ("ScheduleExpression", "FlexibleTimeWindow", "State", "Target")
_UNITS: Final = {"minute": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True, slots=True)
class Target:
    """ARNs: of the machine, of the role that Scheduler starts it with, and of the queue for what it could not start."""

    machine: str
    role: str
    dead_letters: str

    @classmethod
    def of(cls, stack: str, partition: str, region: str, account: str, role: str) -> Target:
        return cls(
            f"arn:{partition}:states:{region}:{account}:stateMachine:{stack}-rotate",
            role,
            f"arn:{partition}:sqs:{region}:{account}:{stack}-rotation-dead-letters",
        )


def role_of(client: Any, stack: str) -> str:
    """The role that the stack has for its schedules: CloudFormation has named it. `client` is CloudFormation's. Raises
    NotFoundError where there is none."""
    with asking("cloudformation:DescribeStacks"):
        try:
            (found,) = client.describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            # API reference, DescribeStacks: a stack that does not exist is a ValidationError.
            if code_of(error) != "ValidationError":
                raise
            raise _not_installed(f"there is no stack {stack} here") from error
    for output in found.get("Outputs", []):
        if output["OutputKey"] == _ROLE_OUTPUT:
            return str(output["OutputValue"])
    raise _not_installed(f"the stack {stack} has no role that schedules could start rotations with")


def _not_installed(said: str) -> NotFoundError:
    return NotFoundError(
        said,
        field="--stack",
        hint="check --stack and --region; an installation that is older than rotations is updated by"
        " sam build && sam deploy",
    )


class SchedulerSchedules:
    def __init__(self, client: Callable[[], Any], group: str, target: Callable[[], Target]) -> None:
        self._client = client
        self._group = group
        self._asked = target
        self._known: Target | None = None

    def of(self, system: str, environment: str) -> dict[str, Schedule]:
        found = {}
        for name in self._names(prefix(system, environment)):
            kept = self._get(name)
            # None: removed since it was listed.
            if kept is not None:
                found[name] = _schedule(kept, system, environment)
        return found

    def put(self, schedule: Schedule) -> bool:
        wanted = self._wanted(schedule)
        kept = self._get(schedule.name)
        if kept is None:
            with asking("scheduler:CreateSchedule"):
                try:
                    self._client().create_schedule(**wanted)
                except ClientError as error:
                    if code_of(error) != _MISSING:
                        raise
                    raise self._no_group() from error
            return True
        if all(kept.get(name) == wanted[name] for name in _COMPARED) and "EndDate" not in kept:
            return False
        # Every value anew: those that are left out go back to their defaults.
        with asking("scheduler:UpdateSchedule"):
            self._client().update_schedule(**wanted)
        return True

    def remove(self, name: str) -> None:
        with asking("scheduler:DeleteSchedule"):
            try:
                self._client().delete_schedule(GroupName=self._group, Name=name)
            except ClientError as error:
                if code_of(error) != _MISSING:
                    raise

    def _names(self, start: str) -> Iterator[str]:
        question: dict[str, Any] = {"GroupName": self._group, "NamePrefix": start}
        while True:
            with asking("scheduler:ListSchedules"):
                try:
                    answer = self._client().list_schedules(**question)
                except ClientError as error:
                    if code_of(error) != _MISSING:
                        raise
                    raise self._no_group() from error
            yield from (entry["Name"] for entry in answer["Schedules"])
            if not answer.get("NextToken"):
                return
            question["NextToken"] = answer["NextToken"]

    def _get(self, name: str) -> Mapping[str, Any] | None:
        with asking("scheduler:GetSchedule"):
            try:
                answer: Mapping[str, Any] = self._client().get_schedule(GroupName=self._group, Name=name)
            except ClientError as error:
                if code_of(error) == _MISSING:
                    return None
                raise
        return answer

    def _wanted(self, schedule: Schedule) -> dict[str, Any]:
        target = self._known = self._known or self._asked()
        asked = {
            "system": schedule.system,
            "environment": schedule.environment,
            "secret": schedule.secret,
            "reason": REASON,
            "actor": ACTOR,
            "slot": _SLOT,
        }
        return {
            "GroupName": self._group,
            "Name": schedule.name,
            "Description": f"rotates a secret of {schedule.system}/{schedule.environment} (tidegate apply)",
            "ScheduleExpression": schedule.expression,
            "StartDate": schedule.begins,
            "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": schedule.window},
            "State": "ENABLED",
            "Target": {
                "Arn": target.machine,
                "RoleArn": target.role,
                "Input": json.dumps(asked, separators=(",", ":")),
                "RetryPolicy": _RETRY,
                "DeadLetterConfig": {"Arn": target.dead_letters},
            },
        }

    def _no_group(self) -> NotFoundError:
        return _not_installed(
            f"EventBridge Scheduler has no group {self._group} here, which keeps the times of rotations"
        )


def _schedule(kept: Mapping[str, Any], system: str, environment: str) -> Schedule:
    begins = kept.get("StartDate") or kept["CreationDate"]
    return Schedule(
        system,
        environment,
        _secret(kept),
        _interval(kept.get("ScheduleExpression", "")),
        begins.astimezone(UTC),
        kept.get("State", "ENABLED") == "ENABLED",
    )


def _secret(kept: Mapping[str, Any]) -> str:
    """Empty where the input is not one of ours."""
    try:
        return str(json.loads(kept["Target"]["Input"])["secret"])
    except (KeyError, TypeError, ValueError):
        return ""


def _interval(expression: str) -> timedelta:
    """Zero where it is no rate."""
    match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    return timedelta(0) if match is None else timedelta(seconds=int(match[1]) * _UNITS[match[2]])
