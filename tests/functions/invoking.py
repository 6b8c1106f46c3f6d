"""The function of a folder, called as Lambda calls it, with ports in memory; and all that it writes to its log."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tidegate.adapters.clients import Clients
from tidegate.ports import Metrics, Ports
from tidegate.runtime import handler as runtime
from tidegate.runtime.observability import logger
from tidegate.runtime.settings import Settings

from tests.support.fakes import World

FUNCTIONS = Path(__file__).parents[2] / "functions"
REGION = "eu-west-1"
REQUEST = "3d1f6f3e-0b0a-4c9e-9a57-2f5f1c9f4e11"


@dataclass
class Invocation:
    """`result` is None where the function raised `error`; `lines` are those of its log, parsed."""

    result: Mapping[str, Any] | None
    error: Exception | None
    written: str
    lines: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = [json.loads(line) for line in self.written.splitlines()]

    @property
    def logged(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "_aws" not in line]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """In the embedded metric format."""
        return [line for line in self.lines if "_aws" in line]

    @property
    def counted(self) -> set[str]:
        return {metric["Name"] for line in self.metrics for metric in _directive(line)["Metrics"]}


def _directive(line: Mapping[str, Any]) -> Mapping[str, Any]:
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    found: Mapping[str, Any] = directive
    return found


def invoke(
    name: str,
    event: Mapping[str, Any],
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    *,
    table: str = "tidegate",
) -> Invocation:
    """Load `functions/<name>/app.py` afresh, as at a cold start, and call its handler; `table` may be empty."""

    def compose(settings: Settings, metrics: Metrics, clients: Clients) -> Ports:
        return replace(world.ports, metrics=metrics)

    monkeypatch.setattr(runtime, "compose", compose)
    for variable, value in {"TIDEGATE_TABLE": table, "AWS_REGION": REGION}.items():
        monkeypatch.setenv(variable, value)
    spec = importlib.util.spec_from_file_location(f"function_{name}", FUNCTIONS / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    arn = f"arn:aws:lambda:{REGION}:111122223333:function:tidegate-{name}"
    context = SimpleNamespace(aws_request_id=REQUEST, invoked_function_arn=arn)
    log = logger().registered_handler
    stream = io.StringIO()
    before = log.setStream(stream)
    result, error = None, None
    try:
        with redirect_stdout(stream):
            result = app.lambda_handler(event, context)
    except Exception as raised:  # noqa: BLE001 -- what it raises is what is looked at
        error = raised
    finally:
        if before is not None:
            log.setStream(before)
    return Invocation(result, error, stream.getvalue())
