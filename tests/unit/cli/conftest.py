"""The command line over the in-memory shop: one seam, `Surroundings.connect`, and a clock that pauses drive."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tidegate.steps import control
from tidegate_cli.commanding import answer_of
from tidegate_cli.connection import Connection
from tidegate_cli.main import app
from tidegate_cli.options import Given, Surroundings
from typer.testing import CliRunner, Result

from tests.support.answered import AnsweredAws
from tests.support.clock import iso
from tests.unit.steps.conftest import Shop

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:tidegate-control"
CALLER = "arn:aws:sts::123456789012:assumed-role/on-call/ada"
REGION = "eu-west-1"


@dataclass
class Terminal:
    """Runs commands; `scenes` are played one a pause, while a run is followed, `given` are the options that came;
    `aws` answers what is asked beside the ports. The function `control` is the step itself, asked by `caller`, after
    what happened `meanwhile`; `somebody` says whether there is a person who answers questions."""

    shop: Shop = field(default_factory=Shop)
    scenes: list[Callable[[], object]] = field(default_factory=list)
    paused: float = 0.0
    given: list[Given] = field(default_factory=list)
    aws: AnsweredAws = field(default_factory=AnsweredAws)
    caller: str = CALLER
    commands: list[Mapping[str, Any]] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None
    somebody: bool = False

    def run(self, *arguments: str, input: str | None = None) -> Result:  # noqa: A002 - the runner's name
        surroundings = Surroundings(self._connect, self._pause, lambda: self.paused, lambda: self.somebody)
        return CliRunner().invoke(app, list(arguments), input=input, obj=surroundings)

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)

    @property
    def started(self) -> Any:
        """The execution that was started last."""
        return self.shop.world.executions.started[-1]

    def planned(self, step: str = "Plan") -> Mapping[str, Any]:
        """The first step of the execution that was started last."""
        execution = {
            "id": self.started.arn,
            "name": self.started.name,
            "started_at": iso(self.shop.world.clock.now()),
        }
        return self.shop.plan(execution, step, **self.started.payload)

    def end(self, document: Mapping[str, Any], status: str = "SUCCEEDED") -> None:
        self.shop.world.executions.end(self.started.arn, status, json.dumps(document))

    def _connect(self, given: Given) -> Connection:
        self.given.append(given)
        region = given.region or REGION
        ports, client = self.shop.world.ports, self.aws.client
        return Connection(ports, region, "tidegate", lambda: self.caller, client, self._control)

    def _control(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.meanwhile()
        self.commands.append(request)
        context = {
            "authorizer": {"iam": {"userArn": self.caller}},
            "requestId": f"request-{len(self.commands)}",
        }
        event = {"requestContext": context, "body": json.dumps(request)}
        answer = control.run(event, self.shop.world.ports)
        return answer_of(answer["statusCode"], answer["body"].encode(), FUNCTION)

    def _pause(self, seconds: float) -> None:
        self.paused += seconds
        if self.scenes:
            self.scenes.pop(0)()
        elif self.paused > 1000:
            raise TimeoutError("the run has no end")


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()
