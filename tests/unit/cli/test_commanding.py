"""The client of the function `control`: whose signature, over what, sent where, and what each answer means."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from tidegate.domain.errors import (
    BadInputError,
    NotFoundError,
    OutsideError,
    RefusalError,
    TidegateError,
    TransientError,
)
from tidegate_cli import commanding
from tidegate_cli.commanding import Control
from tidegate_cli.failures import CommandError

HOST = "abc123.lambda-url.eu-west-1.on.aws"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:two-control"
KEY = Credentials("AKIDEXAMPLE", "a secret key", "a session token")
ABORT = {"command": "abort", "deployment": "01A", "reason": "é"}
DONE = {"command": "abort", "by": "arn:ada", "at": "2026-03-02T09:00:00.000Z", "did": "aborting"}


def refusal(code: str = "refused") -> dict[str, Any]:
    return {"error": {"code": code, "message": "it has ended", "field": "deployment", "hint": "see history"}}


@dataclass
class Cloud:
    """An endpoint that stands in for AWS. `answers` are given one after the other, the last of them for ever."""

    endpoint: str = ""
    answers: list[tuple[int, Any]] = field(default_factory=lambda: [(200, DONE)])
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    problem: str = ""

    def control(self, endpoint: str | None = None) -> Control:
        client = SimpleNamespace(
            get_function_url_config=self._url, meta=SimpleNamespace(endpoint_url=endpoint or self.endpoint)
        )
        return Control(lambda: client, lambda: KEY, "eu-west-1", "two", self.pauses.append)

    def _url(self, FunctionName: str) -> dict[str, str]:  # noqa: N803 - boto3's name
        self.asked.append(FunctionName)
        if self.problem:
            raise ClientError({"Error": {"Code": self.problem}}, "GetFunctionUrlConfig")
        return {"FunctionUrl": f"https://{HOST}/", "FunctionArn": FUNCTION}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    found = Cloud()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append((self.path, dict(self.headers.items()), body))
            status, answer = found.answers.pop(0) if len(found.answers) > 1 else found.answers[0]
            text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        server.shutdown()


def signature(headers: dict[str, str], body: bytes) -> str:
    """What Lambda makes of a request: the signature over the URL's own host and the body."""
    given = {name: headers[name] for name in ("Content-Type", "Host", "X-Amz-Date", "X-Amz-Security-Token")}
    request = AWSRequest("POST", f"https://{HOST}/", data=body, headers=given)
    request.context["timestamp"] = headers["X-Amz-Date"]
    auth = SigV4Auth(KEY, "lambda", "eu-west-1")
    return str(auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))


def test_a_command_is_signed_over_the_urls_host_and_sent_to_the_endpoint(cloud: Cloud) -> None:
    assert cloud.control().command(ABORT) == DONE
    assert cloud.asked == ["two-control"]
    [(path, headers, body)] = cloud.requests
    assert (path, headers["Host"], json.loads(body)) == ("/", HOST, ABORT)
    authorization = headers["Authorization"]
    assert "/eu-west-1/lambda/aws4_request" in authorization
    assert authorization.endswith(f"Signature={signature(headers, body)}")


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("https://lambda.eu-west-1.amazonaws.com", f"https://{HOST}/"),
        ("https://lambda.cn-north-1.amazonaws.com.cn", f"https://{HOST}/"),
        ("https://lambda.eu-west-1.api.aws", f"https://{HOST}/"),
        ("https://vpce-1.lambda.eu-west-1.vpce.amazonaws.com", f"https://{HOST}/"),
        ("http://127.0.0.1:4566/", "http://127.0.0.1:4566/"),
        ("https://amazonaws.com.example", "https://amazonaws.com.example/"),
    ],
)
def test_only_an_endpoint_that_is_not_aws_takes_the_place_of_the_url(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, endpoint: str, address: str
) -> None:
    sent: list[Any] = []

    def session(**_: Any) -> Any:
        def send(prepared: Any) -> Any:
            sent.append(prepared)
            return SimpleNamespace(status_code=200, content=json.dumps(DONE).encode())

        return SimpleNamespace(send=send)

    monkeypatch.setattr(commanding, "URLLib3Session", session)
    cloud.control(endpoint).command(ABORT)
    assert [(prepared.url, prepared.headers["Host"]) for prepared in sent] == [(address, HOST)]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad_input", BadInputError),
        (404, "not_found", NotFoundError),
        (409, "refused", RefusalError),
        (409, "bad_manifest", RefusalError),
    ],
)
def test_what_the_function_refuses_is_refused(
    cloud: Cloud, status: int, code: str, kind: type[TidegateError]
) -> None:
    cloud.answers = [(status, refusal(code))]
    with pytest.raises(kind) as caught:
        cloud.control().command(ABORT)
    error = caught.value
    assert type(error) is kind
    assert (error.message, error.code, error.field, error.hint) == (
        "it has ended",
        code,
        "DEPLOYMENT",
        "see history",
    )
    assert (len(cloud.requests), cloud.pauses) == (1, [])


