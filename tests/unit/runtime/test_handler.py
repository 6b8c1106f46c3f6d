from __future__ import annotations

import json
from collections.abc import Mapping
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger
from tidegate.domain.errors import NotFoundError, OutsideError, TransientError
from tidegate.ports import Ports
from tidegate.runtime.handler import Step, handler
from tidegate.runtime.settings import SettingsError

from tests.support.fakes import World

CONTEXT = SimpleNamespace(
    aws_request_id="request-1",
    invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:tidegate-lock",
)
EVENT = {
    "system": "arive",
    "environment": "production",
    "deployment": "01J",
    "service": "api",
    "token": "hunter2",
}


class Lines:
    """What a handler logs, parsed."""

    def __init__(self, name: str) -> None:
        self.stream = StringIO()
        self.log = Logger(service=name, stream=self.stream)

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Lines:
    return Lines(request.node.name)


def step(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    ports.metrics.count("Ran")
    return {"outcome": "Rolled", "seen": event["system"]}


def raising(error: Exception) -> Step:
    def fail(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
        raise error

    return fail


def test_a_step_is_run_with_the_ports_and_its_answer_given(lines: Lines) -> None:
    world = World()
    assert handler(step, world.ports, lines.log)(EVENT, CONTEXT) == {"outcome": "Rolled", "seen": "arive"}
    assert world.metrics.total("Ran") == 1


def test_of_an_event_it_says_what_was_made_of_it(lines: Lines) -> None:
    def wake(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
        return {"did": "nothing", "why": "nobody waits for it"}

    handler(wake, World().ports, lines.log)(EVENT, CONTEXT)
    (line,) = lines.read()
    assert (line["did"], line["why"]) == ("nothing", "nobody waits for it")


def test_one_line_says_what_it_was_about_and_how_it_went(lines: Lines) -> None:
    handler(step, World().ports, lines.log)(EVENT, CONTEXT)
    (line,) = lines.read()
    assert {name: line[name] for name in ("system", "environment", "deployment", "outcome")} == {
        "system": "arive",
        "environment": "production",
        "deployment": "01J",
        "outcome": "Rolled",
    }
    assert line["level"] == "INFO"
    assert line["step"] == "test_handler"
    assert line["request"] == "request-1"
    assert line["duration_ms"] >= 0
    assert "hunter2" not in lines.stream.getvalue()


def test_an_http_answer_is_logged_by_its_status_alone(lines: Lines) -> None:
    def answer(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
        return {"statusCode": 401, "headers": {"x": "hunter2"}, "body": "hunter2"}

    handler(answer, World().ports, lines.log)({"body": "hunter2", "headers": {"a": "hunter2"}}, CONTEXT)
    (line,) = lines.read()
    assert line["status"] == 401
    assert "hunter2" not in lines.stream.getvalue()


def test_the_keys_of_one_invocation_do_not_reach_the_next(lines: Lines) -> None:
    handle = handler(step, World().ports, lines.log)
    handle(EVENT, CONTEXT)
    handle(
        {"source": "aws.ecs", "system": "arive", "detail": {"service": "worker", "environment": 7}}, CONTEXT
    )
    _, second = lines.read()
    assert "deployment" not in second
    assert "environment" not in second
    assert second["service"] == "worker"


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (TransientError("throttled"), "WARNING"),
        (NotFoundError("no release r9", field="release", hint="tidegate history"), "WARNING"),
        (OutsideError("denied"), "ERROR"),
    ],
)
def test_an_error_of_ours_is_logged_whole_and_passed_on(lines: Lines, error: Any, level: str) -> None:
    with pytest.raises(type(error)) as raised:
        handler(raising(error), World().ports, lines.log)(EVENT, CONTEXT)
    assert raised.value is error
    (line,) = lines.read()
    assert (line["level"], line["message"], line["error"]) == (level, error.message, type(error).__name__)
    assert (line["code"], line.get("field"), line.get("hint")) == (error.code, error.field, error.hint)
    assert any(" fail" in place for place in line["places"])


def test_no_text_of_a_foreign_error_is_logged(lines: Lines) -> None:
    with pytest.raises(ValueError, match="hunter2"):
        handler(raising(ValueError("hunter2")), World().ports, lines.log)(EVENT, CONTEXT)
    ours = OutsideError("denied")
    ours.__cause__ = ValueError("hunter2")
    with pytest.raises(OutsideError):
        handler(raising(ours), World().ports, lines.log)(EVENT, CONTEXT)
    foreign, _ = lines.read()
    assert (foreign["level"], foreign["message"], foreign["error"]) == ("ERROR", "failed", "ValueError")
    assert "hunter2" not in lines.stream.getvalue()


def test_ports_are_made_once_for_the_account_of_the_function(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TIDEGATE_TABLE": "table", "AWS_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(name, value)
    seen: list[Ports] = []

    def look(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
        seen.append(ports)
        return {}

    handle = handler(look, log=lines.log)
    handle({}, CONTEXT)
    handle({}, CONTEXT)
    assert seen[0] is seen[1]


def test_a_function_that_needs_no_table_runs_without(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("TIDEGATE_TABLE", raising=False)
    assert handler(step, log=lines.log, table=False)(EVENT, CONTEXT)["outcome"] == "Rolled"


def test_a_function_without_its_settings_says_which_one(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("TIDEGATE_TABLE", raising=False)
    with pytest.raises(SettingsError, match="TIDEGATE_TABLE"):
        handler(step, log=lines.log)(EVENT, CONTEXT)
    (line,) = lines.read()
    assert line["field"] == "TIDEGATE_TABLE"
