"""Policies that want TLS."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.local.stacks import name
from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


def policy(resource: str, action: str, **condition: str) -> str:
    statement: dict[str, Any] = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource}
    statement["Condition"] = {"Bool": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def sent(cloud: Cloud, secure: str) -> dict[str, Any]:
    """A message to a queue that denies what has this `aws:SecureTransport`."""
    url, arn = cloud.queue(name())
    denied = policy(arn, "sqs:SendMessage", **{"aws:SecureTransport": secure})
    cloud.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": denied})
    return dict(cloud.client("sqs").send_message(QueueUrl=url, MessageBody="{}"))


def test_a_queue_that_wants_tls_takes_messages(cloud: Cloud) -> None:
    """Guards `pin`: the embedded cloud speaks HTTP."""
    assert sent(cloud, "false")["MessageId"]


def test_the_policy_is_looked_at(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        sent(cloud, "true")


def test_a_bucket_that_wants_tls_takes_objects(cloud: Cloud) -> None:
    bucket, client = name(), cloud.client("s3")
    client.create_bucket(Bucket=bucket)
    arn = f"arn:aws:s3:::{bucket}/*"
    client.put_bucket_policy(Bucket=bucket, Policy=policy(arn, "s3:*", **{"aws:SecureTransport": "false"}))
    client.put_object(Bucket=bucket, Key="file", Body=b"x")
    assert client.get_object(Bucket=bucket, Key="file")["Body"].read() == b"x"
