"""One simulated task: how it is started, becomes healthy, crashes and is stopped.

States and times follow the ECS developer guide, "Amazon ECS task lifecycle"; the stop codes and reasons
are those DescribeTasks shows on AWS.
"""

import time

from ministack.services import ecs

from tidegate_local.ecs.announcements import Outbox
from tidegate_local.ecs.console import write_crash, write_start
from tidegate_local.ecs.records import Record, now
from tidegate_local.settings import Pace


def begin(task: Record, pace: Pace, outbox: Outbox) -> None:
    """Take a task that MiniStack registered as RUNNING back to where ECS begins: PENDING."""
    task.update(
        lastStatus="PENDING",
        startedAt=None,
        pullStartedAt=now(),
        pullStoppedAt=None,
        stopCode=None,
        stoppedReason=None,
        _healthy=False,
        _due=time.monotonic() + pace.start,
    )
    for container in task["containers"]:
        container["lastStatus"] = "PENDING"
    outbox.task(task)


def run(task: Record, pace: Pace, outbox: Outbox, *, crashes: bool) -> None:
    """PENDING to RUNNING."""
    moment = now()
    ecs._bump_task_version(task)
    task.update(
        lastStatus="RUNNING",
        startedAt=moment,
        pullStoppedAt=moment,
        _due=time.monotonic() + (pace.steady / 2 if crashes else pace.steady),
    )
    for container in task["containers"]:
        container["lastStatus"] = "RUNNING"
    write_start(task)
    outbox.task(task)


def crash(task: Record, exit_code: int, outbox: Outbox) -> None:
    """The essential container exits by itself."""
    write_crash(task, exit_code)
    _stopped(task, "EssentialContainerExited", "Essential container in task exited", exit_code, outbox)


def finish(task: Record, outbox: Outbox) -> None:
    """A task that is no service's has done its work: exit code 0."""
    _stopped(task, "EssentialContainerExited", "Essential container in task exited", 0, outbox)


def stop(task: Record, outbox: Outbox, *, code: str, reason: str) -> None:
    """Stopped from outside. A container that runs is ended by a signal it obeys: exit code 0."""
    _stopped(task, code, reason, 0 if task["lastStatus"] == "RUNNING" else None, outbox)


def _stopped(task: Record, code: str, reason: str, exit_code: int | None, outbox: Outbox) -> None:
    moment = now()
    ecs._bump_task_version(task)
    task.update(
        lastStatus="STOPPED",
        desiredStatus="STOPPED",
        stoppingAt=task.get("stoppingAt") or moment,
        executionStoppedAt=moment,
        stoppedAt=moment,
        stopCode=code,
        stoppedReason=reason,
        _stopped_at=time.monotonic(),
    )
    for container in task["containers"]:
        container["lastStatus"] = "STOPPED"
        if exit_code is not None:
            container["exitCode"] = exit_code
    outbox.task(task)
