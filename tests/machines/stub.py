"""The code of every function in these tests: answers what the script of its run says, and notes how it was called.

The script's key is the name of the environment, which an execution's input has and every payload after it; a build
is for all environments of a system, and there it is the system's name.

Only the standard library: MiniStack starts a new process after each exception that a function raises, and importing
boto3 would be nine tenths of its start.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

KEY = "script"


class UnscriptedError(Exception):
    """The machine asked for something that its script does not have."""


def handler(event: Mapping[str, Any], context: Any) -> Any:
    name = called(event)
    if step_of(event) not in os.environ["STEPS"].split():
        raise UnscriptedError(f"{os.environ['AWS_LAMBDA_FUNCTION_NAME']} has no step {step_of(event)}")
    answers, place = noted(script_of(event), name, event)
    if place >= len(answers):
        raise UnscriptedError(f"no answer for call {place + 1} of {name}")
    return given(answers[place], event.get("token"))


def script_of(event: Mapping[str, Any]) -> str:
    if "environment" not in event and "request" not in event:
        return str(event["system"])
    return str(event.get("environment") or event["request"]["environment"])


def step_of(event: Mapping[str, Any]) -> str:
    """One function has a single step, and is not told so."""
    return str(event.get("step") or "Smoke")


def called(event: Mapping[str, Any]) -> str:
    """`Acquire`; `Start api` or `Start api back`; `Report api`; `Smoke api`; `RunTask Verify`: what an answer is
    written down under. The image of a migration is more than a name."""
    image = event.get("image")
    words = [
        step_of(event),
        event.get("service"),
        image if isinstance(image, str) else None,
        event.get("purpose"),
    ]
    words += ["back"] if step_of(event) == "Start" and event.get("direction") == "Revert" else []
    return " ".join(word for word in words if word)


def noted(script: str, name: str, event: Mapping[str, Any]) -> tuple[list[Any], int]:
    """The answers for these calls, and how many were made before this one."""
    call = json.dumps({"name": name, "event": event})
    changed = asked(
        "dynamodb",
        "DynamoDB_20120810.UpdateItem",
        TableName=os.environ["TABLE"],
        Key={KEY: {"S": script}},
        UpdateExpression="SET calls = list_append(calls, :call)",
        ExpressionAttributeValues={":call": {"L": [{"S": call}]}},
        ReturnValues="ALL_NEW",
    )
    item = changed["Attributes"]
    calls = [json.loads(entry["S"])["name"] for entry in item["calls"]["L"]]
    return json.loads(item["answers"]["S"]).get(name, []), calls.count(name) - 1


def given(answer: Mapping[str, Any], token: str | None) -> Any:
    match answer:
        case {"raises": [name, message]}:
            raise type(name, (Exception,), {})(message)
        case {"fails": [error, cause]}:
            asked("states", "AWSStepFunctions.SendTaskFailure", taskToken=token, error=error, cause=cause)
        case {"gives": result} if token:
            asked("states", "AWSStepFunctions.SendTaskSuccess", taskToken=token, output=json.dumps(result))
        case {"gives": result}:
            return result
    return None


def asked(service: str, target: str, **request: Any) -> Any:
    """What AWS answers to a call of one of its JSON services."""
    host = urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc
    body = json.dumps(request)
    connection = HTTPConnection(host, timeout=20)
    try:
        connection.request("POST", "/", body, signed(service, host, target, body))
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise ConnectionError(f"{target}: {answer.status} {said.decode()}")
    return json.loads(said)


def signed(service: str, host: str, target: str, body: str) -> dict[str, str]:
    """Headers with Signature Version 4 (IAM user guide, "Create a signed AWS API request")."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": host,
        "x-amz-date": moment,
        "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
        "x-amz-target": target,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"POST\n/\n\n{lines}\n{names}\n{_hash(body)}"
    scope = [moment[:8], os.environ["AWS_REGION"], service, "aws4_request"]
    key = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in (*scope, f"AWS4-HMAC-SHA256\n{moment}\n{'/'.join(scope)}\n{_hash(canonical)}"):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{'/'.join(scope)}"
    authorization = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": authorization}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
