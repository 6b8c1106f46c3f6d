"""A system of two services from one image, the sample's application, and what Docker and the registry say of it."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.domain.build import Build
from tidegate_local import engine

from tests.docker.orchestrator import Orchestrator
from tests.docker.shop import Images, ask
from tests.e2e.own_system import EcsService, OwnSystem
from tests.e2e.pushing import Developer, sources
from tests.support.command_line import Ended
from tests.support.scratch import Scratch
from tests.support.waiting import wait_until

SYSTEM, REPOSITORY, PROJECT = "ferry", "ferry-app", "ferry-build"
STAY = 'CMD ["sleep", "3600"]\n'
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
MANIFEST: Mapping[str, Any] = {
    "system": SYSTEM,
    "images": {
        "app": {
            "repository": REPOSITORY,
            "tag": "{commit}",
            "build": {"project": PROJECT, "context": "app"},
            "watch": ["app/**"],
        }
    },
    "services": {
        "api": {"service": f"{SYSTEM}-api", "image": "app", "wave": 1},
        "worker": {"service": f"{SYSTEM}-worker", "image": "app", "wave": 2},
    },
    "environments": {"production": {"region": "us-east-1", "cluster": SYSTEM, "branch": "main"}},
}


@dataclass(frozen=True)
class PushedSystem:
    """It has the application's repository with the remote `local`, to which nothing is pushed yet."""

    cloud: Orchestrator
    host: str
    system: OwnSystem
    developer: Developer

    @classmethod
    def make(cls, cloud: Orchestrator, host: str, folder: Path) -> PushedSystem:
        cloud.client("ecr").create_repository(repositoryName=REPOSITORY, imageTagMutability="IMMUTABLE")
        image = Images(cloud, host).push("by-hand", REPOSITORY, more=STAY)
        services = [EcsService("api", 2), EcsService("worker", 1, {"ROLE": "worker"})]
        system = OwnSystem.make(cloud, MANIFEST, services, image, folder)
        developer = Developer(cloud, SYSTEM, Scratch.begin(folder / SYSTEM))
        developer.scratch.commit("first", sources())
        ready = cloud.command.run("local", "push", SYSTEM, str(developer.scratch.folder), "--prepare")
        assert ready.exit_code == 0, ready.progress
        assert "push local HEAD:refs/heads/main" in ready.output
        return cls(cloud, host, system, developer)

    def git_push(self, message: str, files: Mapping[str, str]) -> Build:
        """Commit and `git push local main`, by git alone; the build once it has ended."""
        commit = self.developer.scratch.commit(message, files)
        self.developer.scratch.git("push", "--quiet", "local", "main")
        return self.developer.built(commit)

    def show(self, what: str, *words: str) -> Ended:
        """`tidegate show`."""
        shown = self.cloud.command.run("--local", "show", what, *words)
        assert shown.exit_code == 0, shown.progress
        return shown

    def answers(self) -> list[str]:
        """What the tasks of the API answer over HTTP."""
        return [ask(task, 80) for task in self.system.tasks("api")]

    def in_registry(self, tag: str) -> str:
        """The digest that the registry itself tells, as it tells `docker pull`."""
        asked = urllib.request.Request(
            f"http://{self.cloud.registry}/v2/{REPOSITORY}/manifests/{tag}",
            headers={"Accept": ", ".join(MANIFESTS)},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=5) as answer:
            return str(answer.headers["Docker-Content-Digest"])

    def in_ecr(self, tag: str) -> str:
        """The digest that ECR's API tells."""
        [image] = self.cloud.client("ecr").describe_images(
            repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}]
        )["imageDetails"]
        return str(image["imageDigest"])

    def containers(self) -> dict[str, tuple[str, str]]:
        """What `docker ps` lists of this system, see `running_containers`."""
        return running_containers(self.cloud, self.host, self.system)

    def only_runs(self, digest: str) -> dict[str, tuple[str, str]]:
        """The containers, once there are three and all are of that image: one that ends may take a moment."""
        expected = [(f"{SYSTEM}-api", digest)] * 2 + [(f"{SYSTEM}-worker", digest)]

        def right() -> dict[str, tuple[str, str]] | None:
            found = self.containers()
            return found if sorted(found.values()) == expected else None

        return wait_until(right, what=f"containers of {digest} only", seconds=30)


def running_containers(cloud: Orchestrator, host: str, system: OwnSystem) -> dict[str, tuple[str, str]]:
    """What `docker ps` lists of a system: its ECS service, and the digest that `docker inspect` has of its image, by
    the container's id. All images of the system are in one repository."""
    [cluster] = cloud.client("ecs").describe_clusters(clusters=[system.name])["clusters"]
    labels = [cloud.container_label, f"com.amazonaws.ecs.cluster={cluster['clusterArn']}"]
    [repository] = {image["repository"] for image in system.manifest["images"].values()}
    address = f"{cloud.registry}/{repository}@"
    found = {}
    with engine.connected(host) as docker:
        for container in docker.api.containers(filters={"label": labels}):
            service = container["Labels"]["com.amazonaws.ecs.task-definition-family"]
            names = docker.api.inspect_image(container["ImageID"])["RepoDigests"]
            [name] = [name for name in names if name.startswith(address)]
            found[container["Id"]] = (service, name.removeprefix(address))
    return found
