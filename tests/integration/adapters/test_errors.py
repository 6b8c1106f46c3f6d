"""botocore's errors in Tidegate's words: by code and status, never by text."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from tidegate.adapters.clients import ATTEMPTS, Clients
from tidegate.adapters.errors import asking
from tidegate.domain.errors import NotFoundError, OutsideError, TidegateError, TransientError

from tests.integration.adapters.cloud import Wire, refused


def answer(code: str, status: int, message: str = "as AWS says it") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "UpdateService",
    )


def translated(error: Exception) -> TidegateError:
    with pytest.raises(TidegateError) as raised, asking("ecs:UpdateService"):
        raise error
    assert raised.value.__cause__ is error
    return raised.value


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("Throttling", 400),
        ("TooManyRequestsException", 429),
        ("Unknown", 429),
        ("ServerException", 500),
        ("Unknown", 503),
        ("ProvisionedThroughputExceededException", 400),
    ],
)
def test_what_may_work_in_a_moment_is_transient(code: str, status: int) -> None:
    error = translated(answer(code, status))
    assert isinstance(error, TransientError)
    assert error.message == f"ecs:UpdateService: {code}: as AWS says it"


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_a_denied_call_names_the_permission(code: str) -> None:
    error = translated(answer(code, 400))
    assert isinstance(error, OutsideError)
    assert code in error.message
    assert error.hint == "allow ecs:UpdateService to the role that made this call"


def test_an_expired_session_says_so() -> None:
    error = translated(answer("ExpiredTokenException", 400))
    assert isinstance(error, OutsideError)
    assert "sign in again" in str(error.hint)


@pytest.mark.parametrize("message", ["Rate exceeded", "timeout", "AccessDenied"])
def test_the_text_decides_nothing(message: str) -> None:
    error = translated(answer("InvalidParameterException", 400, message))
    assert isinstance(error, OutsideError)
    assert error.hint is None


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="https://ecs"),
        ConnectTimeoutError(endpoint_url="https://ecs"),
        EndpointConnectionError(endpoint_url="https://ecs"),
    ],
)
def test_no_answer_is_transient(error: Exception) -> None:
    assert isinstance(translated(error), TransientError)


def test_what_was_never_sent_does_not_quote_its_parameters() -> None:
    error = translated(ParamValidationError(report="value: hunter2"))
    assert isinstance(error, OutsideError)
    assert "hunter2" not in error.message
    assert "no AWS credentials" in str(translated(NoCredentialsError()).hint)


def test_errors_of_our_own_pass_unchanged() -> None:
    ours = NotFoundError("no such service")
    with pytest.raises(NotFoundError) as raised, asking("ecs:UpdateService"):
        raise ours
    assert raised.value is ours


def test_a_call_is_sent_four_times_at_most(clients: Clients, no_waiting: None) -> None:
    client: Any = clients.client("ecs")
    wire = Wire(client, *[refused("ThrottlingException")] * (ATTEMPTS + 1))
    with pytest.raises(TransientError), asking("ecs:DescribeServices"):
        client.describe_services(services=["api"])
    assert len(wire.requests) == ATTEMPTS == 3


def test_clients_are_made_once_with_short_time_outs_and_our_name(clients: Clients) -> None:
    client = clients.client("ecs")
    assert clients.client("ecs") is client
    assert clients.client("ecs", "us-west-2") is not client
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (2, 6)
    assert "tidegate/" in config.user_agent
