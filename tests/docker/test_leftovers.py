"""Nothing stays in the engine: no container, no network, no name of an image."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from docker.errors import BuildError, NotFound
from tidegate_local import base_image, engine
from tidegate_local.lifecycle import record

from tests.docker.shop import CLUSTER, Images, Shop, context, new_name
from tests.integration.local import small_checkout
from tests.support.command_line import CommandLine
from tests.support.embedded import Cloud, running_cloud
from tests.support.leftovers import free_port, listens
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.docker]


class Kept:
    """What the engine holds of a cloud: told by the registry's address and by the label."""

    def __init__(self, host: str, endpoint_url: str) -> None:
        self._host = host
        self._registry = endpoint_url.removeprefix("http://")

    def all(self) -> list[str]:
        with engine.connected(self._host) as docker:
            containers = docker.api.containers(all=True, filters={"label": engine.CLOUD_LABEL})
            images = docker.api.images()
        names = [
            name for image in images for name in [*(image["RepoTags"] or []), *(image["RepoDigests"] or [])]
        ]
        mine = [name for name in names if name.startswith(f"{self._registry}/")]
        return [c["Id"] for c in containers if c["Image"].startswith(f"{self._registry}/")] + mine

    def networks(self) -> set[str]:
        with engine.connected(self._host) as docker:
            return {network["Name"] for network in docker.api.networks()}


def busy(cloud: Cloud, host: str) -> None:
    """A service with a running container."""
    cloud.client("ecs").create_cluster(clusterName=CLUSTER)
    shop = Shop(cloud, host, new_name())
    definition = shop.define(Images(cloud, host).push("one"))
    shop.create(definition)
    shop.rolled(definition)


def test_a_server_that_ends_takes_everything_with_it(tmp_path: Path, host: str) -> None:
    with running_cloud(tmp_path, ["--docker"]) as cloud:
        kept = Kept(host, cloud.endpoint_url)
        before = kept.networks()
        busy(cloud, host)
        assert len(kept.all()) > 3
        assert kept.networks() == before
    assert cloud.process.returncode == 0
    assert kept.all() == []
    assert kept.networks() == before


def test_a_server_that_was_killed_is_cleared_away_by_the_next(tmp_path: Path, host: str) -> None:
    with running_cloud(tmp_path, ["--docker"]) as cloud:
        kept = Kept(host, cloud.endpoint_url)
        busy(cloud, host)
        cloud.process.send_signal(signal.SIGKILL)
        cloud.process.wait(timeout=10)
    left = kept.all()
    assert left
    with running_cloud(tmp_path, ["--docker"]):
        assert [identity for identity in kept.all() if not identity.startswith("127.0.0.1")] == []
    with engine.connected(host) as docker:
        engine.remove_image_names(docker, cloud.endpoint_url.removeprefix("http://"))
    assert kept.all() == []


def test_a_build_that_fails_leaves_nothing(tmp_path: Path, host: str) -> None:
    with running_cloud(tmp_path, ["--docker"]) as cloud, engine.connected(host) as docker:
        base = base_image.build(host, cloud.endpoint_url.removeprefix("http://"))
        dockerfile = f"FROM {base}\nRUN echo first > /first\nRUN exit 3\n"
        with pytest.raises(BuildError):
            docker.images.build(fileobj=context(dockerfile), custom_context=True, rm=True)
        [failed] = docker.api.containers(all=True, filters={"ancestor": base})
    with engine.connected(host) as docker:
        with pytest.raises(NotFound):
            docker.api.inspect_container(failed["Id"])
        with pytest.raises(NotFound):
            docker.api.inspect_image(failed["ImageID"])


def test_other_containers_and_images_are_left_alone(tmp_path: Path, host: str) -> None:
    with running_cloud(tmp_path, ["--docker"]) as cloud, engine.connected(host) as docker:
        ours = base_image.build(host, cloud.endpoint_url.removeprefix("http://"))
        theirs = f"tidegate-test-{new_name()}"
        docker.images.get(ours).tag(theirs)
        container = docker.containers.create(theirs, labels={engine.CLOUD_LABEL: "another"})
        try:
            cloud.control.shut_down()
            assert cloud.process.wait(timeout=20) == 0
            container.reload()
            assert docker.images.get(theirs).tags == [f"{theirs}:latest"]
        finally:
            container.remove()
            docker.images.remove(theirs)


@pytest.fixture
def tidegate(tmp_path: Path, host: str) -> Iterator[CommandLine]:
    checkout = small_checkout.make(tmp_path / "checkout")
    variables = {"TIDEGATE_CHECKOUT": str(checkout), "TIDEGATE_STATE_DIR": str(tmp_path / "state")}
    command_line = CommandLine({**variables, "DOCKER_HOST": host}, checkout)
    yield command_line
    command_line.run("local", "down")


def test_up_and_down_with_docker(tidegate: CommandLine, host: str, tmp_path: Path) -> None:
    started = tidegate.run("local", "up", "--port", str(free_port()), "--json")
    assert started.exit_code == 0, started.progress
    up = started.document
    assert (up["docker"], f"http://{up['registry']}") == (True, up["endpoint_url"])
    assert "containers by Docker" in started.progress
    assert "containers by Docker" in tidegate.run("local", "status").output
    assert tidegate.run("local", "up", "--docker", "require", "--json").document == up
    refused = tidegate.run("local", "up", "--docker", "off", "--json")
    assert (refused.exit_code, refused.error["field"]) == (2, "docker")

    kept = Kept(host, up["endpoint_url"])
    start_a_task(up, host)
    assert kept.all()
    cloud = record.read(tmp_path / "state" / "cloud.json")
    assert cloud is not None
    os.kill(cloud.pid, signal.SIGKILL)
    wait_until(lambda: not listens(cloud.options.port), what="the server to be gone")
    assert kept.all(), "nobody was left to remove it"
    assert tidegate.run("local", "down", "--json").document == {"stopped": True}
    assert kept.all() == []


def start_a_task(up: dict[str, str], host: str) -> None:
    """One that runs on, by the address that `up` tells."""
    image = base_image.build(host, up["registry"])
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": up["region"]}
    ecr = boto3.client("ecr", endpoint_url=up["endpoint_url"], **keys)  # type: ignore[call-overload]
    ecr.create_repository(repositoryName=base_image.NAME)
    with engine.connected(host) as docker:
        said = list(docker.api.push(image, stream=True, decode=True))
    assert "error" not in json.dumps(said)
    ecs = boto3.client("ecs", endpoint_url=up["endpoint_url"], **keys)  # type: ignore[call-overload]
    ecs.create_cluster(clusterName=CLUSTER)
    ecs.register_task_definition(
        family="lasting",
        containerDefinitions=[{"name": "main", "image": image, "command": ["sleep", "600"]}],
    )
    arn = ecs.run_task(cluster=CLUSTER, taskDefinition="lasting")["tasks"][0]["taskArn"]
    wait_until(
        lambda: ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING",
        what="the task to run",
    )
