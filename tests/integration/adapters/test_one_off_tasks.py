"""RunTask, StopTask and DescribeTasks on the wire: what is asked for, and what each answer of ECS means."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.ecs import EcsContainers
from tidegate.domain.errors import NotFoundError, OutsideError, TransientError
from tidegate.ports import NO_CAPACITY, OneOff

from tests.integration.adapters.cloud import ACCOUNT, REGION, Wire, ok, refused

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/c/{1:032x}"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
SERVICE: dict[str, Any] = {"serviceName": "api", "status": "ACTIVE"}
WANTED = OneOff(
    "c", "api", "api:2", "app", ["migrate"], {"A": "1"}, "token", "tidegate/D1", "tidegate-migrate-api"
)
STARTED = ok({"tasks": [{"taskArn": ARN}], "failures": []})


@pytest.fixture
def ecs(clients: Clients) -> Any:
    return clients.client("ecs")


def containers(client: Any) -> EcsContainers:
    return EcsContainers(lambda: client)


@pytest.mark.parametrize(
    ("service", "asked"),
    [
        ({"launchType": "FARGATE", "networkConfiguration": NETWORK}, {"launchType", "networkConfiguration"}),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}], "platformVersion": "1.4.0"},
            {"capacityProviderStrategy", "platformVersion"},
        ),
        # ECS answers with both; RunTask takes one of them.
        (
            {"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "own"}]},
            {"capacityProviderStrategy"},
        ),
        ({}, set()),
    ],
)
def test_a_task_runs_where_its_service_does(ecs: Any, service: dict[str, Any], asked: set[str]) -> None:
    wire = Wire(ecs, ok({"services": [{**SERVICE, **service}]}), STARTED)
    assert containers(ecs).run_task(WANTED) == ARN
    question = wire.requests[1]
    where = {"launchType", "capacityProviderStrategy", "networkConfiguration", "platformVersion"}
    assert {name: question[name] for name in where & question.keys()} == {
        name: service[name] for name in asked
    }
    override = {"name": "app", "command": ["migrate"], "environment": [{"name": "A", "value": "1"}]}
    assert question["overrides"] == {"containerOverrides": [override]}
    assert (question["clientToken"], question["count"], question["cluster"]) == ("token", 1, "c")
    assert (question["startedBy"], question["group"]) == ("tidegate/D1", "tidegate-migrate-api")
    assert question["taskDefinition"] == "api:2"


@pytest.mark.parametrize("reason", ["RESOURCE:MEMORY", "AGENT", "Capacity is unavailable at this time", ""])
def test_without_capacity_there_is_no_task_and_another_try(ecs: Any, reason: str) -> None:
    """Row 12."""
    Wire(ecs, ok({"services": [SERVICE]}), ok({"tasks": [], "failures": [{"reason": reason}]}))
    with pytest.raises(TransientError, match="no capacity") as error:
        containers(ecs).run_task(WANTED)
    assert error.value.code == NO_CAPACITY


@pytest.mark.parametrize("reason", ["MISSING", "ATTRIBUTE", "LOCATION"])
def test_what_does_not_fit_is_not_tried_again(ecs: Any, reason: str) -> None:
    Wire(ecs, ok({"services": [SERVICE]}), ok({"tasks": [], "failures": [{"reason": reason}]}))
    with pytest.raises(OutsideError, match=reason):
        containers(ecs).run_task(WANTED)


@pytest.mark.usefixtures("no_waiting")
def test_an_answer_that_says_nothing_of_a_task_is_no_lack_of_capacity(ecs: Any) -> None:
    """Whether a task was started is not known. Guards the code of the error."""
    Wire(ecs, ok({"services": [SERVICE]}), *[refused("ServerException", 500)] * 10)
    with pytest.raises(TransientError) as error:
        containers(ecs).run_task(WANTED)
    assert error.value.code != NO_CAPACITY


def test_a_conflict_of_the_token_names_the_task_that_has_it(ecs: Any) -> None:
    Wire(ecs, ok({"services": [SERVICE]}), refused("ConflictException", resourceIds=[ARN]))
    assert containers(ecs).run_task(WANTED) == ARN


def test_a_conflict_without_a_task_is_refused(ecs: Any) -> None:
    Wire(ecs, ok({"services": [SERVICE]}), refused("ConflictException"))
    with pytest.raises(OutsideError):
        containers(ecs).run_task(WANTED)


@pytest.mark.parametrize(
    "answer", [ok({"services": [{**SERVICE, "status": "INACTIVE"}]}), ok({"services": []})]
)
def test_a_service_that_is_gone_runs_nothing(ecs: Any, answer: Any) -> None:
    wire = Wire(ecs, answer)
    with pytest.raises(NotFoundError):
        containers(ecs).run_task(WANTED)
    assert len(wire.requests) == 1


def _described(status: str, **more: Any) -> Any:
    return ok({"tasks": [{"taskArn": ARN, "lastStatus": status, **more}], "failures": []})


@pytest.mark.parametrize("status", ["PROVISIONING", "RUNNING", "STOPPING", "DEPROVISIONING"])
def test_a_task_has_stopped_only_when_ecs_says_so(ecs: Any, status: str) -> None:
    """Row 13: one that is told to stop still runs."""
    Wire(ecs, _described(status, desiredStatus="STOPPED"))
    assert containers(ecs).task("c", ARN) is None


def test_a_stopped_task_tells_its_exit_code(ecs: Any) -> None:
    found = [{"name": "app", "exitCode": 137, "reason": "OutOfMemoryError"}, {"name": "agent"}]
    Wire(
        ecs,
        _described("STOPPED", stopCode="EssentialContainerExited", stoppedAt=1772442000, containers=found),
    )
    stopped = containers(ecs).task("c", ARN)
    assert stopped is not None
    assert (stopped.exit_code("app"), stopped.exit_code("agent"), stopped.failed) == (137, None, True)
    assert stopped.stopped_at == "2026-03-02T09:00:00.000Z"


def test_a_task_that_ecs_does_not_know_is_not_found(ecs: Any) -> None:
    Wire(ecs, ok({"tasks": [], "failures": [{"reason": "MISSING"}]}))
    with pytest.raises(NotFoundError):
        containers(ecs).task("c", ARN)


def test_to_stop_what_ecs_does_not_know_is_nothing(ecs: Any) -> None:
    wire = Wire(ecs, refused("InvalidParameterException"))
    containers(ecs).stop_task("c", ARN, "given up")
    assert wire.requests == [{"cluster": "c", "task": ARN, "reason": "given up"}]


def test_to_stop_without_the_permission_is_an_error(ecs: Any) -> None:
    Wire(ecs, refused("AccessDeniedException"))
    with pytest.raises(OutsideError, match="ecs:StopTask"):
        containers(ecs).stop_task("c", ARN, "given up")
