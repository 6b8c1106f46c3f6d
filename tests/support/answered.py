"""boto3's real clients, whose calls a function answers: parameters and answers are held to the service's model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.validate import validate_parameters

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Refused(Exception):  # noqa: N818 - it is an answer
    """Raised by an answer: the service's error with this code."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code


def denied(parameters: dict[str, Any]) -> dict[str, Any]:
    """The answer to a caller who may not ask."""
    raise Refused("AccessDenied", "the caller may not ask this")


@functools.cache
def _session(region: str) -> boto3.Session:
    """One for all: the service models are loaded once."""
    return boto3.Session("test", "test", region_name=region)


class AnsweredAws:
    """`answers` by service and operation: `aws.answers["sts", "GetCallerIdentity"] = lambda parameters: {...}`.

    What has no answer is refused with AccessDenied; `asked` are all calls.
    """

    def __init__(self, region: str = "eu-west-1") -> None:
        self._session = _session(region)
        self._clients: dict[str, Any] = {}
        self.answers: dict[tuple[str, str], Answer] = {}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def client(self, service: str) -> Any:
        if service not in self._clients:
            client = self._session.client(service)
            pending: list[dict[str, Any]] = []
            client.meta.events.register(
                f"provide-client-params.{client.meta.service_model.service_id.hyphenize()}.*",
                lambda params, **_: pending.append(dict(params)),
            )
            client.meta.events.register(
                f"before-call.{client.meta.service_model.service_id.hyphenize()}.*",
                lambda model, **_: self._answered(service, model, pending.pop()),
            )
            self._clients[service] = client
        return self._clients[service]

    def _answered(self, service: str, model: Any, parameters: dict[str, Any]) -> tuple[AWSResponse, Any]:
        self.asked.append((service, model.name, parameters))
        answer = self.answers.get((service, model.name), denied)
        status, body = 200, {}
        try:
            body = answer(parameters)
            validate_parameters(body, model.output_shape)
        except Refused as refused:
            status, body = 400, {"Error": {"Code": refused.code, "Message": str(refused)}}
        return AWSResponse("https://aws.example", status, {}, None), {
            **body,
            "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0},
        }
