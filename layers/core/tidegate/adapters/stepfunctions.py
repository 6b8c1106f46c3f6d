"""AWS Step Functions (Standard workflows)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of
from tidegate.ports import Execution, Started

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

MARGIN = timedelta(seconds=2)  # the Date header is cut to the second, and its clock is another machine's
_NOBODY_WAITS = frozenset({"InvalidToken", "TaskDoesNotExist", "TaskTimedOut"})


class StepFunctions:
    """`prefix` gives what a machine's name is put behind:
    `arn:<partition>:states:<region>:<account>:stateMachine:<stack>-`."""

    def __init__(self, client: Callable[[], SFNClient], prefix: Callable[[], str]) -> None:
        self._client = client
        self._prefix = prefix

    def start(self, machine: str, name: str, payload: Mapping[str, Any]) -> Started:
        """StartExecution answers a second call with the same name and input with the first one's start date while
        that runs, and with ExecutionAlreadyExists otherwise. Where a start date does not tell, `new` is True."""
        arn = f"{self._prefix()}{machine}"
        began = time.monotonic()
        with asking("states:StartExecution"):
            try:
                answer = self._client().start_execution(
                    stateMachineArn=arn, name=name, input=json.dumps(payload, separators=(",", ":"))
                )
            except ClientError as error:
                if code_of(error) != "ExecutionAlreadyExists":
                    raise
                return Started(self._execution(machine, name), new=False)
        took = timedelta(seconds=time.monotonic() - began)
        earliest = _answered_at(answer["ResponseMetadata"]) - took - MARGIN
        return Started(answer["executionArn"], new=answer["startDate"] >= earliest)

    def describe(self, arn: str) -> Execution | None:
        with asking("states:DescribeExecution"):
            try:
                answer = self._client().describe_execution(executionArn=arn)
            except ClientError as error:
                if code_of(error) == "ExecutionDoesNotExist":
                    return None
                raise
        result = answer.get("output") or answer.get("cause")
        return Execution(arn, answer["status"], answer.get("stopDate"), result)

    def named(self, machine: str, name: str) -> Execution | None:
        return self.describe(self._execution(machine, name))

    def _execution(self, machine: str, name: str) -> str:
        return f"{self._prefix()}{machine}:{name}".replace(":stateMachine:", ":execution:", 1)

    def succeed(self, token: str, output: Mapping[str, Any]) -> bool:
        with asking("states:SendTaskSuccess"):
            try:
                self._client().send_task_success(
                    taskToken=token, output=json.dumps(output, separators=(",", ":"))
                )
            except ClientError as error:
                if code_of(error) in _NOBODY_WAITS:
                    return False
                raise
        return True


def _answered_at(metadata: Mapping[str, Any]) -> datetime:
    """The service's own clock, so that ours may be wrong."""
    date = metadata.get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)
