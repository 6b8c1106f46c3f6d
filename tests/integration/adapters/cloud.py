"""What the template and IaC tools put into AWS, for moto; and answers given on the wire, where moto has none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.compat import HTTPHeaders
from tidegate.adapters.clients import Clients

REGION = "eu-west-1"
ACCOUNT = "123456789012"
TABLE = "tidegate"


def create_table(clients: Clients) -> None:
    def key(first: str, second: str) -> list[dict[str, str]]:
        return [
            {"AttributeName": first, "KeyType": "HASH"},
            {"AttributeName": second, "KeyType": "RANGE"},
        ]

    clients.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=key("pk", "sk"),
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "kind", "at")
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_time",
                "KeySchema": key("kind", "at"),
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


class _Body(BytesIO):
    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


class Wire:
    """Answers a client's requests below botocore's retries and parsers: (status, JSON body, headers) each in turn.

    `requests` are the bodies that were sent. An exception in place of an answer is raised, as a broken connection is.
    """

    def __init__(
        self, client: Any, *answers: tuple[int, Mapping[str, Any], Mapping[str, str]] | Exception
    ) -> None:
        self.answers = list(answers)
        self.requests: list[Mapping[str, Any]] = []
        client.meta.events.register("before-send", self._send)

    def _send(self, request: AWSRequest, **_: object) -> AWSResponse:
        self.requests.append(json.loads(request.body or "{}"))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body, headers = answer
        given = HTTPHeaders()
        for name, value in headers.items():
            given[name] = value
        return AWSResponse(str(request.url), status, given, _Body(json.dumps(body).encode()))


def ok(body: Mapping[str, Any], **headers: str) -> tuple[int, Mapping[str, Any], Mapping[str, str]]:
    return 200, body, headers


def refused(code: str, status: int = 400, **more: Any) -> tuple[int, Mapping[str, Any], Mapping[str, str]]:
    return status, {"__type": code, "message": "as AWS says it", **more}, {}
