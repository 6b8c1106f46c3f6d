"""The sample system in the embedded cloud: its stack, and the images of its releases."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate_local.images import publish
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import LocalError
from tidegate_local.lifecycle.processes import wait_until

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecs import ECSClient

SYSTEM, ENVIRONMENT, REGION = "sample", "production", "us-east-1"
STACK = CLUSTER = "sample"
REPOSITORY = "sample-app"
SERVICES = ("sample-api", "sample-worker")
STACK_SECONDS = 60.0
SETTLE_SECONDS = 60.0

_DONE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})


@dataclass(frozen=True, slots=True)
class Build:
    """What a CI would have made of one commit."""

    commit: str
    digest: str

    def event(self, actor: str) -> dict[str, Any]:
        """The `Image Published` event a CI sends, in EventBridge's shape."""
        return {
            "source": "tidegate.ci",
            "detail-type": "Image Published",
            "detail": {
                "system": SYSTEM,
                "environment": ENVIRONMENT,
                "commit": self.commit,
                "images": {"app": {"digest": self.digest}},
                "actor": actor,
            },
        }


def folder(checkout: Checkout) -> Path:
    """Where its template and its manifest are."""
    return checkout.root / "systems" / "sample"


def deploy(
    checkout: Checkout,
    cloudformation: Any,
    ecs: "ECSClient",
    image: str | None = None,
    secret: str | None = None,
) -> bool:
    """Create its stack and wait until its services run; False if it was there already.

    `cloudformation` and `ecs` are boto3 clients of the embedded cloud; `image` is what the services run before the
    first release, where that is to be another than the template says. `secret` is the ARN of the one that they take: a
    stack that is there without it is updated, and its services run `image` again. Raises `LocalError`.
    """
    there = _status(cloudformation) in _DONE
    given = {"Image": image, "DatabaseSecret": secret}
    wanted = {name: value for name, value in given.items() if value is not None}
    if not there or (secret is not None and _parameters(cloudformation).get("DatabaseSecret") != secret):
        change = cloudformation.update_stack if there else cloudformation.create_stack
        change(
            StackName=STACK,
            TemplateBody=(folder(checkout) / "template.yaml").read_text(),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in wanted.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
    if not wait_until(lambda: _created(cloudformation), seconds=STACK_SECONDS):
        raise LocalError(f"stack {STACK} is not there after {STACK_SECONDS:g} s")
    # CloudFormation waits for this on AWS: before it there is no deployment to go back to.
    if not wait_until(lambda: settled(ecs), seconds=SETTLE_SECONDS):
        raise LocalError(f"the services of stack {STACK} do not run after {SETTLE_SECONDS:g} s")
    return not there


def settled(ecs: "ECSClient") -> bool:
    """Whether each of its services runs one completed deployment."""
    services = ecs.describe_services(cluster=CLUSTER, services=list(SERVICES))["services"]
    states = [[d.get("rolloutState") for d in service["deployments"]] for service in services]
    return len(states) == len(SERVICES) and all(state == ["COMPLETED"] for state in states)


def push(ecr: "ECRClient", note: str) -> Build:
    """Commit something and have its image built: a new commit each time, as in life."""
    commit = secrets.token_hex(20)
    return Build(commit, publish(ecr, REPOSITORY, commit, f"{note}\n{commit}\n"))


def _created(cloudformation: Any) -> bool:
    status = _status(cloudformation) or "missing"
    if status in _DONE:
        return True
    if status.endswith("_IN_PROGRESS"):
        return False
    raise LocalError(
        f"stack {STACK} is {status}",
        hint=f"delete it and try again: sam delete --stack-name {STACK}",
    )


def _parameters(cloudformation: Any) -> dict[str, str]:
    described = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0].get("Parameters", [])
    return {entry["ParameterKey"]: entry["ParameterValue"] for entry in described}


def _status(cloudformation: Any) -> str | None:
    listed = cloudformation.get_paginator("list_stacks").paginate()
    found = [stack for page in listed for stack in page["StackSummaries"] if stack["StackName"] == STACK]
    statuses = [str(stack["StackStatus"]) for stack in found if stack["StackStatus"] != "DELETE_COMPLETE"]
    return statuses[0] if statuses else None
