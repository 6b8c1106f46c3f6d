"""Application Auto Scaling: the bounds of a service, in memory and on moto; what is denied, by answers on the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tidegate.adapters.autoscaling import ApplicationAutoScaling
from tidegate.adapters.clients import Clients
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.domain.scaling import Bounds
from tidegate.ports import Scaling

from tests.integration.adapters.cloud import Wire, ok, refused
from tests.support.fakes import FakeScaling

Target = Callable[[str, str, int, int], None]


@pytest.fixture(params=["fake", "moto"])
def scaling(request: pytest.FixtureRequest) -> tuple[Scaling, Target]:
    if request.param == "fake":
        fake = FakeScaling()

        def remember(cluster: str, service: str, least: int, most: int) -> None:
            fake.targets[cluster, service] = Bounds(least, most)

        return fake, remember
    clients: Clients = request.getfixturevalue("moto")
    client, ecs = clients.client("application-autoscaling"), clients.client("ecs")

    def register(cluster: str, service: str, least: int, most: int) -> None:
        ecs.create_cluster(clusterName=cluster)
        definition = ecs.register_task_definition(
            family=service, containerDefinitions=[{"name": "app", "image": "app", "memory": 128}]
        )["taskDefinition"]["taskDefinitionArn"]
        ecs.create_service(
            cluster=cluster, serviceName=service, taskDefinition=definition, desiredCount=least
        )
        client.register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId=f"service/{cluster}/{service}",
            ScalableDimension="ecs:service:DesiredCount",
            MinCapacity=least,
            MaxCapacity=most,
        )

    return ApplicationAutoScaling(lambda: client), register


def test_a_service_has_the_bounds_of_its_target(scaling: tuple[Scaling, Target]) -> None:
    port, add = scaling
    add("arive-cluster", "arive-api", 1, 4)
    assert port.bounds("arive-cluster", "arive-api") == Bounds(1, 4)


def test_a_service_that_nothing_scales_has_none(scaling: tuple[Scaling, Target]) -> None:
    port, add = scaling
    add("arive-cluster", "arive-api", 1, 4)
    assert port.bounds("arive-cluster", "arive-worker") is None
    assert port.bounds("other-cluster", "arive-api") is None


def test_what_is_asked_for(clients: Clients) -> None:
    client = clients.client("application-autoscaling")
    wire = Wire(client, ok({"ScalableTargets": []}))
    assert ApplicationAutoScaling(lambda: client).bounds("c", "s") is None
    assert wire.requests == [
        {
            "ServiceNamespace": "ecs",
            "ResourceIds": ["service/c/s"],
            "ScalableDimension": "ecs:service:DesiredCount",
        }
    ]


def test_a_denied_one_names_its_action(clients: Clients) -> None:
    client = clients.client("application-autoscaling")
    Wire(client, refused("AccessDeniedException"))
    with pytest.raises(OutsideError, match="application-autoscaling:DescribeScalableTargets"):
        ApplicationAutoScaling(lambda: client).bounds("c", "s")


def test_one_that_is_busy_is_asked_again(clients: Clients) -> None:
    client = clients.client("application-autoscaling")
    Wire(client, *[refused("ConcurrentUpdateException", 500)] * 3)
    with pytest.raises(TransientError):
        ApplicationAutoScaling(lambda: client).bounds("c", "s")
