"""The ports of migrations, in memory and on the embedded cloud: one-off tasks in ECS, snapshots in RDS."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from tidegate.adapters.ecs import EcsContainers
from tidegate.adapters.rds import RdsBackups
from tidegate.domain.errors import NotFoundError, OutsideError, TransientError
from tidegate.ports import NO_CAPACITY, Backups, Containers, OneOff, StoppedTask

from tests.support.embedded import Cloud
from tests.support.fakes import FakeBackups, FakeContainers
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

CLUSTER = "shop"


@pytest.fixture
def name() -> str:
    return f"shop-{uuid.uuid4().hex[:8]}"


@dataclass
class Tasks:
    """`ends` lets a task end by itself, with this code."""

    containers: Containers
    wanted: OneOff
    ends: Callable[[str, int], None]
    cloud: Cloud | None = None

    def start(self, **changes: str) -> str:
        return self.containers.run_task(replace(self.wanted, **changes))  # type: ignore[arg-type]

    def stopped(self, arn: str) -> StoppedTask:
        return wait_until(lambda: self.containers.task(CLUSTER, arn), what=f"{arn} to stop")


def _wanted(name: str, task_definition: str) -> OneOff:
    return OneOff(
        cluster=CLUSTER,
        service=name,
        task_definition=task_definition,
        container="main",
        command=["migrate"],
        environment={"TIDEGATE_DEPLOYMENT": name},
        token=f"token-{name}",
        started_by=f"tidegate/{name}",
        group=f"tidegate-migrate-{name}",
    )


def _in_memory(name: str) -> Tasks:
    fake = FakeContainers()
    revision = fake.add_task_definition(name, container="main")
    fake.add_service(CLUSTER, name, revision.arn)

    def ends(arn: str, code: int) -> None:
        fake.end_task(arn, exit_code=code)

    return Tasks(fake, _wanted(name, revision.arn), ends)


def _embedded(cloud: Cloud, name: str) -> Tasks:
    ecs = cloud.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    registered = ecs.register_task_definition(
        family=name,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "main", "image": "shop:1"}],
    )
    definition = registered["taskDefinition"]["taskDefinitionArn"]
    network = {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}
    ecs.create_service(
        cluster=CLUSTER,
        serviceName=name,
        taskDefinition=definition,
        desiredCount=0,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network},
    )

    def ends(arn: str, code: int) -> None:
        """The embedded ECS ends a task of its own by itself."""

    return Tasks(EcsContainers(lambda: ecs), _wanted(name, definition), ends, cloud)


@pytest.fixture(params=["fake", "embedded"])
def tasks(request: pytest.FixtureRequest, cloud: Cloud, name: str) -> Iterator[Tasks]:
    made = _in_memory(name) if request.param == "fake" else _embedded(cloud, name)
    yield made
    cloud.control.clear_fault(made.wanted.group)
    cloud.control.refuse_tasks(made.wanted.group, 0)


class TestOneOffTasks:
    def test_end_with_the_code_of_their_container(self, tasks: Tasks) -> None:
        arn = tasks.start()
        tasks.ends(arn, 0)
        ended = tasks.stopped(arn)
        assert (ended.arn, ended.exit_code("main"), ended.failed) == (arn, 0, False)
        assert ended.stop_code == "EssentialContainerExited"
        assert ended.exit_code("another") is None

    def test_a_token_starts_one(self, tasks: Tasks) -> None:
        """Row 8: the answer of the first call may be lost."""
        first = tasks.start()
        assert tasks.start() == first
        assert tasks.start(token="another") != first

    def test_an_unknown_one_is_not_found(self, tasks: Tasks) -> None:
        arn = tasks.start()
        with pytest.raises(NotFoundError):
            tasks.containers.task(CLUSTER, arn[:-32] + "0" * 32)

    def test_an_unknown_one_or_one_that_has_stopped_may_be_stopped(self, tasks: Tasks) -> None:
        arn = tasks.start()
        tasks.ends(arn, 0)
        tasks.stopped(arn)
        tasks.containers.stop_task(CLUSTER, arn, "late")
        tasks.containers.stop_task(CLUSTER, arn[:-32] + "0" * 32, "never was")
        assert tasks.stopped(arn).exit_code("main") == 0

    @pytest.mark.parametrize("place", [{"service": "gone"}, {"cluster": "gone"}])
    def test_without_the_service_there_is_no_network_for_them(
        self, tasks: Tasks, place: dict[str, str]
    ) -> None:
        with pytest.raises(NotFoundError):
            tasks.start(**place)


@pytest.fixture
def embedded(cloud: Cloud, name: str) -> Iterator[Tasks]:
    made = _embedded(cloud, name)
    yield made
    cloud.control.clear_fault(made.wanted.group)
    cloud.control.refuse_tasks(made.wanted.group, 0)


class TestOneOffTasksOfTheEmbeddedCloud:
    def test_run_in_the_network_of_their_service_with_the_words_of_the_caller(self, embedded: Tasks) -> None:
        assert embedded.cloud is not None
        arn = embedded.start()
        [task] = embedded.cloud.client("ecs").describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"]
        assert (task["group"], task["startedBy"]) == (embedded.wanted.group, embedded.wanted.started_by)
        [override] = task["overrides"]["containerOverrides"]
        assert override["command"] == ["migrate"]
        assert override["environment"] == [{"name": "TIDEGATE_DEPLOYMENT", "value": embedded.wanted.service}]

    def test_without_capacity_it_says_that_none_was_started(self, embedded: Tasks) -> None:
        """Row 12."""
        assert embedded.cloud is not None
        embedded.cloud.control.refuse_tasks(embedded.wanted.group, 1)
        with pytest.raises(TransientError) as refused:
            embedded.start()
        assert refused.value.code == NO_CAPACITY
        assert embedded.start()

    def test_a_token_of_a_changed_request_still_names_its_task(self, embedded: Tasks) -> None:
        """The service's network has changed between two attempts. Guards `resourceIds` in the adapter."""
        first = embedded.start()
        assert embedded.start(started_by="tidegate/changed") == first


