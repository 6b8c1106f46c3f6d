"""An embedded cloud for tests: started on a free port, with clients, stopped without leftovers."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from tidegate_local.control import Control, NotRunningError
from tidegate_local.postgres import access
from tidegate_local.postgres.access import Access

from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Cloud:
    """A running embedded cloud."""

    endpoint_url: str
    region: str
    process: subprocess.Popen[bytes]
    state_dir: Path

    @property
    def control(self) -> Control:
        return Control(self.endpoint_url)

    @property
    def postgres(self) -> Access:
        """How to log in to its PostgreSQL; of a cloud that was started with `--postgres`."""
        return wait_until(lambda: access.read(self.state_dir), what="PostgreSQL", seconds=30)

    @cache  # noqa: B019 -- lives as long as the session's cloud
    def client(self, service: str, **credentials: str) -> Any:
        """A boto3 client; the administrator's unless credentials are given."""
        return boto3.client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=credentials.get("access_key", "test"),
            aws_secret_access_key=credentials.get("secret_key", "test"),
            aws_session_token=credentials.get("token"),
            config=Config(retries={"total_max_attempts": 1}),
        )

    def queue(self, name: str) -> tuple[str, str]:
        """URL and ARN of a new SQS queue."""
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        return str(url), str(attributes["QueueArn"])

    def message(self, url: str) -> dict[str, Any]:
        """The next message of a queue, taken off it: `body` parsed, `attributes` by name."""
        sqs = self.client("sqs")

        def receive() -> list[dict[str, Any]]:
            return list(sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages", []))

        message = wait_until(receive, what="a message")[0]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        attributes = {k: v["StringValue"] for k, v in message.get("MessageAttributes", {}).items()}
        return {"body": json.loads(message["Body"]), "attributes": attributes}

    def rule(self, pattern: dict[str, Any], target: str, **fields: Any) -> str:
        """ARN of a new rule of the default bus with one target."""
        name, events = f"rule-{uuid.uuid4().hex[:8]}", self.client("events")
        arn = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        events.put_targets(Rule=name, Targets=[{"Id": "target", "Arn": target, **fields}])
        return str(arn)

    def role(self, name: str, *statements: dict[str, Any]) -> str:
        """ARN of a new role that Lambda may assume, with one inline policy."""
        iam = self.client("iam")
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=_policy(*statements))
        return str(role["Arn"])

    def function(self, code: str, *statements: dict[str, Any], **config: Any) -> str:
        """ARN of a new Python function `app.handler` with a role of its own."""
        name = f"function-{uuid.uuid4().hex[:8]}"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("app.py", textwrap.dedent(code))
        client = self.client("lambda")
        created = client.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="app.handler",
            Role=self.role(name, *statements),
            Code={"ZipFile": archive.getvalue()},
            **config,
        )
        wait_until(
            lambda: client.get_function_configuration(FunctionName=name)["State"] == "Active",
            what=f"{name} to be active",
        )
        return str(created["FunctionArn"])

    def machine(self, states: dict[str, Any], **definition: Any) -> str:
        """ARN of a new state machine that begins at the first of `states`; JSONata unless told otherwise."""
        whole = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **definition}
        name = f"machine-{uuid.uuid4().hex[:8]}"
        created = self.client("stepfunctions").create_state_machine(
            name=name, definition=json.dumps(whole), roleArn=self.role(name)
        )
        return str(created["stateMachineArn"])

    def start(self, machine: str, given: Any = None, **request: Any) -> str:
        """ARN of a new execution."""
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=machine, input=json.dumps({} if given is None else given), **request
        )
        return str(started["executionArn"])

    def ended(self, execution: str, *, seconds: float = 10.0) -> dict[str, Any]:
        """The execution's description once it is no longer RUNNING."""

        def over() -> dict[str, Any] | None:
            described = self.client("stepfunctions").describe_execution(executionArn=execution)
            return described if described["status"] != "RUNNING" else None

        return wait_until(over, what=f"{execution} to end", seconds=seconds)

    def run(self, machine: str, given: Any = None) -> dict[str, Any]:
        """Start an execution and wait for its end; `output` is parsed."""
        result = self.ended(self.start(machine, given))
        return {**result, "output": json.loads(result["output"]) if result.get("output") else None}

    def path(self, execution: str) -> list[str]:
        """The names of the states that were entered, in order."""
        history = self.client("stepfunctions").get_execution_history(executionArn=execution, maxResults=1000)
        return [
            e["stateEnteredEventDetails"]["name"]
            for e in history["events"]
            if "stateEnteredEventDetails" in e
        ]


@contextmanager
def running_cloud(state_dir: Path, arguments: Sequence[str] = ()) -> Iterator[Cloud]:
    """Start one, wait until it is ready, stop it."""
    port = _free_port()
    log = state_dir / "server.log"
    command = [sys.executable, "-m", "tidegate_local.server", "--port", str(port)]
    command += ["--state-dir", str(state_dir), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=_environment())
    cloud = Cloud(f"http://127.0.0.1:{port}", "us-east-1", process, state_dir)
    try:
        wait_until(lambda: _ready(cloud, log), what="the embedded cloud", seconds=30)
        yield cloud
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def _ready(cloud: Cloud, log: Path) -> bool:
    if cloud.process.poll() is not None:
        raise AssertionError(f"the embedded cloud ended with {cloud.process.returncode}:\n{log.read_text()}")
    try:
        return cloud.control.health().ready
    except NotRunningError:
        return False


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
