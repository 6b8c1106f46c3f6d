"""Service deployments: what DescribeServiceDeployments knows of a deployment and its rollback as one.

MiniStack answers an empty list. Statuses from the ECS API model (`ServiceDeploymentStatus`). ECS keeps
them for 90 days; here the newest of each service are kept.
"""

from ministack.core.responses import get_account_id, get_region, new_uuid

from tidegate_local.ecs.records import Record, now

KEPT = 20
OPEN = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")


def opened(service: Record, deployment: Record) -> None:
    """A deployment was started; one that was still under way is over with it."""
    history = service.setdefault("_service_deployments", [])
    if history and history[0]["status"] in OPEN:
        _end(service, "STOPPED", "Service deployment stopped: a newer deployment was started.")
    cluster = service["clusterArn"].rsplit("/", 1)[-1]
    identity = f"{get_region()}:{get_account_id()}:service-deployment/{cluster}/{service['serviceName']}"
    moment = now()
    history.insert(
        0,
        {
            "serviceDeploymentArn": f"arn:aws:ecs:{identity}/{new_uuid().replace('-', '')[:21]}",
            "serviceArn": service["serviceArn"],
            "clusterArn": service["clusterArn"],
            "createdAt": moment,
            "startedAt": moment,
            "updatedAt": moment,
            "status": "IN_PROGRESS",
            "deploymentConfiguration": service.get("deploymentConfiguration") or {},
            "_deployment_id": deployment["id"],
        },
    )
    del history[KEPT:]
    service["currentServiceDeployment"] = history[0]["serviceDeploymentArn"]


def completed(service: Record, *, was_rollback: bool) -> None:
    """The deployment, or the rollback it had become, reached a steady state."""
    _end(service, "ROLLBACK_SUCCESSFUL" if was_rollback else "SUCCESSFUL", None)


def failed(service: Record, reason: str, *, goes_back: bool, was_rollback: bool) -> None:
    """The deployment failed, and a rollback of it begins if `goes_back`."""
    if goes_back:
        service["_service_deployments"][0].update(
            status="ROLLBACK_IN_PROGRESS",
            statusReason=reason,
            updatedAt=now(),
            rollback={"reason": reason, "startedAt": now()},
        )
    else:
        _end(service, "ROLLBACK_FAILED" if was_rollback else "STOPPED", reason)


def find(service: Record, arn: str) -> Record | None:
    """The service deployment with this ARN."""
    history: list[Record] = service.get("_service_deployments", [])
    return next((entry for entry in history if entry["serviceDeploymentArn"] == arn), None)


def _end(service: Record, status: str, reason: str | None) -> None:
    entry = service["_service_deployments"][0]
    moment = now()
    entry.update(status=status, updatedAt=moment, finishedAt=moment)
    if reason is not None:
        entry.update(statusReason=reason, stoppedAt=moment)
