"""The records MiniStack keeps of services, deployments and tasks, and what is added to them.

MiniStack stores what its API answers as plain dictionaries and hides keys that begin with `_`; that is
where this simulation keeps what ECS knows but does not show.
"""

import math
import secrets
from typing import Any, TypeAlias

from ministack.core.responses import new_uuid
from ministack.services import ecs

Record: TypeAlias = dict[str, Any]

LIVE = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING")
EVENTS_KEPT = 100  # DescribeServices returns the newest 100


def now() -> str:
    """ISO 8601 with milliseconds, as MiniStack keeps times."""
    return str(ecs._iso())


def breaker(service: Record) -> Record:
    """The circuit breaker's settings; empty when it was never set."""
    found: Record = (service.get("deploymentConfiguration") or {}).get("deploymentCircuitBreaker") or {}
    return found


def failure_threshold(service: Record) -> int:
    """Failed tasks at which the circuit breaker opens.

    Default: half the desired count, at least 3 and at most 200 (ECS developer guide, "How the Amazon
    ECS deployment circuit breaker detects failures"); `thresholdConfiguration` overrides it.
    """
    config = breaker(service).get("thresholdConfiguration") or {}
    kind, value = config.get("type", "BOUNDED_PERCENT"), config.get("value", 50)
    if kind == "COUNT":
        return max(1, int(value))
    share = math.ceil(float(value) * int(service["desiredCount"]) / 100)
    return max(1, share) if kind == "UNBOUNDED_PERCENT" else min(200, max(3, share))


def primary(service: Record) -> Record:
    """The newest deployment: the one ECS works towards."""
    return next(entry for entry in service["deployments"] if entry["status"] == "PRIMARY")


def new_deployment_id() -> str:
    """`ecs-svc/` and 19 digits, as ECS writes it."""
    return f"ecs-svc/{secrets.randbelow(9 * 10**18) + 10**18}"


def say(service: Record, message: str) -> None:
    """Add to `service.events`, newest first."""
    service["events"].insert(
        0, {"id": new_uuid(), "createdAt": now(), "message": f"(service {service['serviceName']}) {message}"}
    )
    del service["events"][EVENTS_KEPT:]


def tasks_of(service: Record) -> list[Record]:
    """Every task of the service, stopped ones included, oldest first."""
    group, cluster = f"service:{service['serviceName']}", service["clusterArn"]
    return [
        task
        for task in ecs._tasks.values()
        if task.get("group") == group and task.get("clusterArn") == cluster
    ]


def belongs_to_service(task: Record) -> bool:
    """Whether the service scheduler started it; others were started by RunTask."""
    return str(task.get("group", "")).startswith("service:")


def live(tasks: list[Record], deployment_id: str | None = None) -> list[Record]:
    """Those that were not stopped, of one deployment or of all."""
    return [
        task
        for task in tasks
        if task["lastStatus"] in LIVE and deployment_id in (None, task.get("_deployment_id"))
    ]


def recount(service: Record) -> None:
    """Bring `runningCount` and `pendingCount` of the service and its deployments up to date."""
    tasks = live(tasks_of(service))
    for holder, own in [(service, tasks)] + [
        (entry, live(tasks, entry["id"])) for entry in service["deployments"]
    ]:
        holder["runningCount"] = sum(task["lastStatus"] == "RUNNING" for task in own)
        holder["pendingCount"] = len(own) - holder["runningCount"]