@dataclass
class Databases:
    backups: Backups
    add: Callable[[str, str], None]
    make: Callable[[str, str], None]


def _embedded_databases(cloud: Cloud) -> Databases:
    rds = cloud.client("rds")
    backups = RdsBackups(lambda: rds)
    master = {"MasterUsername": "shop", "MasterUserPassword": "a-password"}

    def add(kind: str, name: str) -> None:
        if kind == "cluster":
            rds.create_db_cluster(DBClusterIdentifier=name, Engine="aurora-postgresql", **master)
        else:
            size = {"DBInstanceClass": "db.t4g.micro", "AllocatedStorage": 20}
            rds.create_db_instance(DBInstanceIdentifier=name, Engine="postgres", **size, **master)

    def make(kind: str, snapshot: str) -> None:
        wait_until(
            lambda: backups.snapshot_status(kind, snapshot) == "available", what=f"{snapshot} to be made"
        )

    return Databases(backups, add, make)


def _databases_in_memory() -> Databases:
    fake = FakeBackups()

    def add(kind: str, name: str) -> None:
        fake.databases[kind, name] = "available"

    def make(kind: str, snapshot: str) -> None:
        fake.snapshots[kind, snapshot] = "available"

    return Databases(fake, add, make)


@pytest.fixture(params=["fake", "embedded"])
def databases(request: pytest.FixtureRequest, cloud: Cloud) -> Databases:
    return _databases_in_memory() if request.param == "fake" else _embedded_databases(cloud)


@pytest.mark.parametrize("kind", ["instance", "cluster"])
class TestSnapshots:
    def test_are_made_once_by_their_name(self, databases: Databases, kind: str, name: str) -> None:
        """Rows 7 and 8: asked for again, it is the same one."""
        databases.add(kind, name)
        for _ in range(2):
            databases.backups.snapshot(kind, name, f"{name}-before")
        assert databases.backups.snapshot_status(kind, f"{name}-before") in ("creating", "available")
        databases.make(kind, f"{name}-before")
        databases.backups.snapshot(kind, name, f"{name}-before")
        assert databases.backups.snapshot_status(kind, f"{name}-before") == "available"

    def test_that_nobody_asked_for_are_none(self, databases: Databases, kind: str, name: str) -> None:
        assert databases.backups.snapshot_status(kind, f"{name}-before") is None

    def test_belong_to_their_kind(self, databases: Databases, kind: str, name: str) -> None:
        databases.add(kind, name)
        databases.backups.snapshot(kind, name, f"{name}-before")
        other = {"instance": "cluster", "cluster": "instance"}[kind]
        assert databases.backups.snapshot_status(other, f"{name}-before") is None

    def test_a_database_has_a_state_where_there_is_one(
        self, databases: Databases, kind: str, name: str
    ) -> None:
        assert databases.backups.status(kind, name) is None
        databases.add(kind, name)
        assert databases.backups.status(kind, name) in ("creating", "available")


@pytest.mark.parametrize("kind", ["instance", "cluster"])
def test_a_snapshot_of_no_database_is_refused(cloud: Cloud, kind: str, name: str) -> None:
    with pytest.raises(OutsideError, match="NotFound"):
        _embedded_databases(cloud).backups.snapshot(kind, name, f"{name}-before")


def test_a_snapshot_is_tagged_with_its_database(cloud: Cloud, name: str) -> None:
    databases = _embedded_databases(cloud)
    databases.add("instance", name)
    databases.backups.snapshot("instance", name, f"{name}-before")
    [made] = cloud.client("rds").describe_db_snapshots(DBSnapshotIdentifier=f"{name}-before")["DBSnapshots"]
    assert {"Key": "tidegate:snapshot", "Value": name} in made["TagList"]
