"""An embedded cloud for tests: started on a free port, with clients, stopped without leftovers."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from tidegate_local.control import Control, NotRunningError

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


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
