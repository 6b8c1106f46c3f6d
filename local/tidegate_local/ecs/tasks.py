"""One task: how it is started, becomes healthy, ends and is stopped.

States and times follow the ECS developer guide, "Amazon ECS task lifecycle"; the stop codes and reasons
are those DescribeTasks shows on AWS.
"""

import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ministack.services import ecs

from tidegate_local.ecs.announcements import Outbox
from tidegate_local.ecs.console import write_crash
from tidegate_local.ecs.records import Record, belongs_to_service, now
from tidegate_local.ecs.runtime import TaskRuntime
from tidegate_local.faults import Fault
from tidegate_local.settings import Pace

Change: TypeAlias = Literal["none", "healthy", "failed", "ended"]
EXITED = ("EssentialContainerExited", "Essential container in task exited")
UNFIT = ("ServiceSchedulerInitiated", "Task failed ELB health checks")
UNHEALTHY = ("ServiceSchedulerInitiated", "Task failed container health checks")


@dataclass(frozen=True, slots=True)
class Tasks:
    """Moves tasks. Every method is called with the ECS lock held and inside the task's account and region."""

    pace: Pace
    outbox: Outbox
    runtime: TaskRuntime

    def begin(self, task: Record) -> None:
        """Take a task that MiniStack registered as RUNNING back to where ECS begins: PENDING."""
        task.update(
            lastStatus="PENDING",
            startedAt=None,
            pullStartedAt=now(),
            pullStoppedAt=None,
            stopCode=None,
            stoppedReason=None,
            _healthy=False,
            _begun=False,
            _due=time.monotonic() + self.pace.start,
        )
        for container in task["containers"]:
            container["lastStatus"] = "PENDING"
        self.outbox.task(task)

    def advance(self, task: Record, fault: Fault | None) -> Change:
        """One step: `failed` before it was ever healthy, `ended` after that."""
        if task["lastStatus"] == "PENDING":
            return self._advance_pending(task, fault)
        if task["lastStatus"] == "RUNNING":
            return self._advance_running(task, fault)
        if task["lastStatus"] == "STOPPING" and self.runtime.look(task).phase == "gone":
            self._stopped(task)
        return "none"

    def stop(
        self, task: Record, *, code: str, reason: str, kill: bool = False, exit_code: int | None = None
    ) -> None:
        """Stop it; nothing happens if that was begun already. `exit_code` stands for the containers' own."""
        if task["lastStatus"] in ("STOPPING", "STOPPED"):
            return
        ecs._bump_task_version(task)
        task.update(
            lastStatus="STOPPING",
            desiredStatus="STOPPED",
            stoppingAt=now(),
            stopCode=code,
            stoppedReason=reason,
            _exit_code=exit_code,
        )
        if self.runtime.end(task, kill=kill):
            self._stopped(task)
        else:
            self.outbox.task(task)

    def _advance_pending(self, task: Record, fault: Fault | None) -> Change:
        if time.monotonic() < task["_due"] or (fault is not None and fault.mode == "hang"):
            return "none"
        if not task["_begun"]:
            task["_begun"] = True
            self.runtime.start(task)
        sight = self.runtime.look(task)
        if sight.phase == "failed":
            for container in task["containers"]:
                container["reason"] = sight.reason
            self.stop(task, code="TaskFailedToStart", reason=sight.reason, kill=True)
            return "failed"
        if sight.phase != "starting":
            self._run(task, crashes=fault is not None)
        return "none"

    def _run(self, task: Record, *, crashes: bool) -> None:
        moment = now()
        ecs._bump_task_version(task)
        task.update(
            lastStatus="RUNNING",
            startedAt=moment,
            pullStoppedAt=moment,
            _due=time.monotonic() + (self.pace.steady / 2 if crashes else self.pace.steady),
        )
        for container in task["containers"]:
            container["lastStatus"] = "RUNNING"
        self.runtime.entered_running(task)
        self.outbox.task(task)

    def _advance_running(self, task: Record, fault: Fault | None) -> Change:
        due = time.monotonic() >= task["_due"]
        if due and fault is not None and fault.mode == "crash" and not task["_healthy"]:
            write_crash(task, fault.exit_code)
            code, reason = EXITED
            self.stop(task, code=code, reason=reason, kill=True, exit_code=fault.exit_code)
            return "failed"
        sight = self.runtime.look(task)
        if sight.health != task["healthStatus"]:
            ecs._bump_task_version(task)
            task["healthStatus"] = sight.health
            self.outbox.task(task)
        if sight.phase == "exited":
            return self._over(task, *EXITED)
        if sight.health == "UNHEALTHY" and belongs_to_service(task):
            return self._over(task, *UNHEALTHY)
        if task.get("_target") == "unhealthy":
            return self._over(task, *UNFIT)
        fit = sight.fit and task.get("_target", "healthy") == "healthy"
        if due and fit and not task["_healthy"]:
            task["_healthy"] = True
            return "healthy"
        return "none"

    def _over(self, task: Record, code: str, reason: str) -> Change:
        self.stop(task, code=code, reason=reason)
        return "ended" if task["_healthy"] else "failed"

    def _stopped(self, task: Record) -> None:
        moment = now()
        ecs._bump_task_version(task)
        self.runtime.entered_stopped(task)
        task.update(
            lastStatus="STOPPED", executionStoppedAt=moment, stoppedAt=moment, _stopped_at=time.monotonic()
        )
        for container in task["containers"]:
            container["lastStatus"] = "STOPPED"
            if task["_exit_code"] is not None:
                container["exitCode"] = task["_exit_code"]
        self.outbox.task(task)
