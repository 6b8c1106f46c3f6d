"""Step Functions and EventBridge: in memory and on moto; task tokens, which moto does not have, on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.events import EventBridgeBus
from tidegate.adapters.stepfunctions import StepFunctions
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.ports import Executions, Ports, Started

from tests.integration.adapters.cloud import ACCOUNT, REGION, Wire, ok, refused
from tests.support.fakes import FakeBus, FakeExecutions

ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:tidegate-deploy:one"
End = Callable[[str], None]


@pytest.fixture(params=["fake", "moto"])
def executions(request: pytest.FixtureRequest) -> tuple[Executions, End]:
    if request.param == "fake":
        fake = FakeExecutions()
        return fake, lambda arn: fake.end(arn, "ABORTED")
    ports: Ports = request.getfixturevalue("on_moto")
    client = request.getfixturevalue("moto").client("stepfunctions")
    for machine in ("deploy", "rollback"):
        client.create_state_machine(
            name=f"tidegate-{machine}",
            definition=json.dumps(
                {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 9, "End": True}}}
            ),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/tidegate",
        )

    def end(arn: str) -> None:
        client.stop_execution(executionArn=arn)

    return ports.executions, end


def test_a_name_is_started_once(executions: tuple[Executions, End]) -> None:
    port, end = executions
    assert port.start("deploy", "one", {"system": "arive"}) == Started(ARN, new=True)
    assert port.start("deploy", "one", {"system": "other"}) == Started(ARN, new=False)
    end(ARN)
    assert port.start("deploy", "one", {"system": "other"}) == Started(ARN, new=False)
    assert port.start("rollback", "one", {}).new
    assert port.start("deploy", "two", {}).new


def test_an_execution_is_found_by_its_machine_and_name(executions: tuple[Executions, End]) -> None:
    """Whoever knows an id but no ledger yet looks there (`steps.control`)."""
    port, end = executions
    assert port.named("deploy", "one") is None
    port.start("deploy", "one", {})
    found = port.named("deploy", "one")
    assert found is not None
    assert (found.arn, found.running) == (ARN, True)
    assert port.named("rollback", "one") is None
    assert port.named("deploy", "two") is None
    end(ARN)
    ended = port.named("deploy", "one")
    assert ended is not None
    assert not ended.running


def test_an_execution_is_described_until_it_ends(executions: tuple[Executions, End]) -> None:
    port, end = executions
    assert port.describe(ARN) is None
    port.start("deploy", "one", {})
    running = port.describe(ARN)
    assert running is not None
    assert (running.arn, running.status, running.running, running.stopped_at) == (ARN, "RUNNING", True, None)
    end(ARN)
    ended = port.describe(ARN)
    assert ended is not None
    assert (ended.status, ended.running) == ("ABORTED", False)
    assert ended.stopped_at is not None
    assert ended.stopped_at.tzinfo is not None


NOW = datetime(2026, 3, 2, 9, 0, 30, tzinfo=UTC)


@pytest.fixture
def states(clients: Clients) -> Any:
    return clients.client("stepfunctions")


def step_functions(client: Any) -> StepFunctions:
    return StepFunctions(lambda: client, lambda: f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:tidegate-")


@pytest.mark.parametrize(
    ("seconds_ago", "new"), [(0, True), (0.9, True), (-0.9, True), (2, True), (4, False), (3600, False)]
)
def test_an_old_start_date_means_that_it_runs_already(states: Any, seconds_ago: float, new: bool) -> None:
    """By the service's clock, in the Date header: this machine's is months off here."""
    started = {"executionArn": ARN, "startDate": NOW.timestamp() - seconds_ago}
    wire = Wire(states, ok(started, Date=format_datetime(NOW, usegmt=True)))
    assert step_functions(states).start("deploy", "one", {"a": 1}) == Started(ARN, new)
    (sent,) = wire.requests
    assert sent["stateMachineArn"] == f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:tidegate-deploy"
    assert (sent["name"], json.loads(sent["input"])) == ("one", {"a": 1})


def test_a_task_is_answered_once() -> None:
    fake = FakeExecutions()
    fake.wait("token")
    assert fake.succeed("token", {"outcome": "Rolled"})
    assert fake.answers == {"token": {"outcome": "Rolled"}}
    assert not fake.succeed("token", {})
    assert not fake.succeed("other", {})


def test_an_answer_to_a_waiting_task_is_json(states: Any) -> None:
    wire = Wire(states, ok({}))
    assert step_functions(states).succeed("token", {"outcome": "Rolled"})
    assert wire.requests[0]["taskToken"] == "token"
    assert json.loads(wire.requests[0]["output"]) == {"outcome": "Rolled"}


@pytest.mark.parametrize("code", ["InvalidToken", "TaskDoesNotExist", "TaskTimedOut"])
def test_an_answer_that_nobody_waits_for_is_false(states: Any, code: str) -> None:
    Wire(states, refused(code))
    assert not step_functions(states).succeed("token", {})


def test_other_refusals_are_errors(states: Any) -> None:
    Wire(states, *[refused("AccessDeniedException")] * 3)
    with pytest.raises(OutsideError):
        step_functions(states).succeed("token", {})
    with pytest.raises(OutsideError):
        step_functions(states).start("deploy", "one", {})
    with pytest.raises(OutsideError):
        step_functions(states).describe(ARN)


def test_an_event_goes_to_the_default_bus(clients: Clients) -> None:
    """On the wire: moto needs more libraries to deliver one."""
    client = clients.client("events")
    wire = Wire(client, ok({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}))
    fake = FakeBus()
    for bus in (fake, EventBridgeBus(lambda: client)):
        bus.emit("Deployment Succeeded", {"system": "arive", "release": 42})
    ((entry,),) = (sent["Entries"] for sent in wire.requests)
    assert entry.keys() == {"Source", "DetailType", "Detail"}
    assert entry["Source"] == "tidegate"
    assert [(entry["DetailType"], json.loads(entry["Detail"]))] == fake.events
    assert fake.of("Deployment Succeeded") == [{"system": "arive", "release": 42}]


def test_an_event_may_have_another_source(clients: Clients) -> None:
    client = clients.client("events")
    wire = Wire(client, ok({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}))
    fake = FakeBus()
    for bus in (fake, EventBridgeBus(lambda: client)):
        bus.emit("GitHub Push", {"commit": "a"}, source="tidegate.github")
    ((entry,),) = (sent["Entries"] for sent in wire.requests)
    assert [entry["Source"]] == fake.sources == ["tidegate.github"]


def test_moto_takes_an_event(on_moto: Ports) -> None:
    on_moto.bus.emit("Deployment Succeeded", {"system": "arive"})


def test_an_event_that_was_not_taken_is_transient(clients: Clients) -> None:
    client = clients.client("events")
    Wire(client, ok({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}))
    with pytest.raises(TransientError, match="InternalFailure"):
        EventBridgeBus(lambda: client).emit("Deployment Succeeded", {})


@pytest.mark.parametrize("at", ["fake", "aws"])
def test_what_is_not_json_is_not_sent(at: str, clients: Clients) -> None:
    client = clients.client("events")
    wire = Wire(client)
    bus = FakeBus() if at == "fake" else EventBridgeBus(lambda: client)
    with pytest.raises(TypeError):
        bus.emit("Deployment Succeeded", {"x": object()})
    assert wire.requests == []
