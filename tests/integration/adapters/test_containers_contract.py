"""ECS: what is looked up and registered, in memory and on moto; deployments and stopped tasks, which moto does not
run, by answers on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.ecs import EcsContainers
from tidegate.domain.errors import NotFoundError, OutsideError, TransientError
from tidegate.domain.plan import shape
from tidegate.ports import Containers

from tests.integration.adapters.cloud import ACCOUNT, REGION, Wire, ok, refused
from tests.support.fakes import FakeContainers

CONTENT: dict[str, Any] = {
    "family": "arive-api",
    "networkMode": "awsvpc",
    "cpu": "256",
    "memory": "512",
    "requiresCompatibilities": ["FARGATE"],
    "containerDefinitions": [{"name": "api", "image": "repository@sha256:1", "essential": True}],
}
ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/"


class World(Protocol):
    containers: Containers

    def add_service(self, cluster: str, name: str, task_definition: str) -> None: ...

    def deregister(self, arn: str) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.fake = FakeContainers()
        self.containers: Containers = self.fake

    def add_service(self, cluster: str, name: str, task_definition: str) -> None:
        self.fake.add_service(cluster, name, task_definition)

    def deregister(self, arn: str) -> None:
        self.fake.deregister(arn)


class OnMoto:
    def __init__(self, clients: Clients) -> None:
        self.client = clients.client("ecs")
        self.containers: Containers = EcsContainers(lambda: self.client)

    def add_service(self, cluster: str, name: str, task_definition: str) -> None:
        self.client.create_cluster(clusterName=cluster)
        self.client.create_service(
            cluster=cluster, serviceName=name, taskDefinition=task_definition, desiredCount=1
        )

    def deregister(self, arn: str) -> None:
        self.client.deregister_task_definition(taskDefinition=arn)


@pytest.fixture(params=["fake", "moto"])
def world(request: pytest.FixtureRequest) -> World:
    return InMemory() if request.param == "fake" else OnMoto(request.getfixturevalue("moto"))


def test_a_registered_revision_is_found_by_each_of_its_names(world: World) -> None:
    first = world.containers.register(CONTENT, {"team": "arive", "empty": ""})
    second = world.containers.register({**CONTENT, "memory": "1024"}, {})
    assert first.arn == f"{ARN}arive-api:1"
    assert (first.family, first.active) == ("arive-api", True)
    assert first.tags == {"team": "arive", "empty": ""}
    for name, expected in (
        (first.arn, first),
        ("arive-api:1", first),
        ("arive-api", second),
        (second.arn, second),
    ):
        found = world.containers.task_definition(name)
        assert found is not None
        assert (found.arn, found.tags) == (expected.arn, expected.tags)
        assert shape(found.content)["memory"] == shape(expected.content)["memory"]


def test_a_registered_revision_has_the_shape_that_was_asked_for(world: World) -> None:
    registered = world.containers.register(
        {**CONTENT, "revision": 7, "status": "INACTIVE", "volumes": []}, {}
    )
    found = shape(registered.content)
    assert found["family"] == "arive-api"
    assert (found["cpu"], found["memory"], found["networkMode"]) == ("256", "512", "awsvpc")
    (container,) = found["containerDefinitions"]
    assert container["image"] == "repository@sha256:1"
    assert registered.arn.endswith(":1")


def test_an_unknown_task_definition_is_none(world: World) -> None:
    world.containers.register(CONTENT, {})
    assert world.containers.task_definition("arive-api:2") is None
    assert world.containers.task_definition("arive") is None


def test_an_inactive_revision_is_still_described_but_never_the_newest(world: World) -> None:
    first = world.containers.register(CONTENT, {})
    second = world.containers.register(CONTENT, {})
    world.deregister(second.arn)
    found = world.containers.task_definition(second.arn)
    assert found is not None
    assert not found.active
    assert list(world.containers.revisions("arive-api")) == [first.arn]


def test_revisions_are_of_exactly_that_family_newest_first(world: World) -> None:
    for family in ("arive-api", "arive", "arive-api-2", "arive-api"):
        world.containers.register({**CONTENT, "family": family}, {})
    found = list(world.containers.revisions("arive-api"))
    if isinstance(world, OnMoto):  # which does not know `sort`
        found.reverse()
    assert found == [f"{ARN}arive-api:2", f"{ARN}arive-api:1"]
    assert list(world.containers.revisions("arive")) == [f"{ARN}arive:1"]
    assert list(world.containers.revisions("ariv")) == []


def test_services_that_exist_are_given_by_name(world: World) -> None:
    revision = world.containers.register(CONTENT, {}).arn
    names = [f"api-{number}" for number in range(12)]
    for name in names:
        world.add_service("arive-cluster", name, revision)
    found = world.containers.services("arive-cluster", [*names, "missing"])
    assert sorted(found) == sorted(names)
    state = found["api-11"]
    assert (state.name, state.status, state.desired_count) == ("api-11", "ACTIVE", 1)
    assert state.arn == f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/arive-cluster/api-11"
    assert state.deployment_controller == "ECS"
    assert state.primary is not None
    assert state.primary.task_definition == state.task_definition == revision
    assert state.primary.id.startswith("ecs-svc/")
    assert state.primary.created_at.endswith("Z")


def test_a_missing_cluster_or_service_is_an_empty_answer(world: World) -> None:
    assert world.containers.services("missing", ["api"]) == {}
    assert world.containers.services("missing", []) == {}
    assert world.containers.stopped_tasks("missing", "api", "ecs-svc/1") == []
    revision = world.containers.register(CONTENT, {}).arn
    world.add_service("arive-cluster", "api", revision)
    assert world.containers.services("arive-cluster", ["other"]) == {}
    assert world.containers.stopped_tasks("arive-cluster", "api", "ecs-svc/1") == []


def test_updating_what_does_not_exist_is_not_found(world: World) -> None:
    revision = world.containers.register(CONTENT, {}).arn
    with pytest.raises(NotFoundError):
        world.containers.update_service("missing", "api", revision)
    world.add_service("arive-cluster", "api", revision)
    with pytest.raises(NotFoundError):
        world.containers.update_service("arive-cluster", "other", revision)


def test_updating_to_an_unknown_revision_is_refused(world: World) -> None:
    revision = world.containers.register(CONTENT, {}).arn
    world.add_service("arive-cluster", "api", revision)
    with pytest.raises(OutsideError):
        world.containers.update_service("arive-cluster", "api", "arive-api:9")


def test_a_count_is_changed_alone(world: World) -> None:
    revision = world.containers.register(CONTENT, {}).arn
    world.add_service("arive-cluster", "api", revision)
    before = world.containers.services("arive-cluster", ["api"])["api"]
    world.containers.set_desired_count("arive-cluster", "api", 3)
    after = world.containers.services("arive-cluster", ["api"])["api"]
    assert (before.desired_count, after.desired_count) == (1, 3)
    assert after.primary is not None
    assert before.primary is not None
    assert (after.primary.id, after.task_definition) == (before.primary.id, revision)
    assert after.scheduling_strategy == "REPLICA"


def test_the_count_of_what_does_not_exist_is_not_found(world: World) -> None:
    revision = world.containers.register(CONTENT, {}).arn
    with pytest.raises(NotFoundError):
        world.containers.set_desired_count("missing", "api", 3)
    world.add_service("arive-cluster", "api", revision)
    with pytest.raises(NotFoundError):
        world.containers.set_desired_count("arive-cluster", "other", 3)


# What moto does not do: answers on the wire

AT = 1772442000  # 2026-03-02T09:00:00Z


def deployment(number: int, status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"ecs-svc/{number}",
        "status": status,
        "taskDefinition": f"{ARN}api:{number}",
        "createdAt": AT,
        **more,
    }


SERVICE = {
    "serviceName": "api",
    "serviceArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/c/api",
    "status": "ACTIVE",
    "desiredCount": 2,
    "runningCount": 3,
    "taskDefinition": f"{ARN}api:2",
    "deploymentConfiguration": {
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "alarms": {"alarmNames": ["5xx"], "enable": True, "rollback": True},
    },
    "deployments": [
        deployment(2, "PRIMARY", rolloutState="IN_PROGRESS", rolloutStateReason="in progress", failedTasks=1),
        deployment(1, "ACTIVE", rolloutState="COMPLETED"),
    ],
    "events": [{"id": f"{n}", "createdAt": AT + 0.25 + n, "message": f"line {n}"} for n in range(30)],
}


@pytest.fixture
def ecs(clients: Clients) -> Any:
    return clients.client("ecs")


def containers(client: Any) -> EcsContainers:
    return EcsContainers(lambda: client)


def test_a_service_is_read_whole(ecs: Any) -> None:
    Wire(ecs, ok({"services": [SERVICE], "failures": []}))
    state = containers(ecs).services("c", ["api"])["api"]
    assert (state.circuit_breaker, state.circuit_breaker_rollback) == (True, True)
    assert (state.desired_count, state.running_count) == (2, 3)
    assert state.alarms == ("5xx",)
    assert len(state.events) == 20
    assert state.events[0] == {"at": "2026-03-02T09:00:29.250Z", "message": "line 29"}
    primary, completed = state.primary, state.completed
    assert primary is not None
    assert completed is not None
    assert (primary.id, primary.rollout_state, primary.failed_tasks) == ("ecs-svc/2", "IN_PROGRESS", 1)
    assert primary.rollout_state_reason == "in progress"
    assert primary.created_at == "2026-03-02T09:00:00.000Z"
    assert completed.id == "ecs-svc/1"


def test_alarms_that_are_not_enabled_do_not_count(ecs: Any) -> None:
    configuration = {"alarms": {"alarmNames": ["5xx"], "enable": False, "rollback": False}}
    external = {
        "serviceName": "api",
        "serviceArn": "a",
        "deploymentController": {"type": "EXTERNAL"},
        "deploymentConfiguration": configuration,
    }
    Wire(ecs, ok({"services": [external]}))
    state = containers(ecs).services("c", ["api"])["api"]
    assert state.alarms == ()
    assert state.circuit_breaker is False
    assert state.deployment_controller == "EXTERNAL"
    assert state.primary is None


def test_a_count_and_a_revision_are_asked_for_apart(ecs: Any) -> None:
    """A release never says how many, a change of the count never what: neither takes back what the other did."""
    wire = Wire(ecs, ok({"service": SERVICE}), ok({"service": SERVICE}))
    containers(ecs).set_desired_count("c", "api", 0)
    containers(ecs).update_service("c", "api", f"{ARN}api:2")
    place = {"cluster": "c", "service": "api"}
    assert wire.requests == [
        {**place, "desiredCount": 0},
        {**place, "taskDefinition": f"{ARN}api:2", "forceNewDeployment": False},
    ]


def test_a_daemon_is_told_apart(ecs: Any) -> None:
    Wire(ecs, ok({"services": [{**SERVICE, "schedulingStrategy": "DAEMON"}]}))
    assert containers(ecs).services("c", ["api"])["api"].scheduling_strategy == "DAEMON"


def test_services_are_asked_for_by_tens(ecs: Any) -> None:
    wire = Wire(ecs, *[ok({"services": []})] * 3)
    containers(ecs).services("c", [f"{number}" for number in range(21)])
    assert [len(sent["services"]) for sent in wire.requests] == [10, 10, 1]


def test_revisions_are_asked_for_newest_first_page_by_page(ecs: Any) -> None:
    wire = Wire(
        ecs,
        ok({"taskDefinitionArns": [f"{ARN}api-2:3", f"{ARN}api:2"], "nextToken": "more"}),
        ok({"taskDefinitionArns": [f"{ARN}api:1"]}),
    )
    assert list(containers(ecs).revisions("api")) == [f"{ARN}api:2", f"{ARN}api:1"]
    question = {"familyPrefix": "api", "status": "ACTIVE", "sort": "DESC"}
    assert wire.requests == [question, {**question, "nextToken": "more"}]


def test_an_update_gives_the_primary_deployment(ecs: Any) -> None:
    wire = Wire(ecs, ok({"service": {**SERVICE, "deployments": list(reversed(SERVICE["deployments"]))}}))  # type: ignore[call-overload]
    assert containers(ecs).update_service("c", "api", f"{ARN}api:2").id == "ecs-svc/2"
    question = {"cluster": "c", "service": "api", "taskDefinition": f"{ARN}api:2"}
    assert wire.requests == [{**question, "forceNewDeployment": False}]


def test_an_update_that_is_forced_starts_tasks_though_the_revision_stays(ecs: Any) -> None:
    wire = Wire(ecs, ok({"service": SERVICE}))
    assert containers(ecs).update_service("c", "api", f"{ARN}api:2", force=True).id == "ecs-svc/2"
    assert wire.requests[0]["forceNewDeployment"] is True


def test_the_simulated_service_starts_a_deployment_only_where_ecs_does() -> None:
    fake = FakeContainers()
    fake.add_service("c", "api")
    known = fake.service("api").primary
    assert fake.update_service("c", "api", known.task_definition) == known
    forced = fake.update_service("c", "api", known.task_definition, force=True)
    assert (forced.id != known.id, forced.task_definition) == (True, known.task_definition)


def test_an_update_of_a_service_without_deployments_is_refused(ecs: Any) -> None:
    Wire(ecs, ok({"service": {"serviceName": "api", "serviceArn": "a"}}))
    with pytest.raises(OutsideError, match="PRIMARY"):
        containers(ecs).update_service("c", "api", "api:2")


def test_an_inactive_service_is_not_found(ecs: Any) -> None:
    Wire(ecs, refused("ServiceNotActiveException"))
    with pytest.raises(NotFoundError):
        containers(ecs).update_service("c", "api", "api:2")


def task(number: int, started_by: str) -> dict[str, Any]:
    return {
        "taskArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/c/{number}",
        "startedBy": started_by,
        "lastStatus": "STOPPED",
        "stoppedAt": AT + number,
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
        "taskDefinitionArn": f"{ARN}api:2",
        "containers": [
            {"name": "api", "exitCode": 0},
            {"name": "proxy", "reason": "CannotPullContainerError"},
        ],
    }


def test_stopped_tasks_are_those_of_the_deployment_newest_first(ecs: Any) -> None:
    wire = Wire(
        ecs,
        ok({"taskArns": ["1", "2"], "nextToken": "more"}),
        ok({"tasks": [task(1, "ecs-svc/2"), task(2, "ecs-svc/1")]}),
        ok({"taskArns": ["3"]}),
        ok({"tasks": [task(3, "ecs-svc/2")]}),
    )
    newest, oldest = containers(ecs).stopped_tasks("c", "api", "ecs-svc/2")
    assert (newest.id, oldest.id) == ("3", "1")
    assert newest.stopped_at == "2026-03-02T09:00:03.000Z"
    assert (newest.stop_code, newest.reason) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert newest.containers == [
        {"name": "api", "exit_code": 0, "reason": ""},
        {"name": "proxy", "exit_code": None, "reason": "CannotPullContainerError"},
    ]
    listed = wire.requests[0]
    assert (listed["serviceName"], listed["desiredStatus"]) == ("api", "STOPPED")
    assert wire.requests[2]["nextToken"] == "more"


def test_times_in_a_task_definition_become_text(ecs: Any) -> None:
    Wire(ecs, ok({"taskDefinition": {**CONTENT, "taskDefinitionArn": f"{ARN}api:1", "registeredAt": AT}}))
    found = containers(ecs).task_definition("api")
    assert found is not None
    assert found.content["registeredAt"] == "2026-03-02T09:00:00.000Z"
    assert datetime.fromisoformat(found.content["registeredAt"]) == datetime.fromtimestamp(AT, UTC)


@pytest.mark.parametrize(
    ("code", "error"),
    [("AccessDeniedException", OutsideError), ("InvalidParameterException", OutsideError)],
)
def test_a_refused_question_is_not_an_empty_answer(ecs: Any, code: str, error: type[Exception]) -> None:
    Wire(ecs, *[refused(code)] * 4)
    with pytest.raises(error):
        containers(ecs).services("c", ["api"])
    with pytest.raises(error):
        containers(ecs).task_definition("api")
    with pytest.raises(error):
        containers(ecs).stopped_tasks("c", "api", "ecs-svc/1")
    with pytest.raises(error):
        containers(ecs).update_service("c", "api", "api:1")


def test_the_simulated_service_goes_through_a_rollout_as_ecs_does() -> None:
    fake = FakeContainers()
    fake.add_service("c", "api")
    before = fake.service("api").primary
    revision = fake.add_task_definition("api", "nginx:2").arn
    started = fake.update_service("c", "api", revision)
    assert fake.update_service("c", "api", revision) == started
    assert [entry.status for entry in fake.services("c", ["api"])["api"].deployments] == ["PRIMARY", "ACTIVE"]
    stopped = fake.crash_task("api", exit_code=3)
    assert fake.stopped_tasks("c", "api", started.id) == [stopped]
    assert fake.stopped_tasks("c", "api", before.id) == []
    failed = fake.fail("api")
    assert (failed.id, failed.rollout_state, failed.failed_tasks) == (started.id, "FAILED", 1)
    back = fake.service("api").primary
    assert (back.task_definition, back.rollout_state) == (before.task_definition, "IN_PROGRESS")
    fake.complete("api")
    state = fake.services("c", ["api"])["api"]
    assert [entry.id for entry in state.deployments] == [back.id]
    assert state.runs(before.task_definition)
    fake.delete_service("api")
    with pytest.raises(NotFoundError):
        fake.update_service("c", "api", revision)


def test_a_fake_fails_before_the_call_and_loses_an_answer_after_it() -> None:
    fake = FakeContainers()
    fake.fails("register")
    with pytest.raises(TransientError):
        fake.register(CONTENT, {})
    assert list(fake.revisions("arive-api")) == []
    fake.loses("register")
    with pytest.raises(TransientError):
        fake.register(CONTENT, {})
    assert len(list(fake.revisions("arive-api"))) == 1
    assert fake.called("register") == 2
