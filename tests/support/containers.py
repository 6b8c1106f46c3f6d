"""A small ECS: clusters, services, revisions, and deployments that a test completes, fails or supersedes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.domain.errors import NotFoundError, OutsideError
from tidegate.domain.plan import shape
from tidegate.domain.rollout import EcsDeployment, ServiceState
from tidegate.ports import Clock, OneOff, StoppedTask, TaskDefinition

from tests.support.clock import FakeClock, iso
from tests.support.scripted import Scripted, recorded

REGION = "eu-west-1"
ACCOUNT = "123456789012"


@dataclass
class FakeService:
    cluster: str
    name: str
    desired_count: int
    deployments: list[EcsDeployment] = field(default_factory=list)
    events: list[Mapping[str, str]] = field(default_factory=list)
    stopped: list[tuple[str, StoppedTask]] = field(default_factory=list)
    status: str = "ACTIVE"
    circuit_breaker: bool = True
    circuit_breaker_rollback: bool = True
    deployment_controller: str = "ECS"
    alarms: tuple[str, ...] = ()
    scheduling_strategy: str = "REPLICA"
    # How many run, where that is not what is desired (yet).
    running_count: int | None = None

    @property
    def primary(self) -> EcsDeployment:
        return next(entry for entry in self.deployments if entry.status == "PRIMARY")

    def change(self, deployment_id: str, **values: Any) -> None:
        self.deployments = [
            replace(entry, **values) if entry.id == deployment_id else entry for entry in self.deployments
        ]

    def state(self) -> ServiceState:
        primary = next((entry for entry in self.deployments if entry.status == "PRIMARY"), None)
        return ServiceState(
            name=self.name,
            arn=f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/{self.cluster}/{self.name}",
            status=self.status,
            task_definition=primary.task_definition if primary else "",
            desired_count=self.desired_count,
            running_count=self.desired_count if self.running_count is None else self.running_count,
            deployments=tuple(self.deployments),
            circuit_breaker=self.circuit_breaker,
            circuit_breaker_rollback=self.circuit_breaker_rollback,
            deployment_controller=self.deployment_controller,
            alarms=self.alarms,
            events=tuple(reversed(self.events[-20:])),
            scheduling_strategy=self.scheduling_strategy,
        )


class FakeContainers(Scripted):
    """The methods of the port, and what happens in ECS by itself: `complete`, `fail`, `supersede`, `crash_task`, …

    A service may be named alone where only one cluster has it.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or FakeClock()
        self.clusters: dict[str, dict[str, FakeService]] = {}
        self.revisions_of: dict[str, list[TaskDefinition]] = {}
        # One-off tasks, by their ARN, and how each ended; None while it runs.
        self.one_offs: dict[str, OneOff] = {}
        self.ended: dict[str, StoppedTask | None] = {}
        self._last_id = 0

    # The port

    @recorded
    def services(self, cluster: str, names: Sequence[str]) -> dict[str, ServiceState]:
        known = self.clusters.get(cluster, {})
        return {name: known[name].state() for name in names if name in known}

    @recorded
    def task_definition(self, name: str) -> TaskDefinition | None:
        return self._find(name)

    @recorded
    def revisions(self, family: str) -> Iterator[str]:
        newest_first = reversed(self.revisions_of.get(family, []))
        return iter([revision.arn for revision in newest_first if revision.active])

    @recorded
    def register(self, content: Mapping[str, Any], tags: Mapping[str, str]) -> TaskDefinition:
        return self._register(content, tags)

    @recorded
    def update_service(
        self, cluster: str, service: str, task_definition: str, *, force: bool = False
    ) -> EcsDeployment:
        found = self.clusters.get(cluster, {}).get(service)
        if found is None or found.status != "ACTIVE":
            raise NotFoundError(f"ecs:UpdateService: there is no service {service} in {cluster}")
        wanted = self._find(task_definition)
        if wanted is None or not wanted.active:
            raise OutsideError(f"ecs:UpdateService: {task_definition} is not an active task definition")
        if found.primary.task_definition == wanted.arn and not force:
            return found.primary
        return self._start(found, wanted.arn)

    @recorded
    def set_desired_count(self, cluster: str, service: str, count: int) -> None:
        """What runs stays what it was, until `settle`."""
        found = self.clusters.get(cluster, {}).get(service)
        if found is None or found.status != "ACTIVE":
            raise NotFoundError(f"ecs:UpdateService: there is no service {service} in {cluster}")
        if found.running_count is None:
            found.running_count = found.desired_count
        found.desired_count = count

    @recorded
    def stopped_tasks(self, cluster: str, service: str, deployment_id: str) -> list[StoppedTask]:
        found = self.clusters.get(cluster, {}).get(service)
        tasks = [task for owner, task in found.stopped if owner == deployment_id] if found else []
        return sorted(tasks, key=lambda task: task.stopped_at, reverse=True)

    # What the test sets up

    @recorded
    def run_task(self, wanted: OneOff) -> str:
        if wanted.service not in self.clusters.get(wanted.cluster, {}):
            raise NotFoundError(f"there is no active service {wanted.service} in {wanted.cluster}")
        for arn, known in self.one_offs.items():
            if known.token == wanted.token:
                return arn
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{wanted.cluster}/{self._next():032x}"
        self.one_offs[arn] = wanted
        self.ended[arn] = None
        return arn

    @recorded
    def task(self, cluster: str, arn: str) -> StoppedTask | None:
        if arn not in self.ended:
            raise NotFoundError(f"ECS does not know the task {arn.rsplit('/', 1)[-1]}")
        return self.ended[arn]

    @recorded
    def stop_task(self, cluster: str, arn: str, reason: str) -> None:
        if self.ended.get(arn, self) is None:
            self.end_task(arn, exit_code=137, stop_code="UserInitiated", reason=reason)

    def end_task(
        self,
        arn: str,
        *,
        exit_code: int | None = 0,
        stop_code: str = "EssentialContainerExited",
        reason: str = "Essential container in task exited",
    ) -> StoppedTask:
        """A one-off task ends."""
        wanted = self.one_offs[arn]
        task = StoppedTask(
            arn=arn,
            stopped_at=iso(self.clock.now()),
            stop_code=stop_code,
            reason=reason,
            task_definition=wanted.task_definition,
            containers=[{"name": wanted.container, "exit_code": exit_code, "reason": ""}],
        )
        self.ended[arn] = task
        return task

    def add_cluster(self, name: str) -> None:
        self.clusters.setdefault(name, {})

    def add_task_definition(
        self, family: str, image: str = "nginx:1", container: str = "app", **more: Any
    ) -> TaskDefinition:
        """A revision with one container that logs to the group `/ecs/<family>`, prefix `ecs`; `tags` may be given."""
        logs = {"awslogs-group": f"/ecs/{family}", "awslogs-stream-prefix": "ecs", "awslogs-region": REGION}
        tags = more.pop("tags", {})
        content = {
            "family": family,
            "containerDefinitions": [
                {
                    "name": container,
                    "image": image,
                    "memory": 128,
                    "logConfiguration": {"logDriver": "awslogs", "options": logs},
                }
            ],
            **more,
        }
        return self._register(content, tags)

    def add_service(
        self,
        cluster: str,
        name: str,
        task_definition: str | None = None,
        *,
        desired_count: int = 1,
        **settings: Any,
    ) -> FakeService:
        """A service that has completed on `task_definition` (default: the family of its name, made if missing).

        `settings` are those of FakeService: circuit_breaker, circuit_breaker_rollback, deployment_controller,
        alarms.
        """
        self.add_cluster(cluster)
        wanted = self._find(task_definition or name)
        if wanted is None:
            wanted = self.add_task_definition(task_definition or name)
        service = FakeService(cluster, name, desired_count, **settings)
        self.clusters[cluster][name] = service
        started = self._start(service, wanted.arn)
        service.change(started.id, rollout_state="COMPLETED")
        return service

    def service(self, name: str, cluster: str | None = None) -> FakeService:
        found = [
            services[name]
            for key, services in self.clusters.items()
            if name in services and cluster in (None, key)
        ]
        if len(found) != 1:
            raise LookupError(f"{len(found)} services are named {name}")
        return found[0]

    # What happens in ECS

    def complete(self, service: str, cluster: str | None = None) -> EcsDeployment:
        """The PRIMARY deployment completes; ECS drops all others."""
        found = self.service(service, cluster)
        found.change(found.primary.id, rollout_state="COMPLETED", rollout_state_reason="completed.")
        found.deployments = [found.primary]
        found.running_count = None
        self.event(service, "has reached a steady state.", cluster)
        return found.primary

    def settle(self, service: str, running: int | None = None, cluster: str | None = None) -> None:
        """As many tasks run as are desired, or so many."""
        found = self.service(service, cluster)
        found.running_count = running
        self.event(service, "has reached a steady state.", cluster)

    def fail(
        self,
        service: str,
        *,
        rollback: bool | None = None,
        reason: str = "ECS deployment circuit breaker: tasks failed to start.",
        cluster: str | None = None,
    ) -> EcsDeployment:
        """The PRIMARY deployment fails. With `rollback` (default: as the service is set) ECS starts another one,
        on the newest completed task definition, which the test may `complete`; the failed one is given."""
        found = self.service(service, cluster)
        failed = found.primary.id
        found.change(failed, rollout_state="FAILED", rollout_state_reason=reason)
        completed = found.state().completed
        wanted = found.circuit_breaker_rollback if rollback is None else rollback
        if wanted and completed is not None:
            why = f"ECS deployment circuit breaker: rolling back to deploymentId {completed.id}."
            started = self._start(found, completed.task_definition)
            found.change(started.id, rollout_state_reason=why)
        return next(entry for entry in found.deployments if entry.id == failed)

    def supersede(self, service: str, task_definition: str, cluster: str | None = None) -> EcsDeployment:
        """Somebody else updates the service."""
        found = self.service(service, cluster)
        wanted = self._find(task_definition)
        if wanted is None:
            raise LookupError(task_definition)
        return self._start(found, wanted.arn)

    def forget(self, service: str, deployment_id: str, cluster: str | None = None) -> None:
        """ECS no longer lists a deployment."""
        found = self.service(service, cluster)
        found.deployments = [entry for entry in found.deployments if entry.id != deployment_id]

    def delete_service(self, service: str, cluster: str | None = None) -> None:
        """As ECS does: the service stays visible as INACTIVE, without deployments."""
        found = self.service(service, cluster)
        found.status, found.deployments, found.desired_count = "INACTIVE", [], 0

    def deregister(self, arn: str) -> None:
        family = arn.rsplit("/", 1)[-1].rsplit(":", 1)[0]
        self.revisions_of[family] = [
            replace(entry, active=False, content={**entry.content, "status": "INACTIVE"})
            if entry.arn == arn
            else entry
            for entry in self.revisions_of[family]
        ]

    def event(self, service: str, message: str, cluster: str | None = None) -> None:
        line = {"at": iso(self.clock.now()), "message": f"(service {service}) {message}"}
        self.service(service, cluster).events.append(line)

    def crash_task(
        self,
        service: str,
        *,
        exit_code: int | None = 1,
        reason: str = "Essential container in task exited",
        stop_code: str = "EssentialContainerExited",
        container: str = "app",
        container_reason: str = "",
        deployment_id: str | None = None,
        cluster: str | None = None,
    ) -> StoppedTask:
        """A task of the PRIMARY (or the named) deployment stops, and counts as failed."""
        found = self.service(service, cluster)
        owner = found.primary.id if deployment_id is None else deployment_id
        entry = found.state().deployment(owner)
        task = StoppedTask(
            arn=f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{found.cluster}/{self._next():032x}",
            stopped_at=iso(self.clock.now()),
            stop_code=stop_code,
            reason=reason,
            task_definition=entry.task_definition if entry else "",
            containers=[{"name": container, "exit_code": exit_code, "reason": container_reason}],
        )
        found.stopped.append((owner, task))
        if entry is not None:
            found.change(owner, failed_tasks=entry.failed_tasks + 1)
        return task

    def _start(self, service: FakeService, task_definition: str) -> EcsDeployment:
        started = EcsDeployment(
            id=f"ecs-svc/{self._next():019d}",
            status="PRIMARY",
            task_definition=task_definition,
            rollout_state="IN_PROGRESS",
            rollout_state_reason="ECS deployment in progress.",
            created_at=iso(self.clock.now()),
        )
        older = [
            replace(entry, status="ACTIVE") if entry.status == "PRIMARY" else entry
            for entry in service.deployments
        ]
        service.deployments = [started, *older]
        return started

    def _register(self, content: Mapping[str, Any], tags: Mapping[str, str]) -> TaskDefinition:
        family = content["family"]
        revisions = self.revisions_of.setdefault(family, [])
        number = len(revisions) + 1
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:{number}"
        noted = {"taskDefinitionArn": arn, "revision": number, "status": "ACTIVE"}
        revisions.append(TaskDefinition(arn, family, True, {**shape(content), **noted}, dict(tags)))
        return revisions[-1]

    def _next(self) -> int:
        self._last_id += 1
        return self._last_id

    def _find(self, name: str) -> TaskDefinition | None:
        short = name.rsplit("/", 1)[-1]
        family, _, revision = short.partition(":")
        revisions = self.revisions_of.get(family, [])
        if revision:
            return next((entry for entry in revisions if entry.arn.endswith(f"/{short}")), None)
        return next((entry for entry in reversed(revisions) if entry.active), None)
