"""A recipe as a system of its own: pushed, built by the `build` machine, migrated and released, in containers."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tidegate.domain.build import Build
from tidegate.domain.deployment import Deployment
from tidegate_local.lifecycle import environment

from tests.docker import python_image
from tests.docker.orchestrator import Orchestrator
from tests.docker.pushed_system import STAY
from tests.docker.shop import Images, address
from tests.e2e.own_system import OwnSystem
from tests.e2e.pushing import Developer
from tests.e2e.support import ROOT
from tests.recipes.recipe import PASSWORD, RECIPES
from tests.support.scratch import Scratch
from tests.support.waiting import wait_until

STACK_SECONDS = 60.0
_BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@dataclass(frozen=True)
class Credential:
    """Of a database and its user, both named like the system; the password is that of the recipes' tests."""

    engine: str
    host: str
    port: int

    def secret(self, name: str) -> str:
        return json.dumps(
            {
                "engine": self.engine,
                "host": self.host,
                "port": self.port,
                "username": name,
                "password": PASSWORD,
                "dbname": name,
            }
        )


@dataclass(frozen=True)
class MigratingSystem:
    """`name` is everywhere where the recipe says `orders`: system, repository, service, cluster, secret."""

    cloud: Orchestrator
    system: OwnSystem
    developer: Developer

    @classmethod
    def make(
        cls,
        cloud: Orchestrator,
        host: str,
        folder: Path,
        recipe: str,
        name: str,
        credential: Credential,
        variables: Mapping[str, str],
        plain: Mapping[str, str],
    ) -> MigratingSystem:
        """Nothing of it is pushed yet. `variables` of the container name keys of the secret; `plain` are values."""
        source = folder / "source"
        shutil.copytree(RECIPES / recipe, source, ignore=shutil.ignore_patterns("__pycache__"))
        manifest = yaml.safe_load((source / "tidegate.yaml").read_text().replace("orders", name))
        if "secret" in manifest["migrations"]:
            manifest["migrations"]["tls"] = "off"  # the database of the tests has none
        cloud.client("ecr").create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
        base = python_image.build(host, cloud.registry, source / "requirements.txt")
        _make_project(cloud, manifest["images"]["app"]["build"]["project"], name, f"BASE_IMAGE={base}")
        secret = cloud.client("secretsmanager").create_secret(
            Name=f"{name}/production/database", SecretString=credential.secret(name)
        )["ARN"]
        system = OwnSystem(cloud, manifest)
        image = Images(cloud, host).push("by-hand", name, more=STAY)
        _make_service(
            cloud, name, image, {key: f"{secret}:{part}::" for key, part in variables.items()}, plain
        )
        system.settle()
        applied = folder / f"{name}.json"
        applied.write_text(json.dumps(manifest))
        said = cloud.command.run("--local", "apply", str(applied), "--environment", "production", "--json")
        assert said.exit_code == 0, said.output + said.progress
        developer = Developer(cloud, name, Scratch.begin(folder / name, source))
        developer.scratch.commit("first")
        ready = cloud.command.run("local", "push", name, str(developer.scratch.folder), "--prepare")
        assert ready.exit_code == 0, ready.progress
        return cls(cloud, system, developer)

    def push(self, message: str, files: Mapping[str, str]) -> tuple[Build, Deployment]:
        """Commit and `git push local main`; what was built, and the deployment once it has an outcome."""
        commit = self.developer.scratch.commit(message, files)
        self.developer.scratch.git("push", "--quiet", "local", "main")
        build = self.developer.built(commit, seconds=180)
        assert build.deployments, self.show(build.id)
        return build, self.developer.released(build)

    def show(self, what: str) -> dict[str, Any]:
        """`tidegate show`, in which no password is."""
        shown = self.cloud.command.run("--local", "show", what, "--json")
        assert shown.exit_code == 0, shown.progress
        assert PASSWORD not in shown.output
        assert isinstance(shown.document, dict)
        return shown.document

    def health(self) -> dict[str, Any]:
        """What the one task answers, once it does."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def look() -> dict[str, Any] | None:
            tasks = self.system.tasks("api")
            if len(tasks) != 1:
                return None
            try:
                with opener.open(f"http://{address(tasks[0])}/health", timeout=5) as answer:
                    return dict(json.loads(answer.read()))
            except OSError:
                return None

        return wait_until(look, what=f"{self.system.name} to answer", seconds=30)

    def lines(self) -> list[str]:
        """What all its containers have printed, in which no password is."""
        logs, group = self.cloud.client("logs"), f"/{self.system.name}"
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        found = [str(event["message"]) for page in pages for event in page["events"]]
        assert not [line for line in found if PASSWORD in line]
        return found


def _make_project(cloud: Orchestrator, project: str, name: str, arguments: str) -> None:
    """With a base image of ours: `local push` makes what is missing with the sample's."""
    cloudformation = cloud.client("cloudformation")
    parameters = {
        "ProjectName": project,
        "SourceType": "CODECOMMIT",
        "SourceLocation": name,
        "Repositories": name,
        "BuildArguments": arguments,
        "Architecture": environment.architecture(),
        "Branch": "main",
    }
    cloudformation.create_stack(
        StackName=project,
        TemplateBody=(ROOT / "infrastructure" / "build.yaml").read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )

    def made() -> bool:
        [stack] = cloudformation.describe_stacks(StackName=project)["Stacks"]
        assert "FAILED" not in stack["StackStatus"], stack
        return bool(stack["StackStatus"] == "CREATE_COMPLETE")

    wait_until(made, what=f"the stack {project}", seconds=STACK_SECONDS)


def _make_service(
    cloud: Orchestrator, name: str, image: str, secrets: Mapping[str, str], plain: Mapping[str, str]
) -> None:
    """One service `<name>-api` of one container, as the recipe's README says."""
    ecs = cloud.client("ecs")
    ecs.create_cluster(clusterName=name)
    cloud.client("logs").create_log_group(logGroupName=f"/{name}")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = cloud.client("iam").create_role(RoleName=f"{name}-execution", AssumeRolePolicyDocument=policy)
    options = {"awslogs-group": f"/{name}", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "api"}
    definition = ecs.register_task_definition(
        family=f"{name}-api",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        executionRoleArn=role["Role"]["Arn"],
        containerDefinitions=[
            {
                "name": "api",
                "image": image,
                "environment": [{"name": key, "value": value} for key, value in plain.items()],
                "secrets": [{"name": key, "valueFrom": value} for key, value in secrets.items()],
                "logConfiguration": {"logDriver": "awslogs", "options": options},
            }
        ],
    )["taskDefinition"]["taskDefinitionArn"]
    ecs.create_service(
        cluster=name,
        serviceName=f"{name}-api",
        taskDefinition=definition,
        launchType="FARGATE",
        desiredCount=1,
        deploymentConfiguration=_BREAKER,
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )
