"""Embedded clouds with a Docker engine: one for all tests of this folder, one more with the orchestrator in it."""

from collections.abc import Iterator

import pytest
from tidegate_local import engine

from tests.docker.orchestrator import Orchestrator, running_orchestrator
from tests.docker.shop import CLUSTER, Images, Shop, new_name
from tests.support.embedded import Cloud, running_cloud
from tests.support.mariadb import pytest_collection_modifyitems  # noqa: F401 -- a hook of pytest


@pytest.fixture(scope="session")
def host() -> str:
    """The engine's address."""
    return engine.find().address


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), ["--docker", "--steady-seconds", "0.5"]) as running:
        running.client("ecs").create_cluster(clusterName=CLUSTER)
        yield running


@pytest.fixture(scope="session")
def orchestrator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestrator]:
    with running_orchestrator(tmp_path_factory.mktemp("orchestrator") / "state") as running:
        yield running


@pytest.fixture(scope="session")
def images(cloud: Cloud, host: str) -> Images:
    return Images(cloud, host)


@pytest.fixture(scope="session")
def first(images: Images) -> str:
    return images.push("one")


@pytest.fixture(scope="session")
def second(images: Images) -> str:
    return images.push("two")


@pytest.fixture
def shop(cloud: Cloud, host: str) -> Iterator[Shop]:
    shop = Shop(cloud, host, new_name())
    yield shop
    for service in cloud.control.faults():
        cloud.control.clear_fault(service)
    if shop.ecs.describe_services(cluster=CLUSTER, services=[shop.name])["services"]:
        shop.ecs.delete_service(cluster=CLUSTER, service=shop.name, force=True)
