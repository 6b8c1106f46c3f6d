"""Stacks of a test: deployed, updated and deleted, with what CloudFormation says of them."""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
Template = dict[str, Any]


def name(prefix: str = "shop") -> str:
    """A name of this test's own."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Stack:
    """One stack."""

    cloud: Cloud
    name: str = field(default_factory=name)

    def create(self, template: Template, **parameters: str) -> str:
        """Its status in the end."""
        self._client.create_stack(**self._request(template, parameters))
        return self._over()

    def update(self, template: Template, tags: dict[str, str] | None = None, /, **parameters: str) -> str:
        """Its status in the end."""
        own = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        self._client.update_stack(**self._request(template, parameters), Tags=own)
        return self._over()

    def delete(self) -> str:
        """Its status in the end."""
        described = self.described
        self._client.delete_stack(StackName=self.name)
        return Stack(self.cloud, described["StackId"])._over()

    @property
    def described(self) -> dict[str, Any]:
        return dict(self._client.describe_stacks(StackName=self.name)["Stacks"][0])

    @property
    def outputs(self) -> dict[str, str]:
        return {each["OutputKey"]: each["OutputValue"] for each in self.described.get("Outputs", [])}

    @property
    def failures(self) -> dict[str, str]:
        """Why each resource failed, by logical id; the stack's own name for itself."""
        events = self._client.describe_stack_events(StackName=self.name)["StackEvents"]
        return {
            event["LogicalResourceId"]: event.get("ResourceStatusReason", "")
            for event in events
            if event["ResourceStatus"] in ("CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED")
        }

    def physical_id(self, logical_id: str) -> str:
        """What AWS calls the resource."""
        found = self._client.describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def nested(self, logical_id: str) -> "Stack":
        """A stack of this one."""
        return Stack(self.cloud, self.physical_id(logical_id))

    @property
    def _client(self) -> Any:
        return self.cloud.client("cloudformation")

    def _request(self, template: Template, parameters: dict[str, str]) -> dict[str, Any]:
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        return {
            "StackName": self.name,
            "TemplateBody": json.dumps(template),
            "Parameters": given,
            "Capabilities": CAPABILITIES,
        }

    def _over(self) -> str:
        def status() -> str | None:
            now = str(self.described["StackStatus"])
            return None if now.endswith("_IN_PROGRESS") else now

        return wait_until(status, what=f"the stack {self.name}", seconds=30)


def uploaded(cloud: Cloud, template: Template) -> str:
    """The TemplateURL of a template, each time another."""
    bucket, key = name("templates"), "template.json"
    client = cloud.client("s3")
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key=key, Body=json.dumps(template).encode())
    return f"{cloud.endpoint_url}/{bucket}/{key}"


def resources(**kinds: tuple[str, dict[str, Any]]) -> Template:
    """A template of these resources: `Topic=("AWS::SNS::Topic", {})`."""
    return {"Resources": {each: {"Type": kind, "Properties": given} for each, (kind, given) in kinds.items()}}
