"""Amazon ECS (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/, the page of each action)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of
from tidegate.adapters.moments import iso, plain
from tidegate.domain.errors import NotFoundError, OutsideError, TransientError
from tidegate.domain.plan import shape
from tidegate.domain.rollout import EcsDeployment, ServiceState
from tidegate.ports import NO_CAPACITY, OneOff, StoppedTask, TaskDefinition

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import ServiceTypeDef

SERVICES_AT_ONCE = 10  # DescribeServices: "a maximum of 10"
TASKS_AT_ONCE = 100  # DescribeTasks, and ListTasks' page
EVENTS = 20  # of the last 100 that ECS keeps
_MISSING = frozenset({"ClusterNotFoundException", "ServiceNotFoundException", "ServiceNotActiveException"})


class EcsContainers:
    def __init__(self, client: Callable[[], ECSClient]) -> None:
        self._client = client

    def services(self, cluster: str, names: Sequence[str]) -> dict[str, ServiceState]:
        found: dict[str, ServiceState] = {}
        for start in range(0, len(names), SERVICES_AT_ONCE):
            some = list(names[start : start + SERVICES_AT_ONCE])
            with asking("ecs:DescribeServices"):
                try:
                    answer = self._client().describe_services(cluster=cluster, services=some)
                except ClientError as error:
                    if code_of(error) == "ClusterNotFoundException":
                        return {}
                    raise
            found |= {service["serviceName"]: _state(service) for service in answer["services"]}
        return found

    def task_definition(self, name: str) -> TaskDefinition | None:
        with asking("ecs:DescribeTaskDefinition"):
            try:
                answer = self._client().describe_task_definition(taskDefinition=name, include=["TAGS"])
            except ClientError as error:
                if code_of(error) == "ClientException":  # the only code that page gives for an unknown one
                    return None
                raise
        return _task_definition(answer["taskDefinition"], answer.get("tags", []))

    def revisions(self, family: str) -> Iterator[str]:
        """`familyPrefix` is documented as "the full family name", but is called a prefix: filtered again."""
        question: dict[str, Any] = {"familyPrefix": family, "status": "ACTIVE", "sort": "DESC"}
        while True:
            with asking("ecs:ListTaskDefinitions"):
                answer = self._client().list_task_definitions(**question)
            for arn in answer["taskDefinitionArns"]:
                if _family(arn) == family:
                    yield arn
            if not answer.get("nextToken"):
                return
            question["nextToken"] = answer["nextToken"]

    def register(self, content: Mapping[str, Any], tags: Mapping[str, str]) -> TaskDefinition:
        request: dict[str, Any] = shape(content)
        if tags:  # an empty list is refused
            request["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
        with asking("ecs:RegisterTaskDefinition"):
            answer = self._client().register_task_definition(**request)
        return _task_definition(answer["taskDefinition"], request.get("tags", []))

    def update_service(
        self, cluster: str, service: str, task_definition: str, *, force: bool = False
    ) -> EcsDeployment:
        action = "ecs:UpdateService"
        with asking(action):
            try:
                answer = self._client().update_service(
                    cluster=cluster,
                    service=service,
                    taskDefinition=task_definition,
                    forceNewDeployment=force,
                )
            except ClientError as error:
                if code_of(error) in _MISSING:
                    raise NotFoundError(
                        f"{action}: there is no active service {service} in {cluster}"
                    ) from error
                raise
        primary = _state(answer["service"]).primary
        if primary is None:
            raise OutsideError(
                f"{action}: {service} has no PRIMARY deployment",
                hint="Tidegate rolls services whose deployment controller is ECS",
            )
        return primary

    def set_desired_count(self, cluster: str, service: str, count: int) -> None:
        action = "ecs:UpdateService"
        with asking(action):
            try:
                self._client().update_service(cluster=cluster, service=service, desiredCount=count)
            except ClientError as error:
                if code_of(error) in _MISSING:
                    raise NotFoundError(
                        f"{action}: there is no active service {service} in {cluster}"
                    ) from error
                raise

    def stopped_tasks(self, cluster: str, service: str, deployment_id: str) -> list[StoppedTask]:
        """ListTasks takes `startedBy` only without other filters, and then only running tasks: filtered here."""
        found: list[StoppedTask] = []
        question: dict[str, Any] = {"cluster": cluster, "serviceName": service, "desiredStatus": "STOPPED"}
        while True:
            with asking("ecs:ListTasks"):
                try:
                    page = self._client().list_tasks(**question, maxResults=TASKS_AT_ONCE)
                except ClientError as error:
                    if code_of(error) in _MISSING:
                        return []
                    raise
            if page["taskArns"]:
                with asking("ecs:DescribeTasks"):
                    answer = self._client().describe_tasks(cluster=cluster, tasks=page["taskArns"])
                found += [
                    _stopped(task)
                    for task in answer["tasks"]
                    if task.get("startedBy") == deployment_id and task.get("lastStatus") == "STOPPED"
                ]
            if not page.get("nextToken"):
                return sorted(found, key=lambda task: task.stopped_at, reverse=True)
            question["nextToken"] = page["nextToken"]

    def run_task(self, wanted: OneOff) -> str:
        """Where and on what a task runs is the service's own to say: RunTask is given what DescribeServices tells."""
        service = self._active(wanted.cluster, wanted.service)
        request: dict[str, Any] = {
            "cluster": wanted.cluster,
            "taskDefinition": wanted.task_definition,
            "count": 1,
            "clientToken": wanted.token,
            "startedBy": wanted.started_by,
            "group": wanted.group,
            "propagateTags": "TASK_DEFINITION",
            "overrides": {
                "containerOverrides": [
                    {
                        "name": wanted.container,
                        "command": list(wanted.command),
                        "environment": [
                            {"name": name, "value": value} for name, value in wanted.environment.items()
                        ],
                    }
                ]
            },
        }
        for name in ("networkConfiguration", "platformVersion"):
            if service.get(name):
                request[name] = service[name]
        if service.get("capacityProviderStrategy"):
            request["capacityProviderStrategy"] = service["capacityProviderStrategy"]
        elif service.get("launchType"):
            request["launchType"] = service["launchType"]
        action = "ecs:RunTask"
        with asking(action):
            try:
                started = self._client().run_task(**request)
            except ClientError as error:
                # The service's network or capacity has changed since a first attempt, whose token this is.
                response: Mapping[str, Any] = error.response
                if code_of(error) == "ConflictException" and response.get("resourceIds"):
                    return str(response["resourceIds"][0])
                raise
        if started["tasks"]:
            return str(started["tasks"][0]["taskArn"])
        reasons = ", ".join(failure.get("reason", "") for failure in started.get("failures", []))
        # RESOURCE:…, AGENT, "Capacity is unavailable at this time": capacity comes and goes (ECS developer guide,
        # "API failure reasons"); what is MISSING or does not fit stays so.
        if any(word in reasons for word in ("MISSING", "ATTRIBUTE", "LOCATION")):
            raise OutsideError(f"{action}: ECS refused: {reasons}")
        raise TransientError(f"{action}: no capacity: {reasons or 'ECS started no task'}", code=NO_CAPACITY)

    def _active(self, cluster: str, name: str) -> ServiceTypeDef:
        with asking("ecs:DescribeServices"):
            try:
                answer = self._client().describe_services(cluster=cluster, services=[name])
            except ClientError as error:
                if code_of(error) in _MISSING:
                    raise NotFoundError(f"there is no cluster {cluster}") from error
                raise
        service = next((one for one in answer["services"] if one.get("status") == "ACTIVE"), None)
        if service is None:
            raise NotFoundError(f"there is no active service {name} in {cluster}")
        return service

    def task(self, cluster: str, arn: str) -> StoppedTask | None:
        with asking("ecs:DescribeTasks"):
            try:
                answer = self._client().describe_tasks(cluster=cluster, tasks=[arn])
            except ClientError as error:
                if code_of(error) in _MISSING:
                    raise NotFoundError(f"there is no cluster {cluster}") from error
                raise
        if not answer["tasks"]:
            raise NotFoundError(f"ECS does not know the task {arn.rsplit('/', 1)[-1]}")
        task = answer["tasks"][0]
        return _stopped(task) if task.get("lastStatus") == "STOPPED" else None

    def stop_task(self, cluster: str, arn: str, reason: str) -> None:
        with asking("ecs:StopTask"):
            try:
                self._client().stop_task(cluster=cluster, task=arn, reason=reason)
            except ClientError as error:
                # The one code that page gives for a task that is not found.
                if code_of(error) not in {"InvalidParameterException", *_MISSING}:
                    raise


