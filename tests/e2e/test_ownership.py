"""Who owns what of a service that infrastructure/service.yaml makes: Tidegate the image, `tidegate scale` the count,
the stack everything else. Neither takes from the other."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

import pytest
from tidegate.domain.outcome import Outcome
from tidegate_local import sample
from tidegate_local.sample import Build

from tests.e2e.own_system import OwnSystem
from tests.e2e.support import ROOT, SampleCloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

STACK_SECONDS = 60.0
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


@dataclass(frozen=True)
class Owned:
    """A system of one service whose stack registers what it runs, and how many."""

    cloud: SampleCloud
    system: OwnSystem
    url: str
    place: dict[str, str]

    @classmethod
    def make(cls, cloud: SampleCloud) -> Owned:
        name = f"owned-{secrets.token_hex(2)}"
        manifest = {
            "system": name,
            "images": {"app": {"repository": sample.REPOSITORY}},
            "services": {"api": {"service": f"{name}-api", "image": "app"}},
            "environments": {"production": {"region": sample.REGION, "cluster": name}},
        }
        s3, ec2 = cloud.client("s3"), cloud.client("ec2")
        s3.create_bucket(Bucket=name)
        template = (ROOT / "infrastructure" / "service.yaml").read_bytes()
        s3.put_object(Bucket=name, Key="service.yaml", Body=template)
        subnets = ec2.describe_subnets()["Subnets"]
        place = {"VpcId": subnets[0]["VpcId"], "SubnetIds": subnets[0]["SubnetId"]}
        made = cls(
            cloud, OwnSystem(cloud, manifest), f"{cloud.cloud.endpoint_url}/{name}/service.yaml", place
        )
        made._change("create_stack", note="one", days=7)
        cloud.ports.registry.put_manifest(name, "production", manifest)
        return made

    def redeploy(self, note: str, days: int) -> None:
        """The stack with that variable of the container, and logs that are kept so long."""
        self._change("update_stack", note=note, days=days)

    def released(self, note: str) -> Build:
        """A build that has succeeded here."""
        build = self.cloud.push(note)
        event = build.event("ci")
        event["detail"] |= {"system": self.system.name, "environment": "production"}
        self.cloud.put_event(event)

        def look() -> Any:
            history = self.cloud.ledger.history(self.system.name, "production", 20)
            return next((one for one in history if one.commit == build.commit and one.outcome), None)

        done = wait_until(look, what=f"the release of {note}", seconds=90, pause=0.2)
        assert done.outcome is Outcome.SUCCEEDED, done.explanation
        return build

    def runs(self) -> tuple[str, str, int]:
        """Digest of the image, the variable, the count: of the task definition that ECS runs, by ECS's word."""
        service = self.system.settle()["api"]
        described = self.cloud.client("ecs").describe_task_definition(
            taskDefinition=service["taskDefinition"]
        )
        [container] = described["taskDefinition"]["containerDefinitions"]
        variables = {entry["name"]: entry["value"] for entry in container["environment"]}
        return container["image"].rpartition("@")[2], variables["NOTE"], service["desiredCount"]

    def _change(self, call: str, note: str, days: int) -> None:
        cloudformation, name = self.cloud.client("cloudformation"), self.system.name
        getattr(cloudformation, call)(
            StackName=name,
            TemplateBody=json.dumps(self._template()),
            Parameters=[
                {"ParameterKey": "Note", "ParameterValue": note},
                {"ParameterKey": "Days", "ParameterValue": str(days)},
            ],
            Capabilities=CAPABILITIES,
        )

        def over() -> str | None:
            [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
            return None if stack["StackStatus"].endswith("IN_PROGRESS") else str(stack["StackStatus"])

        status = wait_until(over, what=f"the stack {name}", seconds=STACK_SECONDS)
        assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), status

    def _template(self) -> dict[str, Any]:
        name, registration = self.system.name, f"/tidegate/{self.system.name}/production"
        where = f"{sample.REGION}:000000000000"

        def parameter(path: str, value: str) -> dict[str, Any]:
            properties = {"Name": f"{registration}/{path}", "Type": "String", "Value": value}
            return {"Type": "AWS::SSM::Parameter", "Properties": properties}

        service = {
            **self.place,
            "ServiceName": f"{name}-api",
            "ClusterName": {"Ref": "Cluster"},
            "ContainerName": "api",
            "ImageParameter": {"Ref": "Image"},
            "CountParameter": {"Ref": "Count"},
            "LogGroupName": f"/{name}",
            "LogRetentionDays": {"Ref": "Days"},
            "RepositoryArns": f"arn:aws:ecr:{where}:repository/{sample.REPOSITORY}",
            "EnvironmentName1": "NOTE",
            "EnvironmentValue1": {"Ref": "Note"},
        }
        return {
            "Parameters": {"Note": {"Type": "String"}, "Days": {"Type": "String"}},
            "Resources": {
                "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": name}},
                "Image": parameter("image/app", "public.ecr.aws/nginx/nginx:stable-alpine"),
                "Count": parameter("count/api", "2"),
                "Api": {
                    "Type": "AWS::CloudFormation::Stack",
                    "Properties": {"TemplateURL": self.url, "Parameters": service},
                },
            },
        }


def test_a_stack_update_and_a_release_leave_each_other_alone(cloud: SampleCloud) -> None:
    """Guards the dynamic reference in service.yaml, and what a success writes to the parameter."""
    shop = Owned.make(cloud)
    assert shop.runs()[1:] == ("one", 2)
    first = shop.released("first")
    assert shop.runs() == (first.digest, "one", 2)

    shop.redeploy("one", days=14)
    assert shop.runs() == (first.digest, "one", 2), "the release is still what runs"

    shop.redeploy("two", days=14)
    assert shop.runs() == (first.digest, "two", 2), "the stack's change, with the release's image"
    second = shop.released("second")
    assert shop.runs() == (second.digest, "two", 2), "both are there"


def test_a_stack_update_leaves_the_count_alone(cloud: SampleCloud) -> None:
    shop = Owned.make(cloud)
    build = shop.released("first")
    name = shop.system.name
    scaled = cloud.command.run("--local", "scale", name, "production", "api", "3", "--wait")
    assert scaled.exit_code == 0, scaled.output + scaled.progress
    assert shop.runs() == (build.digest, "one", 3)
    shop.redeploy("two", days=7)
    assert shop.runs() == (build.digest, "two", 3)
    shop.redeploy("two", days=14)
    assert shop.runs() == (build.digest, "two", 3)
