"""An execution that does nothing but wait for its task token to be answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tidegate_local import sample

from tests.e2e.support import SampleCloud
from tests.support.waiting import wait_until

TOKEN_SECONDS = 20.0
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@dataclass(frozen=True)
class Waiter:
    """`execution` is its ARN, `token` what it waits with."""

    cloud: SampleCloud
    execution: str
    token: str

    def answer(self, seconds: float) -> Any:
        """What it was told, once it was."""
        sfn = self.cloud.client("stepfunctions")

        def over() -> dict[str, Any] | None:
            described = sfn.describe_execution(executionArn=self.execution)
            return dict(described) if described["status"] != "RUNNING" else None

        described = wait_until(over, what="the token to be answered", seconds=seconds, pause=0.2)
        assert described["status"] == "SUCCEEDED", described
        return json.loads(described["output"])


@contextmanager
def waiter(cloud: SampleCloud) -> Iterator[Waiter]:
    """Starts one, with a machine and a queue of its own; all of them are gone afterwards."""
    name = f"waits-{uuid4().hex[:12]}"
    sqs, sfn, iam = cloud.client("sqs"), cloud.client("stepfunctions"), cloud.client("iam")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
    machine = sfn.create_state_machine(name=name, roleArn=role, definition=json.dumps(_definition(queue)))[
        "stateMachineArn"
    ]
    execution = sfn.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    try:

        def sent() -> list[dict[str, Any]]:
            return list(sqs.receive_message(QueueUrl=queue).get("Messages", []))

        (message,) = wait_until(sent, what="the token", seconds=TOKEN_SECONDS)
        yield Waiter(cloud, execution, json.loads(message["Body"])["token"])
    finally:
        if sfn.describe_execution(executionArn=execution)["status"] == "RUNNING":
            sfn.stop_execution(executionArn=execution)
        sfn.delete_state_machine(stateMachineArn=machine)
        iam.delete_role(RoleName=name)
        sqs.delete_queue(QueueUrl=queue)


def _definition(queue: str) -> dict[str, Any]:
    waits = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
        "TimeoutSeconds": 600,
        "End": True,
    }
    return {"Comment": f"of {sample.SYSTEM}", "StartAt": "Wait", "States": {"Wait": waits}}
