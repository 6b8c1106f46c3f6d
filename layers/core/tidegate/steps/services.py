"""What ECS says of the services a plan is about, and the refusals that follow from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.errors import NotFoundError, RefusalError
from tidegate.domain.manifest import EnvironmentView, ResolvedService
from tidegate.domain.rollout import EcsDeployment, ServiceState
from tidegate.ports import Ports, TaskDefinition


@dataclass(frozen=True, slots=True)
class Busy:
    """A service in which somebody else's ECS deployment is under way: it is awaited, not refused."""

    service: str
    cluster: str
    ecs_service: str
    ecs_deployment: str


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """`running` is the task definition of the deployment that ECS would go back to; `smoke` what `steps.smoke` is asked
    once the service has rolled."""

    key: str
    image: str
    wave: int
    wanted_container: str | None
    state: ServiceState
    running: TaskDefinition
    busy: Busy | None
    smoke: Mapping[str, Any] | None = None

    @property
    def given_up(self) -> bool:
        """Whether ECS has stopped trying: it starts no task any more, whatever the service is to run."""
        primary = self.state.primary
        return primary is not None and primary.rollout_state == "FAILED"

    def container_of(self, task_definition: TaskDefinition) -> str:
        """The container whose image is replaced: the one that is named, or the only one there is."""
        names = [entry["name"] for entry in task_definition.content["containerDefinitions"]]
        where = f"task definition {task_definition.arn.rsplit('/', 1)[-1]} has containers {', '.join(names)}"
        if self.wanted_container is None and len(names) == 1:
            return str(names[0])
        if self.wanted_container is None:
            raise RefusalError(
                f"service {self.key}: {where}",
                field=f"services.{self.key}.container",
                hint="say in the manifest which of them gets the image",
            )
        if self.wanted_container not in names:
            raise RefusalError(
                f"service {self.key}: there is no container {self.wanted_container}; {where}",
                field=f"services.{self.key}.container",
                hint="correct the manifest",
            )
        return self.wanted_container


def read_services(ports: Ports, view: EnvironmentView) -> dict[str, ServiceFacts]:
    """By key of the manifest. Refuses a service that could not be brought back."""
    names = {key: service.service for key, service in view.services.items()}
    states = ports.containers.services(view.cluster, sorted(names.values())) if names else {}
    return {
        key: _facts(ports, view, key, service, states.get(service.service))
        for key, service in view.services.items()
    }


def read_service(ports: Ports, view: EnvironmentView, key: str) -> ServiceFacts:
    """One of them, whatever the others are like."""
    service = view.services[key]
    state = ports.containers.services(view.cluster, [service.service]).get(service.service)
    return _facts(ports, view, key, service, state)


def _facts(
    ports: Ports, view: EnvironmentView, key: str, service: ResolvedService, state: ServiceState | None
) -> ServiceFacts:
    field = f"services.{key}"
    if state is None or state.status != "ACTIVE":
        raise NotFoundError(
            f"service {key}: cluster {view.cluster} has no active service {service.service}",
            field=f"{field}.service",
            hint="create the service first; Tidegate releases to it, it does not create it",
        )
    if state.deployment_controller != "ECS":
        raise RefusalError(
            f"service {key}: its deployment controller is {state.deployment_controller}",
            field=field,
            hint="Tidegate rolls services whose deployment controller is ECS",
        )
    if not (state.circuit_breaker and state.circuit_breaker_rollback):
        raise RefusalError(
            f"service {key}: the deployment circuit breaker with rollback is off: a bad release would go unnoticed",
            field=field,
            hint=f"aws ecs update-service --cluster {view.cluster} --service {service.service}"
            " --deployment-configuration 'deploymentCircuitBreaker={enable=true,rollback=true}'",
        )
    moving = _under_way(state)
    settled = state.completed
    if settled is None and moving is None:
        raise RefusalError(
            f"service {key}: no deployment of {service.service} has ever completed, so there is nothing to go back to",
            field=field,
            hint="get the service running once; its events say what holds it up",
        )
    running = (settled or moving or state.deployments[0]).task_definition
    known = ports.containers.task_definition(running)
    if known is None:
        raise RefusalError(
            f"service {key}: ECS does not know its task definition {running}",
            field=field,
            hint="update the service to a task definition that exists",
        )
    busy = None if moving is None else Busy(key, view.cluster, state.name, moving.id)
    smoke = _smoke(view, key, service)
    return ServiceFacts(key, service.image, service.wave, service.container, state, known, busy, smoke)


def _smoke(view: EnvironmentView, key: str, service: ResolvedService) -> dict[str, Any] | None:
    """What the function `smoke` is asked, seconds throughout, and the `runner` whose function it is: that stack is
    inside the environment's network."""
    wanted = service.smoke
    if wanted is None:
        return None
    return {
        "service": key,
        "url": wanted.url,
        "expect": wanted.expect,
        "body": wanted.body,
        "latency": None if wanted.latency is None else int(wanted.latency.total_seconds()),
        "within": int(wanted.within.total_seconds()),
        "runner": view.settings.runner,
    }


def _under_way(state: ServiceState) -> EcsDeployment | None:
    primary = state.primary
    return primary if primary is not None and primary.rollout_state == "IN_PROGRESS" else None