def _family(arn: str) -> str:
    return arn.rsplit("/", 1)[-1].rsplit(":", 1)[0]


def _task_definition(content: Mapping[str, Any], tags: Sequence[Mapping[str, Any]]) -> TaskDefinition:
    return TaskDefinition(
        arn=content["taskDefinitionArn"],
        family=content["family"],
        active=content.get("status", "ACTIVE") == "ACTIVE",
        content=plain(content),
        tags={tag["key"]: tag.get("value", "") for tag in tags},
    )


def _state(service: Mapping[str, Any]) -> ServiceState:
    configuration = service.get("deploymentConfiguration", {})
    breaker = configuration.get("deploymentCircuitBreaker", {})
    alarms = configuration.get("alarms", {})
    events = sorted(service.get("events", []), key=lambda event: event["createdAt"], reverse=True)
    return ServiceState(
        name=service["serviceName"],
        arn=service["serviceArn"],
        status=service.get("status", ""),
        task_definition=service.get("taskDefinition", ""),
        desired_count=service.get("desiredCount", 0),
        running_count=service.get("runningCount", 0),
        deployments=tuple(_deployment(entry) for entry in service.get("deployments", [])),
        circuit_breaker=bool(breaker.get("enable")),
        circuit_breaker_rollback=bool(breaker.get("rollback")),
        deployment_controller=service.get("deploymentController", {}).get("type", "ECS"),
        alarms=tuple(alarms.get("alarmNames", [])) if alarms.get("enable") else (),
        events=tuple(
            {"at": iso(event["createdAt"]), "message": event.get("message", "")} for event in events[:EVENTS]
        ),
        scheduling_strategy=service.get("schedulingStrategy", "REPLICA"),
    )


def _deployment(entry: Mapping[str, Any]) -> EcsDeployment:
    created = entry.get("createdAt")
    return EcsDeployment(
        id=entry["id"],
        status=entry["status"],
        task_definition=entry.get("taskDefinition", ""),
        rollout_state=entry.get("rolloutState", ""),
        rollout_state_reason=entry.get("rolloutStateReason", ""),
        failed_tasks=entry.get("failedTasks", 0),
        created_at=iso(created) if created else "",
    )


def _stopped(task: Mapping[str, Any]) -> StoppedTask:
    stopped = task.get("stoppedAt") or task.get("stoppingAt")
    return StoppedTask(
        arn=task["taskArn"],
        stopped_at=iso(stopped) if stopped else "",
        stop_code=task.get("stopCode", ""),
        reason=task.get("stoppedReason", ""),
        task_definition=task.get("taskDefinitionArn", ""),
        containers=[
            {
                "name": container["name"],
                "exit_code": container.get("exitCode"),
                "reason": container.get("reason", ""),
            }
            for container in task.get("containers", [])
        ],
    )
