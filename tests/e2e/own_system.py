"""A system of a test's own: its ECR repository, its ECS services, its manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.support import SampleCloud
from tests.support.waiting import wait_until

SETTLES_SECONDS = 60.0
_BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
# A service of the network mode awsvpc has one; a one-off task takes it over.
SUBNET, GROUP = "subnet-0123456789abcdef0", "sg-0123456789abcdef0"
_NETWORK = {"awsvpcConfiguration": {"subnets": [SUBNET], "securityGroups": [GROUP]}}


@dataclass(frozen=True)
class EcsService:
    """Named `<system>-<key>`, of one container; `key` is the manifest's. `secrets` are `valueFrom` by variable."""

    key: str
    desired: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OwnSystem:
    """In one environment `production`, whose ECS cluster has the system's name."""

    cloud: SampleCloud
    manifest: Mapping[str, Any]

    @classmethod
    def make(
        cls,
        cloud: SampleCloud,
        manifest: Mapping[str, Any],
        services: Iterable[EcsService],
        image: str,
        folder: Path | None = None,
    ) -> OwnSystem:
        """Its services run `image` (`repository@digest`); its manifest is applied by `tidegate`, from `folder`, or put
        where that would put it: that is quicker, for a test that makes many."""
        system = cls(cloud, manifest)
        ecs = cloud.client("ecs")
        ecs.create_cluster(clusterName=system.name)
        cloud.client("logs").create_log_group(logGroupName=f"/{system.name}")
        role = system._role()
        for service in services:
            system._make_service(service, image, role)
        system.settle()
        if folder is None:
            cloud.ports.registry.put_manifest(system.name, "production", manifest)
            return system
        path = folder / f"{system.name}.json"
        path.write_text(json.dumps(manifest))
        applied = cloud.command.run("--local", "apply", str(path), "--environment", "production", "--json")
        assert applied.exit_code == 0, applied.output + applied.progress
        return system

    def with_environment(self, environment: str) -> OwnSystem:
        """The system with another environment in the same cluster, whose services are named
        `<system>-<environment>-<key>` and run what those of `production` run now."""
        ecs = self.cloud.client("ecs")
        names = {key: f"{self.name}-{environment}-{key}" for key in self.services}
        for key, definition in self.task_definitions().items():
            ecs.create_service(
                cluster=self.name,
                serviceName=names[key],
                taskDefinition=definition,
                launchType="FARGATE",
                desiredCount=1,
                deploymentConfiguration=_BREAKER,
                networkConfiguration=_NETWORK,
            )
        production = self.manifest["environments"]["production"]
        place = {
            "region": production["region"],
            "cluster": self.name,
            "services": {key: {"service": name} for key, name in names.items()},
        }
        environments = {**self.manifest["environments"], environment: place}
        system = OwnSystem(self.cloud, {**self.manifest, "environments": environments})
        for known in environments:
            self.cloud.ports.registry.put_manifest(self.name, known, system.manifest)
        return system

    @property
    def name(self) -> str:
        return str(self.manifest["system"])

    @property
    def services(self) -> dict[str, str]:
        """Names of the ECS services by the manifest's key."""
        return {key: entry["service"] for key, entry in self.manifest["services"].items()}

    def described(self) -> dict[str, dict[str, Any]]:
        """ECS's word on each service, by the manifest's key."""
        answer = self.cloud.client("ecs").describe_services(
            cluster=self.name, services=list(self.services.values())
        )
        found = {service["serviceName"]: service for service in answer["services"]}
        return {key: found[name] for key, name in self.services.items()}

    def settle(self) -> dict[str, dict[str, Any]]:
        """The services, once each has nothing but one completed deployment."""

        def settled() -> dict[str, dict[str, Any]] | None:
            services = self.described()
            states = [[d["rolloutState"] for d in service["deployments"]] for service in services.values()]
            return services if all(state == ["COMPLETED"] for state in states) else None

        return wait_until(settled, what=f"the services of {self.name} to settle", seconds=SETTLES_SECONDS)

    def task_definitions(self) -> dict[str, str]:
        """What each service runs, by the manifest's key."""
        return {key: service["taskDefinition"] for key, service in self.settle().items()}

    def digests(self) -> dict[str, str]:
        """The digest in what each service runs, by the manifest's key."""
        ecs, found = self.cloud.client("ecs"), {}
        for key, arn in self.task_definitions().items():
            definition = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
            found[key] = str(definition["containerDefinitions"][0]["image"]).rpartition("@")[2]
        return found

    def tasks(self, key: str) -> list[dict[str, Any]]:
        """The tasks of a service that run, and are to go on running."""
        ecs = self.cloud.client("ecs")
        arns = ecs.list_tasks(cluster=self.name, serviceName=self.services[key], desiredStatus="RUNNING")
        if not arns["taskArns"]:
            return []
        return list(ecs.describe_tasks(cluster=self.name, tasks=arns["taskArns"])["tasks"])

    def _make_service(self, service: EcsService, image: str, role: str) -> None:
        name, ecs = self.services[service.key], self.cloud.client("ecs")
        options = {
            "awslogs-group": f"/{self.name}",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": service.key,
        }
        definition = ecs.register_task_definition(
            family=name,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            executionRoleArn=role,
            containerDefinitions=[
                {
                    "name": service.key,
                    "image": image,
                    "environment": [{"name": n, "value": v} for n, v in service.environment.items()],
                    "secrets": [{"name": n, "valueFrom": v} for n, v in service.secrets.items()],
                    "logConfiguration": {"logDriver": "awslogs", "options": options},
                }
            ],
        )["taskDefinition"]["taskDefinitionArn"]
        ecs.create_service(
            cluster=self.name,
            serviceName=name,
            taskDefinition=definition,
            launchType="FARGATE",
            desiredCount=service.desired,
            deploymentConfiguration=_BREAKER,
            networkConfiguration=_NETWORK,
        )

    def _role(self) -> str:
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam = self.cloud.client("iam")
        role = iam.create_role(RoleName=f"{self.name}-execution", AssumeRolePolicyDocument=policy)
        return str(role["Role"]["Arn"])
