"""The events ECS sends about deployments, services and tasks.

Shapes from the ECS developer guide, "Amazon ECS service deployment state change events", "Amazon ECS service action
events" and "Amazon ECS task state change events". MiniStack sends none of them.
"""

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from ministack.core.responses import get_account_id, get_region
from ministack.services import ecs

from tidegate_local.ecs.records import Record, now
from tidegate_local.events import Event, service_event

Deliver: TypeAlias = Callable[..., str]


class Outbox:
    """Collects what happened under the ECS lock and sends it after the lock was let go.

    A rule's target may call ECS at once; sent under the lock, its call would wait for us.
    """

    def __init__(self, deliver: Deliver, *, silent: bool) -> None:
        self._deliver = deliver
        self._silent = silent
        self._waiting: deque[tuple[str, str, Event]] = deque()

    def deployment(self, service: Record, deployment: Record) -> None:
        """`ECS Deployment State Change` for the deployment's present state."""
        state = deployment["rolloutState"]
        self._add(
            "ECS Deployment State Change",
            {
                "eventType": "ERROR" if state == "FAILED" else "INFO",
                "eventName": f"SERVICE_DEPLOYMENT_{state}",
                "clusterArn": service["clusterArn"],
                "deploymentId": deployment["id"],
                "updatedAt": deployment["updatedAt"],
                "reason": deployment["rolloutStateReason"],
            },
            service["serviceArn"],
        )

    def steady(self, service: Record) -> None:
        """`ECS Service Action`: as many tasks run as are to."""
        detail = {
            "eventType": "INFO",
            "eventName": "SERVICE_STEADY_STATE",
            "clusterArn": service["clusterArn"],
            "createdAt": now(),
        }
        self._add("ECS Service Action", detail, service["serviceArn"])

    def task(self, task: Record) -> None:
        """`ECS Task State Change`: the task as DescribeTasks shows it."""
        detail = {key: value for key, value in ecs._sanitize(task).items() if value not in ("", [], {})}
        detail.pop("tags", None)
        self._add("ECS Task State Change", {**detail, "updatedAt": now()}, task["taskArn"])

    def flush(self) -> None:
        """Deliver in order. Call without the ECS lock."""
        while True:
            try:
                account, region, event = self._waiting.popleft()
            except IndexError:
                return
            self._deliver(event, account=account, region=region)

    def _add(self, detail_type: str, detail: Record, resource: str) -> None:
        if not self._silent:
            event = service_event("aws.ecs", detail_type, detail, [resource])
            self._waiting.append((get_account_id(), get_region(), event))
