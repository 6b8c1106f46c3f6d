"""RunTask without containers: as ECS answers it, and what comes of a task of its own."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

CLUSTER = "shop"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"


@dataclass
class Job:
    """One task definition, and a group, of a test's own."""

    cloud: Cloud
    name: str
    definition: str

    @property
    def ecs(self) -> Any:
        return self.cloud.client("ecs")

    @property
    def group(self) -> str:
        return f"tidegate:{self.name}"

    def run(self, **changes: Any) -> dict[str, Any]:
        request = {
            "cluster": CLUSTER,
            "taskDefinition": self.definition,
            "group": self.group,
            "startedBy": "d-1",
            "networkConfiguration": NETWORK,
            **changes,
        }
        answer: dict[str, Any] = self.ecs.run_task(**request)
        return answer

    def start(self, **changes: Any) -> str:
        [task] = self.run(**changes)["tasks"]
        return str(task["taskArn"])

    def task(self, arn: str) -> dict[str, Any]:
        [task] = self.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn], include=["TAGS"])["tasks"]
        return dict(task)

    def reached(self, arn: str, status: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            task = self.task(arn)
            return task if task["lastStatus"] == status else None

        return wait_until(look, what=f"{arn} to be {status}")

    def lines(self, arn: str) -> list[str]:
        stream = f"job/main/{arn.rpartition('/')[2]}"
        events = self.cloud.client("logs").get_log_events(
            logGroupName=f"/jobs/{self.name}", logStreamName=stream
        )
        return [event["message"] for event in events["events"]]


@pytest.fixture
def job(cloud: Cloud) -> Iterator[Job]:
    ecs, name = cloud.client("ecs"), f"job-{uuid.uuid4().hex[:8]}"
    ecs.create_cluster(clusterName=CLUSTER)
    options = {
        "awslogs-group": f"/jobs/{name}",
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "job",
        "awslogs-create-group": "true",
    }
    container = {
        "name": "main",
        "image": "job:1",
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }
    definition = ecs.register_task_definition(
        family=name,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[container],
        tags=[{"key": "system", "value": "shop"}],
    )["taskDefinition"]["taskDefinitionArn"]
    job = Job(cloud, name, definition)
    yield job
    cloud.control.clear_fault(job.group)
    cloud.control.refuse_tasks(job.group, 0)


def test_the_same_token_and_request_is_the_same_task(job: Job) -> None:
    first = job.start(clientToken="d-1-migrate")
    job.reached(first, "STOPPED")
    again = job.run(clientToken="d-1-migrate")
    assert [task["taskArn"] for task in again["tasks"]] == [first]
    assert again["tasks"][0]["lastStatus"] == "STOPPED"
    assert again["failures"] == []
    assert job.start(clientToken="d-2-migrate") != first
    assert job.start() != job.start()


def test_a_token_of_another_request_is_a_conflict(job: Job) -> None:
    first = job.start(clientToken="taken")
    with pytest.raises(ClientError) as refused:
        job.run(clientToken="taken", startedBy="d-2")
    assert refused.value.response["Error"]["Code"] == "ConflictException"
    assert refused.value.response["resourceIds"] == [first]


def test_a_token_is_of_its_cluster(job: Job) -> None:
    job.ecs.create_cluster(clusterName="bank")
    assert job.start(clientToken="one") != job.start(clientToken="one", cluster="bank")


def test_what_it_is_asked_for_is_in_its_record(job: Job) -> None:
    overrides = {
        "containerOverrides": [
            {"name": "main", "command": ["migrate"], "environment": [{"name": "A", "value": "b"}]}
        ]
    }
    arn = job.start(
        overrides=overrides,
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        propagateTags="TASK_DEFINITION",
        tags=[{"key": "release", "value": "r1"}],
    )
    task = job.task(arn)
    assert (task["group"], task["startedBy"]) == (job.group, "d-1")
    assert task["capacityProviderName"] == "FARGATE_SPOT"
    assert task["overrides"]["containerOverrides"] == overrides["containerOverrides"]
    assert {tag["key"]: tag["value"] for tag in task["tags"]} == {"system": "shop", "release": "r1"}
    assert job.task(job.start(launchType="FARGATE"))["launchType"] == "FARGATE"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"networkConfiguration": {}}, "Network Configuration must be provided"),
        ({"overrides": {"containerOverrides": [{"name": "web"}]}}, "Override for container named web"),
        ({"clientToken": "a b"}, "clientToken"),
    ],
)
def test_what_ecs_refuses(job: Job, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ClientError, match=why) as refused:
        job.run(**changes)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"


def test_its_life_is_told(job: Job, queue: tuple[str, str]) -> None:
    url, arn = queue
    job.cloud.rule({"source": ["aws.ecs"], "detail": {"group": [job.group]}}, arn)
    task = job.start()
    told = [job.cloud.message(url)["body"] for _ in range(3)]
    assert {event["detail-type"] for event in told} == {"ECS Task State Change"}
    details = sorted((event["detail"] for event in told), key=lambda detail: detail["version"])
    assert [detail["lastStatus"] for detail in details] == ["PENDING", "RUNNING", "STOPPED"]
    assert {detail["taskArn"] for detail in details} == {task}
    ended = details[-1]
    assert ended["stopCode"] == "EssentialContainerExited"
    assert [(c["name"], c["exitCode"]) for c in ended["containers"]] == [("main", 0)]
    assert (ended["startedBy"], ended["desiredStatus"]) == ("d-1", "STOPPED")


def test_one_that_crashes_says_why_in_its_log(job: Job) -> None:
    job.cloud.control.set_fault(job.group, "crash", exit_code=3)
    arn = job.start()
    task = job.reached(arn, "STOPPED")
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["containers"][0]["exitCode"] == 3
    assert "RuntimeError: fault injected by the embedded cloud" in job.lines(arn)


def test_one_that_hangs_is_stopped_by_a_user(job: Job, queue: tuple[str, str]) -> None:
    url, queue_arn = queue
    pattern = {"source": ["aws.ecs"], "detail": {"group": [job.group], "lastStatus": ["STOPPED"]}}
    job.cloud.rule(pattern, queue_arn)
    job.cloud.control.set_fault(job.group, "hang")
    arn = job.start()
    assert job.task(arn)["lastStatus"] == "PENDING"
    stopped = job.ecs.stop_task(cluster=CLUSTER, task=arn, reason="Tidegate: the deployment was aborted")
    assert stopped["task"]["desiredStatus"] == "STOPPED"
    detail = job.cloud.message(url)["body"]["detail"]
    assert (detail["taskArn"], detail["stopCode"]) == (arn, "UserInitiated")
    assert detail["stoppedReason"] == "Tidegate: the deployment was aborted"
    assert "exitCode" not in job.task(arn)["containers"][0]


def test_one_that_runs_is_stopped_by_a_user(job: Job) -> None:
    arn = job.start()
    job.reached(arn, "RUNNING")
    job.ecs.stop_task(cluster=CLUSTER, task=arn)
    task = job.reached(arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "Task stopped by user")


def test_there_is_no_capacity_for_a_while(job: Job) -> None:
    job.cloud.control.refuse_tasks(job.group, 2)
    for _ in range(2):
        refused = job.run(clientToken="again")
        assert (refused["tasks"], [failure["reason"] for failure in refused["failures"]]) == ([], [CAPACITY])
    assert job.start(clientToken="again")


def test_other_groups_have_room(job: Job) -> None:
    job.cloud.control.refuse_tasks(job.group, 1)
    assert job.start(group="tidegate:other")
