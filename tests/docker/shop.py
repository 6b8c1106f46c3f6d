"""Services of an embedded cloud whose tasks are containers, and the images they run."""

import io
import tarfile
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any

from tidegate_local import base_image, engine

from tests.docker.orchestrator import Orchestrator
from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

CLUSTER = "shop"
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
SERVE = "mkdir -p /tmp/www && echo $VERSION > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www"
CRASH = "echo reading settings; echo no DATABASE_URL >&2; exit 3"
SECONDS = 30.0


@dataclass(frozen=True)
class Images:
    """Builds and pushes images as a CI does, to the registry that the cloud itself is."""

    cloud: Cloud | Orchestrator
    host: str

    @property
    def registry(self) -> str:
        return self.cloud.endpoint_url.removeprefix("http://")

    def push(self, version: str, repository: str = "web", *, more: str = "") -> str:
        """`repository@digest` of a new image with VERSION in its environment, tagged with it; `more` is for the
        Dockerfile."""
        base = base_image.build(self.host, self.registry)
        return self.push_built(context(f"FROM {base}\nENV VERSION={version}\n{more}"), version, repository)

    def push_built(self, source: io.BytesIO, version: str, repository: str) -> str:
        """The same of a build context of one's own."""
        ecr = self.cloud.client("ecr")
        if repository not in {r["repositoryName"] for r in ecr.describe_repositories()["repositories"]}:
            ecr.create_repository(repositoryName=repository)
        name = f"{self.registry}/{repository}"
        with engine.connected(self.host) as docker:
            image, _ = docker.images.build(fileobj=source, custom_context=True, rm=True)
            image.tag(name, version)
            pushed = list(docker.api.push(name, version, stream=True, decode=True))
            assert not [line for line in pushed if "error" in line], pushed
        [found] = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": version}])[
            "imageDetails"
        ]
        return f"{name}@{found['imageDigest']}"


@dataclass(frozen=True)
class Shop:
    """One ECS service of its own for a test."""

    cloud: Cloud
    host: str
    name: str

    @property
    def ecs(self) -> Any:
        return self.cloud.client("ecs")

    def define(self, image: str, script: str = SERVE, **container: Any) -> str:
        """ARN of a new revision whose one container runs `script` in a shell; its lines go to `/shop/<name>`."""
        return self.define_all({"name": "web", "image": image, "command": ["sh", "-c", script], **container})

    def define_all(self, *containers: dict[str, Any]) -> str:
        """ARN of a new revision with these containers."""
        options = {
            "awslogs-group": f"/shop/{self.name}",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "app",
            "awslogs-create-group": "true",
        }
        log = {"logDriver": "awslogs", "options": options}
        answer = self.ecs.register_task_definition(
            family=self.name,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[{"logConfiguration": log, **entry} for entry in containers],
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def create(self, definition: str, desired: int = 1) -> None:
        self.ecs.create_service(
            cluster=CLUSTER,
            serviceName=self.name,
            taskDefinition=definition,
            launchType="FARGATE",
            desiredCount=desired,
            deploymentConfiguration=BREAKER,
        )

    def update(self, **changes: Any) -> str:
        """The id of the deployment that is PRIMARY in UpdateService's answer."""
        return str(
            primary(self.ecs.update_service(cluster=CLUSTER, service=self.name, **changes)["service"])["id"]
        )

    def describe(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.ecs.describe_services(cluster=CLUSTER, services=[self.name])[
            "services"
        ][0]
        return answer

    def rolled(self, definition: str) -> dict[str, Any]:
        """The service once it runs nothing but a completed deployment of `definition`."""

        def completed() -> dict[str, Any] | None:
            service = self.describe()
            states = [(d["taskDefinition"], d["rolloutState"]) for d in service["deployments"]]
            return service if states == [(definition, "COMPLETED")] else None

        return wait_until(completed, what=f"{self.name} to run {definition}", seconds=SECONDS)

    def tasks(self, status: str, **filters: str) -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(cluster=CLUSTER, family=self.name, desiredStatus=status, **filters)[
            "taskArns"
        ]
        return list(self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"]) if arns else []

    def run(self, definition: str, **request: Any) -> dict[str, Any]:
        """A task of its own, once it is STOPPED."""
        return self.stopped(self.begin(definition, **request))

    def begin(self, definition: str, **request: Any) -> str:
        """ARN of a new task of its own."""
        network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
        started = self.ecs.run_task(
            cluster=CLUSTER, taskDefinition=definition, networkConfiguration=network, **request
        )
        return str(started["tasks"][0]["taskArn"])

    def stopped(self, arn: str) -> dict[str, Any]:
        def over() -> dict[str, Any] | None:
            task: dict[str, Any] = self.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]
            return task if task["lastStatus"] == "STOPPED" else None

        return wait_until(over, what=f"{arn} to stop", seconds=SECONDS)

    def lines(self, task: dict[str, Any], container: str = "web") -> list[str]:
        """What it has printed, as CloudWatch Logs has it."""
        stream = f"app/{container}/{task['taskArn'].rpartition('/')[2]}"
        events = self.cloud.client("logs").get_log_events(
            logGroupName=f"/shop/{self.name}", logStreamName=stream, startFromHead=True
        )["events"]
        return [event["message"] for event in events]

    def containers(self) -> list[dict[str, Any]]:
        """The engine's own list of this service's, dead ones included."""
        with engine.connected(self.host) as docker:
            label = f"com.amazonaws.ecs.task-definition-family={self.name}"
            return list(docker.api.containers(all=True, filters={"label": label}))


def primary(service: dict[str, Any]) -> dict[str, Any]:
    return next(entry for entry in service["deployments"] if entry["status"] == "PRIMARY")


def address(task: dict[str, Any]) -> str:
    """The private address of its network interface."""
    [attachment] = task["attachments"]
    assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "ATTACHED")
    details = {entry["name"]: entry["value"] for entry in attachment["details"]}
    return str(details["privateIPv4Address"])


def ask(task: dict[str, Any], port: int = 8080) -> str:
    """What its service answers over HTTP."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{address(task)}:{port}/", timeout=5) as response:
        return str(response.read().decode().strip())


def new_name() -> str:
    return f"web-{uuid.uuid4().hex[:8]}"


def context(dockerfile: str) -> io.BytesIO:
    """A build context with nothing but this Dockerfile."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        tar.addfile(entry, io.BytesIO(dockerfile.encode()))
    written.seek(0)
    return written
