"""A system whose image the project of infrastructure/build.yaml builds: its stack, its repositories, a work tree."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate_local.codecommit.repositories import path_of

from tests.integration.local.building_project import Project
from tests.integration.local.pushing_repository import WorkTree
from tests.support.embedded import Cloud

TEMPLATE = Path(__file__).parents[3] / "infrastructure" / "build.yaml"


@dataclass(frozen=True)
class Shop:
    """A stack of build.yaml, its ECR repository, and a work tree whose pushes it builds."""

    cloud: Cloud
    project: Project
    tree: WorkTree

    @classmethod
    def make(cls, cloud: Cloud, folder: Path, **parameters: str) -> "Shop":
        name = f"shop-{uuid.uuid4().hex[:8]}"
        cloud.client("codecommit").create_repository(repositoryName=name)
        cloud.client("ecr").create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
        given = {
            "ProjectName": name,
            "SourceLocation": name,
            "Repositories": name,
            "ImageKey": "app",
            **parameters,
        }
        cloudformation = cloud.client("cloudformation")
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=TEMPLATE.read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        tree = WorkTree.make(folder)
        tree.git("remote", "add", "local", str(path_of(cloud.state_dir, name)))
        return cls(cloud, Project(cloud, name), tree)

    @property
    def name(self) -> str:
        return self.project.name

    def push(self, files: dict[str, str | None]) -> str:
        commit = self.tree.commit(files)
        self.tree.git("push", "local", "main")
        return commit

    def build(self, commit: str, **variables: str) -> dict[str, Any]:
        given = [{"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()]
        return self.project.run(sourceVersion=commit, environmentVariablesOverride=given)

    def images(self) -> dict[str, str]:
        """Digests by tag."""
        found = self.cloud.client("ecr").describe_images(repositoryName=self.name)["imageDetails"]
        return {tag: image["imageDigest"] for image in found for tag in image.get("imageTags", [])}


def exported(build: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in build["exportedEnvironmentVariables"]}
