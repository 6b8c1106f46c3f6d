"""AWS::ECS::TaskDefinition and AWS::ECS::Service by way of ECS's API, as AWS's own handlers have it."""

import json
import threading
import time
from typing import Any

from ministack.services import ecs

from tidegate_local.resources import shapes
from tidegate_local.resources.kinds import Attributes, Given, Kind, Made, call

STABLE_SECONDS = 300.0
"""How long a service may take to become steady; CloudFormation gives it three hours."""
_PAUSE = 0.05
_NOT_IN_REQUEST = ("ForceNewDeployment", "PlacementStrategies")  # of other names or types in the API


def _define(props: Given, name: str) -> Made:
    wanted = {"Family": name, **props}
    answer = json.loads(
        call(ecs._register_task_definition, shapes.request("ecs", "RegisterTaskDefinition", wanted))
    )
    arn = str(answer["taskDefinition"]["taskDefinitionArn"])
    return arn, {"TaskDefinitionArn": arn}


def _tag_definition(arn: str, props: Given) -> Attributes:
    """Only tags change in place."""
    ecs._tags[arn] = [{"key": each["Key"], "value": each["Value"]} for each in props.get("Tags", [])]
    return {"TaskDefinitionArn": arn}


def _deregister(arn: str, _props: Given) -> None:
    call(ecs._deregister_task_definition, {"taskDefinition": arn})


def _serve(props: Given, name: str) -> Made:
    wanted = {"ServiceName": name, **_service_request("CreateService", props)}
    # Before the cluster is there, a service of that name would make it.
    made = json.loads(call(ecs._create_service, shapes.request("ecs", "CreateService", wanted)))["service"]
    _become_steady(made["serviceArn"])
    return str(made["serviceArn"]), {"ServiceArn": made["serviceArn"], "Name": made["serviceName"]}


def _serve_otherwise(arn: str, props: Given) -> Attributes:
    """All that UpdateService takes, whether it changed or not; DesiredCount only where the template has it."""
    given = {**_service_request("UpdateService", props), "Service": arn}
    request = shapes.request("ecs", "UpdateService", given)
    # What a template no longer says goes back to what it is without it.
    request.setdefault("loadBalancers", [])
    call(ecs._update_service, request)
    _become_steady(arn)
    return {"ServiceArn": arn, "Name": arn.rpartition("/")[2]}


def _service_request(operation: str, props: Given) -> dict[str, Any]:
    known = {name.lower() for name in shapes.members("ecs", operation)}
    if operation == "CreateService":
        known |= {name.lower() for name in props if name not in _NOT_IN_REQUEST}  # an unknown one is refused
    return {
        name: value for name, value in props.items() if name.lower() in known and name not in _NOT_IN_REQUEST
    }


def _become_steady(arn: str) -> None:
    """Wait for the deployment under way. Raises `ValueError` if it fails, or lasts too long."""
    deadline = time.monotonic() + STABLE_SECONDS
    service = _service(arn)
    if service is None:
        return
    awaited, wanted = (service["deployments"][0].get(name) for name in ("id", "taskDefinition"))
    while time.monotonic() < deadline:
        service = _service(arn)
        if service is None or service["status"] != "ACTIVE":
            return
        entries = list(service["deployments"])
        # One that was overtaken is gone; then the newest counts, unless it goes back.
        own = next((entry for entry in entries if entry.get("id") == awaited), entries[0])
        if own["rolloutState"] == "FAILED" or own["taskDefinition"] != wanted:
            # AWS's words.
            raise ValueError(
                "Resource handler returned message: \"Error occurred during operation 'ECS Deployment Circuit "
                "Breaker was triggered'.\""
            )
        if own["rolloutState"] == "COMPLETED":
            return
        threading.Event().wait(_PAUSE)
    raise ValueError(f"Service {arn} did not stabilize in {STABLE_SECONDS:g} s")


def _service(arn: str) -> Any:
    return next((each for each in ecs._services.values() if each["serviceArn"] == arn), None)


def _end(arn: str, _props: Given) -> None:
    service = _service(arn)
    if service is not None and service["status"] == "ACTIVE":
        call(ecs._delete_service, {"cluster": service["clusterArn"], "service": arn, "force": True})


DEFINITION = Kind(
    _define,
    _tag_definition,
    _deregister,
    (
        "ContainerDefinitions", "Cpu", "EnableFaultInjection", "EphemeralStorage", "ExecutionRoleArn", "Family",
        "InferenceAccelerators", "IpcMode", "Memory", "NetworkMode", "PidMode", "PlacementConstraints",
        "ProxyConfiguration", "RequiresCompatibilities", "RuntimePlatform", "TaskRoleArn", "Volumes",
    ),
)  # fmt: skip
SERVICE = Kind(_serve, _serve_otherwise, _end, ("Cluster", "Role", "SchedulingStrategy", "ServiceName"))
