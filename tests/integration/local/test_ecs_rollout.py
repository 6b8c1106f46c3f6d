"""ECS without containers follows ECS's own arithmetic."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

CLUSTER = "shop"
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
_names = count()


@dataclass
class Shop:
    """One ECS service of its own for a test."""

    cloud: Cloud
    name: str

    @property
    def ecs(self) -> Any:
        return self.cloud.client("ecs")

    def define(self, image: str) -> str:
        log = {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": f"/shop/{self.name}",
                "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": "app",
                "awslogs-create-group": "true",
            },
        }
        answer = self.ecs.register_task_definition(
            family=self.name,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "web", "image": image, "logConfiguration": log}],
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def create(self, task_definition: str, **changes: Any) -> dict[str, Any]:
        given = {"desiredCount": 1, "deploymentConfiguration": BREAKER, **changes}
        answer: dict[str, Any] = self.ecs.create_service(
            cluster=CLUSTER,
            serviceName=self.name,
            taskDefinition=task_definition,
            launchType="FARGATE",
            **given,
        )["service"]
        return answer

    def update(self, **changes: Any) -> str:
        """The id of the deployment that is PRIMARY in UpdateService's answer."""
        service = self.ecs.update_service(cluster=CLUSTER, service=self.name, **changes)["service"]
        return str(primary(service)["id"])

    def describe(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.ecs.describe_services(cluster=CLUSTER, services=[self.name])[
            "services"
        ][0]
        return answer

    def rolled(self) -> dict[str, Any]:
        """The service once its PRIMARY deployment is COMPLETED."""

        def completed() -> dict[str, Any] | None:
            service = self.describe()
            return service if primary(service)["rolloutState"] == "COMPLETED" else None

        return wait_until(completed, what=f"{self.name} to complete its deployment")

    def stopped_tasks(self, **filters: str) -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(cluster=CLUSTER, desiredStatus="STOPPED", **filters)["taskArns"]
        return list(self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"]) if arns else []


def primary(service: dict[str, Any]) -> dict[str, Any]:
    return next(entry for entry in service["deployments"] if entry["status"] == "PRIMARY")


@pytest.fixture
def shop(cloud: Cloud) -> Iterator[Shop]:
    cloud.client("ecs").create_cluster(clusterName=CLUSTER)
    yield Shop(cloud, f"web-{next(_names)}")
    for service in cloud.control.faults():
        cloud.control.clear_fault(service)


def test_a_new_service_takes_a_moment_and_completes(shop: Shop) -> None:
    created = primary(shop.create(shop.define("web:1")))
    assert (created["rolloutState"], created["pendingCount"], created["runningCount"]) == (
        "IN_PROGRESS",
        1,
        0,
    )

    done = shop.rolled()
    assert primary(done)["id"] == created["id"]
    assert primary(done)["rolloutStateReason"] == f"ECS deployment {created['id']} completed."
    assert (done["runningCount"], done["pendingCount"]) == (1, 0)
    assert any("has reached a steady state." in event["message"] for event in done["events"])


def test_a_roll_replaces_the_tasks_and_the_old_deployment_leaves_the_list(shop: Shop) -> None:
    shop.create(shop.define("web:1"), desiredCount=2)
    shop.rolled()
    second = shop.define("web:2")
    deployment = shop.update(taskDefinition=second)
    assert [d["status"] for d in shop.describe()["deployments"]] == ["PRIMARY", "ACTIVE"]

    done = shop.rolled()
    assert [d["id"] for d in done["deployments"]] == [deployment]
    running = shop.ecs.list_tasks(cluster=CLUSTER, startedBy=deployment)["taskArns"]
    tasks = shop.ecs.describe_tasks(cluster=CLUSTER, tasks=running)["tasks"]
    assert {task["startedBy"] for task in tasks} == {deployment}
    assert {task["taskDefinitionArn"] for task in tasks} == {second}
    assert len(tasks) == 2


def test_crashing_tasks_open_the_circuit_breaker_and_ecs_goes_back(shop: Shop) -> None:
    first = shop.define("web:1")
    shop.create(first)
    before = primary(shop.rolled())["id"]
    shop.cloud.control.set_fault(shop.name, "crash")
    failed = shop.update(taskDefinition=shop.define("web:2"))

    back = wait_until(
        lambda: next((d for d in shop.describe()["deployments"] if d["taskDefinition"] == first
                      and d["status"] == "PRIMARY"), None),
        what="the rollback",
    )  # fmt: skip
    assert back["id"] not in (before, failed)
    assert (
        back["rolloutStateReason"]
        == f"ECS deployment circuit breaker: rolling back to deploymentId {before}."
    )
    loser = next(d for d in shop.describe()["deployments"] if d["id"] == failed)
    assert loser["rolloutState"] == "FAILED"
    assert loser["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert loser["failedTasks"] == 3

    done = shop.rolled()
    assert done["taskDefinition"] == first
    assert [d["id"] for d in done["deployments"]] == [back["id"]]
    messages = [event["message"] for event in done["events"]]
    assert (
        f"(service {shop.name}) (deployment {failed}) deployment failed: tasks failed to start." in messages
    )


def test_a_crashed_task_can_be_explained(shop: Shop) -> None:
    shop.create(shop.define("web:1"))
    shop.rolled()
    shop.cloud.control.set_fault(shop.name, "crash", exit_code=137)
    failed = shop.update(taskDefinition=shop.define("web:2"))
    tasks = wait_until(lambda: shop.stopped_tasks(startedBy=failed), what="a stopped task")

    task = tasks[0]
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert [container["exitCode"] for container in task["containers"]] == [137]
    assert task["taskArn"] in {t["taskArn"] for t in shop.stopped_tasks(serviceName=shop.name)}
    stream = f"app/web/{task['taskArn'].rsplit('/', 1)[-1]}"
    events = shop.cloud.client("logs").get_log_events(logGroupName=f"/shop/{shop.name}", logStreamName=stream)
    assert events["events"][-1]["message"] == "process exited with code 137"


def test_a_hanging_deployment_stays_in_progress_until_the_fault_is_cleared(shop: Shop) -> None:
    shop.create(shop.define("web:1"))
    shop.rolled()
    shop.cloud.control.set_fault(shop.name, "hang")
    hanging = shop.update(taskDefinition=shop.define("web:2"))
    wait_until(lambda: primary(shop.describe())["pendingCount"] == 1, what="a pending task")
    assert primary(shop.describe())["rolloutState"] == "IN_PROGRESS"

    shop.cloud.control.clear_fault(shop.name)
    assert primary(shop.rolled())["id"] == hanging


def test_going_back_to_what_last_completed_is_spared_by_a_fault(shop: Shop) -> None:
    first = shop.define("web:1")
    shop.create(first)
    shop.rolled()
    shop.cloud.control.set_fault(shop.name, "hang")
    hanging = shop.update(taskDefinition=shop.define("web:2"))
    compensation = shop.update(taskDefinition=first)

    done = shop.rolled()
    assert [d["id"] for d in done["deployments"]] == [compensation]
    assert compensation != hanging


def test_a_fault_for_all_does_not_spare_the_way_back(shop: Shop) -> None:
    first = shop.define("web:1")
    shop.create(first)
    shop.rolled()
    shop.cloud.control.set_fault(shop.name, "crash", all=True)
    shop.update(taskDefinition=shop.define("web:2"))

    def gave_up() -> dict[str, Any] | None:
        now = primary(shop.describe())
        return now if now["taskDefinition"] == first and now["rolloutState"] == "FAILED" else None

    assert wait_until(gave_up, what="the rollback to fail too")["failedTasks"] == 3


def test_a_fault_may_spare_the_tasks_that_start_with_one_value(shop: Shop) -> None:
    manager = shop.cloud.client("secretsmanager")
    secret = manager.create_secret(Name=f"{shop.name}/database", SecretString="old")
    good = (secret["ARN"], secret["VersionId"])
    shop.create(shop.define("web:1"))
    shop.rolled()
    shop.cloud.control.set_fault(shop.name, "crash", unless=good)
    assert shop.cloud.control.faults()[shop.name]["unless"] == {"secret": good[0], "version": good[1]}
    spared = shop.update(forceNewDeployment=True)
    assert primary(shop.rolled())["id"] == spared
    bad = manager.put_secret_value(SecretId=good[0], SecretString="new")["VersionId"]
    shop.update(forceNewDeployment=True)

    def gave_up() -> bool:
        now = primary(shop.describe())
        return bool(now["id"] != spared and now["rolloutState"] == "FAILED")

    wait_until(gave_up, what="ECS's own way back to fail as well")
    manager.update_secret_version_stage(
        SecretId=good[0], VersionStage="AWSCURRENT", MoveToVersionId=good[1], RemoveFromVersionId=bad
    )
    again = shop.update(forceNewDeployment=True)
    assert primary(shop.rolled())["id"] == again


def test_without_a_circuit_breaker_a_crashing_deployment_never_ends(shop: Shop) -> None:
    off = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
    shop.create(shop.define("web:1"), deploymentConfiguration=off)
    shop.rolled()
    shop.cloud.control.set_fault(shop.name, "crash")
    shop.update(taskDefinition=shop.define("web:2"))
    now = wait_until(
        lambda: next((d for d in [primary(shop.describe())] if d["failedTasks"] > 3), None), what="failures"
    )
    assert now["rolloutState"] == "IN_PROGRESS"


def test_the_newer_of_two_updates_wins_and_the_older_vanishes(shop: Shop) -> None:
    shop.create(shop.define("web:1"))
    shop.rolled()
    older = shop.update(taskDefinition=shop.define("web:2"))
    newer = shop.update(taskDefinition=shop.define("web:3"))
    assert older != newer
    assert [d["id"] for d in shop.rolled()["deployments"]] == [newer]


def test_an_update_that_changes_nothing_starts_no_deployment(shop: Shop) -> None:
    first = shop.define("web:1")
    shop.create(first)
    deployment = primary(shop.rolled())["id"]
    events = shop.describe()["events"]
    assert shop.update(taskDefinition=first) == deployment
    assert shop.describe()["events"] == events
    assert shop.update(taskDefinition=first, forceNewDeployment=True) != deployment


def test_no_tasks_wanted_completes_too(shop: Shop) -> None:
    shop.create(shop.define("web:1"), desiredCount=0)
    shop.rolled()
    deployment = shop.update(taskDefinition=shop.define("web:2"))
    done = shop.rolled()
    assert (primary(done)["id"], done["runningCount"]) == (deployment, 0)


def test_a_deregistered_task_definition_is_refused(shop: Shop) -> None:
    first, second = shop.define("web:1"), shop.define("web:2")
    shop.create(first)
    shop.ecs.deregister_task_definition(taskDefinition=second)
    with pytest.raises(ClientError, match="TaskDefinition is inactive"):
        shop.update(taskDefinition=second)
    latest = shop.ecs.describe_task_definition(taskDefinition=shop.name)["taskDefinition"]
    assert latest["taskDefinitionArn"] == first


def test_a_task_of_its_own_runs_and_exits(shop: Shop) -> None:
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    definition = shop.define("migrate:1")
    started = shop.ecs.run_task(
        cluster=CLUSTER, taskDefinition=definition, startedBy="us", networkConfiguration=network
    )["tasks"][0]
    assert (started["lastStatus"], started["group"], started["startedBy"]) == (
        "PENDING",
        f"family:{shop.name}",
        "us",
    )

    def stopped() -> dict[str, Any] | None:
        task = shop.ecs.describe_tasks(cluster=CLUSTER, tasks=[started["taskArn"]])["tasks"][0]
        return task if task["lastStatus"] == "STOPPED" else None

    assert wait_until(stopped, what="the task to exit")["containers"][0]["exitCode"] == 0


def test_a_service_deployment_can_be_stopped_and_rolls_back(shop: Shop) -> None:
    first = shop.define("web:1")
    shop.create(first)
    shop.rolled()
    shop.cloud.control.set_fault(shop.name, "hang")
    shop.update(taskDefinition=shop.define("web:2"))
    arn = shop.describe()["currentServiceDeployment"]
    shop.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    shop.rolled()

    ended = shop.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
    assert ended["status"] == "ROLLBACK_SUCCESSFUL"
    assert shop.describe()["taskDefinition"] == first
    assert json.dumps(shop.ecs.list_service_deployments(cluster=CLUSTER, service=shop.name), default=str)