def test_who_may_not_call_it_is_told_which_permissions_are_missing(cloud: Cloud) -> None:
    cloud.answers = [(403, {"Message": "Forbidden"})]
    with pytest.raises(CommandError) as caught:
        cloud.control().command(ABORT)
    error = caught.value
    assert (error.code, error.exit_code) == ("access_denied", 1)
    assert "two-control" in error.message
    assert (
        error.hint == f"allow lambda:InvokeFunctionUrl and lambda:InvokeFunction on {FUNCTION} to your role"
    )


def test_no_function_is_an_installation_to_be_updated(cloud: Cloud) -> None:
    cloud.problem = "ResourceNotFoundException"
    with pytest.raises(CommandError) as caught:
        cloud.control().command(ABORT)
    assert (caught.value.code, caught.value.exit_code) == ("not_installed", 1)
    assert "sam deploy" in str(caught.value.hint)
    cloud.problem = "AccessDeniedException"
    with pytest.raises(OutsideError) as denied:
        cloud.control().command(ABORT)
    assert "allow lambda:GetFunctionUrlConfig" in str(denied.value.hint)


@pytest.mark.parametrize(
    "answer",
    [
        (503, {"error": {"code": "transient", "message": "dynamodb: throttled", "hint": "in a moment"}}),
        (429, b"Rate Exceeded."),
        (502, b"Internal Server Error"),
    ],
)
def test_a_moments_trouble_is_tried_again(cloud: Cloud, answer: tuple[int, Any]) -> None:
    cloud.answers = [answer, answer, (200, DONE)]
    assert cloud.control().command(ABORT) == DONE
    assert cloud.pauses == [1, 2]
    cloud.answers = [answer]
    with pytest.raises(TransientError):
        cloud.control().command(ABORT)
    assert len(cloud.requests) == 6


def test_nobody_at_the_other_end_is_tried_again_too(cloud: Cloud) -> None:
    with pytest.raises(TransientError, match="lambda:InvokeFunctionUrl"):
        cloud.control("http://127.0.0.1:1").command(ABORT)
    assert cloud.pauses == [1, 2]


def test_a_refusal_behind_a_lost_answer_may_be_of_what_was_done(cloud: Cloud) -> None:
    """Guards `_doubted`: an unlock whose answer was lost finds nothing locked when it is sent again."""
    cloud.answers = [(502, b""), (409, refusal())]
    with pytest.raises(RefusalError) as caught:
        cloud.control().command(ABORT)
    assert str(caught.value.hint).startswith("an attempt before got no answer and may have done it already")
    cloud.answers = [(429, b""), (409, refusal())]
    with pytest.raises(RefusalError) as caught:
        cloud.control().command(ABORT)
    assert caught.value.hint == "see history"


def test_an_answer_that_makes_no_sense_is_an_error(cloud: Cloud) -> None:
    cloud.answers = [(418, b"[]")]
    with pytest.raises(OutsideError, match="two-control answered with status 418"):
        cloud.control().command(ABORT)
