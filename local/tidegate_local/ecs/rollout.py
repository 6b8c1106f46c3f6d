"""ECS's arithmetic for one service: which tasks to start and stop, when a deployment is over.

Written after the ECS developer guide ("Deploy Amazon ECS services by replacing tasks" and "How the
Amazon ECS deployment circuit breaker detects failures"). Every function is called with the ECS lock held
and inside the service's account and region.
"""

import json
import math
import time
from dataclasses import dataclass

from ministack.services import ecs

from tidegate_local.ecs import container_secrets, service_deployments
from tidegate_local.ecs.announcements import Outbox
from tidegate_local.ecs.balancing import Balancing
from tidegate_local.ecs.records import (
    Record,
    breaker,
    failure_threshold,
    live,
    new_deployment_id,
    now,
    primary,
    recount,
    say,
    tasks_of,
)
from tidegate_local.ecs.tasks import Tasks
from tidegate_local.faults import Fault, FaultBoard
from tidegate_local.settings import Pace

LONGEST_BACK_OFF = 5.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a step needs beside the service."""

    board: FaultBoard
    pace: Pace
    outbox: Outbox
    tasks: Tasks
    balancing: Balancing

    def step(self, service: Record) -> bool:
        """Bring the service one step further; True while something is still moving."""
        for entry in reversed(service["deployments"]):
            if "_opened" not in entry:
                self._open(service, entry)
        self.balancing.observe(service)
        for task in tasks_of(service):
            self._advance(service, task)
        current = primary(service)
        if current["rolloutState"] == "IN_PROGRESS":
            self._judge(service, current)
        current = primary(service)
        self._balance(service, current)
        self._forget_replaced(service, current)
        recount(service)
        if current["rolloutState"] == "IN_PROGRESS" and self._steady(service, current):
            self._complete(service, current)
        self._tell_steady(service, current)
        self.balancing.publish(service)
        own = live(tasks_of(service))
        lacks = current["rolloutState"] != "FAILED" and len(own) < service["desiredCount"]
        return (
            current["rolloutState"] == "IN_PROGRESS" or lacks or any(not task.get("_healthy") for task in own)
        )

    def abandon(self, service: Record, reason: str) -> None:
        """Fail the deployment under way and go back, as StopServiceDeployment asks."""
        self._fail(service, primary(service), reason, roll_back=True)

    # -- deployments -------------------------------------------------------------------------------

    def _open(self, service: Record, deployment: Record, *, rolls_back_to: str | None = None) -> None:
        fault = self.board.of(service["serviceName"])
        returns = deployment["taskDefinition"] == service.get("_completed", {}).get("taskDefinition")
        deployment.update(
            id=new_deployment_id(),
            rolloutState="IN_PROGRESS",
            updatedAt=now(),
            _opened=True,
            _fault_prone=fault is not None and (fault.all or fault.unless is not None or not returns),
            _rollback=rolls_back_to is not None,
            _next_launch=0.0,
        )
        deployment["rolloutStateReason"] = (
            f"ECS deployment circuit breaker: rolling back to deploymentId {rolls_back_to}."
            if rolls_back_to
            else f"ECS deployment {deployment['id']} in progress."
        )
        if not rolls_back_to:
            service_deployments.opened(service, deployment)
        self.outbox.deployment(service, deployment)

    def _judge(self, service: Record, deployment: Record) -> None:
        if breaker(service).get("enable") and deployment["failedTasks"] >= failure_threshold(service):
            self._fail(
                service,
                deployment,
                "ECS deployment circuit breaker: tasks failed to start.",
                roll_back=bool(breaker(service).get("rollback")),
            )

    def _fail(self, service: Record, deployment: Record, reason: str, *, roll_back: bool) -> None:
        deployment.update(rolloutState="FAILED", rolloutStateReason=reason, desiredCount=0, updatedAt=now())
        say(service, f"(deployment {deployment['id']}) deployment failed: tasks failed to start.")
        self.outbox.deployment(service, deployment)
        for task in live(tasks_of(service), deployment["id"]):
            self._stop(task, deployment)
        completed = service.get("_completed")
        goes_back = roll_back and completed is not None and not deployment["_rollback"]
        service_deployments.failed(service, reason, goes_back=goes_back, was_rollback=deployment["_rollback"])
        if completed is None or not goes_back:
            return
        deployment["status"] = "ACTIVE"
        replacement = {key: value for key, value in deployment.items() if not key.startswith("_")}
        replacement.update(
            status="PRIMARY",
            taskDefinition=completed["taskDefinition"],
            desiredCount=service["desiredCount"],
            failedTasks=0,
            createdAt=now(),
        )
        service["deployments"].insert(0, replacement)
        service["taskDefinition"] = completed["taskDefinition"]
        say(service, f"rolling back to deployment {completed['id']}.")
        self._open(service, replacement, rolls_back_to=completed["id"])

    def _steady(self, service: Record, deployment: Record) -> bool:
        own = live(tasks_of(service), deployment["id"])
        return len(own) == service["desiredCount"] and all(task.get("_healthy") for task in own)

    def _complete(self, service: Record, deployment: Record) -> None:
        deployment.update(
            rolloutState="COMPLETED",
            rolloutStateReason=f"ECS deployment {deployment['id']} completed.",
            updatedAt=now(),
            _fault_prone=False,
        )
        service["_completed"] = {"id": deployment["id"], "taskDefinition": deployment["taskDefinition"]}
        for task in live(tasks_of(service)):
            if task["_deployment_id"] != deployment["id"]:
                self._stop(task, deployment)
        service["deployments"] = [deployment]
        recount(service)
        say(service, f"(deployment {deployment['id']}) deployment completed.")
        service_deployments.completed(service, was_rollback=deployment["_rollback"])
        self.outbox.deployment(service, deployment)

    def _tell_steady(self, service: Record, current: Record) -> None:
        """Once for each deployment and count: ECS itself says it now and again."""
        if current["rolloutState"] != "COMPLETED" or not self._steady(service, current):
            service["_steady_at"] = None
            return
        reached = (current["id"], service["desiredCount"])
        if service.get("_steady_at") != reached:
            service["_steady_at"] = reached
            say(service, "has reached a steady state.")
            self.outbox.steady(service)

    def _forget_replaced(self, service: Record, current: Record) -> None:
        # A deployment that was overtaken leaves the list with its last task; one that failed is still
        # shown while the service goes back.
        held = {task["_deployment_id"] for task in live(tasks_of(service))}
        service["deployments"] = [
            entry
            for entry in service["deployments"]
            if entry is current
            or entry["id"] in held
            or (entry["rolloutState"] == "FAILED" and current["rolloutState"] == "IN_PROGRESS")
        ]

    # -- tasks -------------------------------------------------------------------------------------

    def _advance(self, service: Record, task: Record) -> None:
        deployment = next((e for e in service["deployments"] if e["id"] == task["_deployment_id"]), None)
        change = self.tasks.advance(task, self._fault_of(service, deployment, task))
        if deployment is None:
            return
        if change == "failed":
            deployment["failedTasks"] += 1
            deployment["updatedAt"] = now()
        if change in ("failed", "ended"):
            self._hold_back(service, deployment)
        if change == "healthy" and breaker(service).get("resetOnHealthyTask", True):
            deployment["failedTasks"] = 0

    def _fault_of(self, service: Record, deployment: Record | None, task: Record) -> Fault | None:
        prone = deployment is not None and deployment.get("_fault_prone")
        fault = self.board.of(service["serviceName"]) if prone else None
        if fault is None or fault.unless is None:
            return fault
        # A task reads its secrets when it starts, and never again.
        held = task.setdefault("_held", container_secrets.current_version(fault.unless.secret))
        return None if held == fault.unless.version else fault

    def _hold_back(self, service: Record, deployment: Record) -> None:
        # ECS restarts failing tasks ever more slowly ("service throttle logic"). With the circuit breaker
        # on, the wait stays short so that the threshold is reached soon.
        deployment["_ends"] = deployment.get("_ends", 0) + 1
        at_work = breaker(service).get("enable") and deployment["rolloutState"] == "IN_PROGRESS"
        longest = self.pace.steady if at_work else LONGEST_BACK_OFF
        wait = min(self.pace.tick * 2 ** min(deployment["_ends"], 10), longest)
        deployment["_next_launch"] = time.monotonic() + wait

    def _balance(self, service: Record, current: Record) -> None:
        if current["rolloutState"] == "FAILED":
            return
        everything = live(tasks_of(service))
        own = [task for task in everything if task["_deployment_id"] == current["id"]]
        others = [task for task in everything if task["_deployment_id"] != current["id"]]
        desired = service["desiredCount"]
        for task in own[desired:]:
            self._stop(task, current)
        over = current["rolloutState"] == "COMPLETED" or desired == 0
        for task in others:
            if over or task["lastStatus"] == "PENDING":
                self._stop(task, current)
        others = live(others)
        missing = desired - len(own)
        if missing > 0 and time.monotonic() >= current["_next_launch"]:
            count = min(missing, self._make_room(service, current, own, others))
            if count > 0:
                self._launch(service, current, count)

    def _make_room(self, service: Record, current: Record, own: list[Record], others: list[Record]) -> int:
        """How many tasks may be started, after old ones were stopped where the percentages ask for it."""
        desired = int(service["desiredCount"])
        limits = service.get("deploymentConfiguration") or {}
        most = max(1, desired * int(limits.get("maximumPercent", 200)) // 100)
        fewest = math.ceil(desired * int(limits.get("minimumHealthyPercent", 100)) / 100)
        room = most - len(own) - len(others)
        lacking = desired - len(own) - room
        healthy = sum(bool(task.get("_healthy")) for task in own) + len(others)
        for task in others[: max(0, min(lacking, healthy - fewest))]:
            self._stop(task, current)
            room += 1
        return room

    def _launch(self, service: Record, deployment: Record, count: int) -> None:
        answer = ecs._run_task(
            {
                "cluster": service["clusterArn"],
                "taskDefinition": deployment["taskDefinition"],
                "count": count,
                "group": f"service:{service['serviceName']}",
                "startedBy": deployment["id"],
                "launchType": service.get("launchType"),
                "capacityProviderStrategy": service.get("capacityProviderStrategy"),
                "platformVersion": service.get("platformVersion", ""),
                "networkConfiguration": service.get("networkConfiguration", {}),
                "enableExecuteCommand": service.get("enableExecuteCommand", False),
                "_deploymentId": deployment["id"],
            }
        )
        started = json.loads(answer[2]).get("tasks", [])
        if not started:
            deployment["_next_launch"] = time.monotonic() + LONGEST_BACK_OFF
            say(service, "was unable to place a task.")
            return
        names = " ".join(f"(task {task['taskArn'].rsplit('/', 1)[-1]})" for task in started)
        say(service, f"has started {len(started)} tasks: {names}.")

    def _stop(self, task: Record, deployment: Record) -> None:
        self.tasks.stop(
            task,
            code="ServiceSchedulerInitiated",
            reason=f"Scaling activity initiated by (deployment {deployment['id']})",
        )
