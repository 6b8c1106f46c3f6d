"""A push as GitHub delivers it, from the function URL to the bus."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import urllib.error
import urllib.request
from typing import Any
from uuid import uuid4

from tidegate_local.lifecycle import webhook_secret

from tests.e2e import scenarios
from tests.e2e.scenarios import scenario
from tests.e2e.support import SampleCloud
from tests.support.waiting import wait_until

REPOSITORY = "acme/of-nobody"
FUNCTION = "tidegate-webhook"
HEARD = "heard-of-github"


@scenario
def a_push_that_github_signed_is_heard(cloud: SampleCloud) -> None:
    queue, secret = _listen(cloud), _new_secret(cloud)
    payload = _push()
    good = _delivery(payload, secret)
    wrong = _delivery(payload, secrets.token_hex())
    assert _post(cloud, payload, wrong)[0] == 401
    assert _post(cloud, payload + b" ", good)[0] == 401
    assert _post(cloud, payload, good) == (
        202,
        {"did": "accepted", "delivery": good["X-GitHub-Delivery"]},
    )
    again = {**good, "X-GitHub-Delivery": str(uuid4())}
    assert _post(cloud, payload, again) == (200, {"did": "nothing", "why": "duplicate"})
    (detail,) = _heard(cloud, queue, json.loads(payload)["after"])
    assert (detail["repository"], detail["ref"]) == (REPOSITORY, "refs/heads/main")
    assert (detail["changed"], detail["delivery"]) == (["README.md"], good["X-GitHub-Delivery"])


def _new_secret(cloud: SampleCloud) -> str:
    """Where the function has to read it: it keeps one for five minutes, but not over a new configuration."""
    secret = secrets.token_hex()
    cloud.client("secretsmanager").put_secret_value(
        SecretId=webhook_secret.NAME, SecretString=json.dumps({REPOSITORY: secret})
    )
    cloud.client("lambda").update_function_configuration(
        FunctionName=FUNCTION, Description=secrets.token_hex(8)
    )
    return secret


def _push() -> bytes:
    commit = secrets.token_hex(20)
    touched = {"id": commit, "added": [], "removed": [], "modified": ["README.md"]}
    return json.dumps(
        {
            "ref": "refs/heads/main",
            "before": secrets.token_hex(20),
            "after": commit,
            "created": False,
            "deleted": False,
            "forced": False,
            "compare": "https://github.com/acme/of-nobody/compare/a...b",
            "commits": [touched],
            "repository": {"full_name": REPOSITORY},
            "sender": {"login": "ada"},
        }
    ).encode()


def _delivery(payload: bytes, secret: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": str(uuid4()),
        "X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()}",
    }


def _post(cloud: SampleCloud, payload: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    """The function URL, which the emulator also answers at a path of its own endpoint; without credentials."""
    url = cloud.client("lambda").get_function_url_config(FunctionName=FUNCTION)["FunctionUrl"]
    identity = url.removeprefix("https://").partition(".")[0]
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{cloud.cloud.endpoint_url}/_aws/lambda-url/{identity}/", payload, headers, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def _listen(cloud: SampleCloud) -> str:
    """A queue for every push that is put on the bus; its address."""
    events, sqs = cloud.client("events"), cloud.client("sqs")
    url = str(sqs.create_queue(QueueName=HEARD)["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["tidegate.github"], "detail-type": ["GitHub Push"]}
    events.put_rule(Name=HEARD, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=HEARD, Targets=[{"Id": "queue", "Arn": arn}])
    return url


def _heard(cloud: SampleCloud, queue: str, commit: str) -> list[dict[str, Any]]:
    """Details of the events about a commit, once there is one."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        answer = cloud.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        details = [json.loads(message["Body"])["detail"] for message in answer.get("Messages", [])]
        found.extend(detail for detail in details if detail["commit"] == commit)
        return bool(found)

    wait_until(look, what=f"the push of {commit}", seconds=scenarios.PATIENCE)
    return found
