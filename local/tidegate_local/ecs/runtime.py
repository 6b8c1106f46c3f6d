"""What a task's containers are made of: nothing (simulated), or containers of a Docker engine."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from ministack.core.responses import new_uuid

from tidegate_local.ecs.console import write_start
from tidegate_local.ecs.records import Record, belongs_to_service

Phase: TypeAlias = Literal["starting", "running", "exited", "failed", "gone"]
Health: TypeAlias = Literal["UNKNOWN", "HEALTHY", "UNHEALTHY"]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a task's containers do now.

    `exited`: an essential one has ended by itself; `failed`: they could not be started, for `reason`; `gone`: the end
    that was asked for is reached. `checked`: the task definition has a health check, whose state is `health`.
    """

    phase: Phase
    reason: str = ""
    checked: bool = False
    health: Health = "UNKNOWN"

    @property
    def fit(self) -> bool:
        """Whether no health check speaks against it, or is still out."""
        return not self.checked or self.health == "HEALTHY"


def interface(task: Record, address: str) -> Record:
    """The attachment of a task with a network interface of its own (awsvpc)."""
    details = [{"name": "privateIPv4Address", "value": address}]
    if task.get("_subnet"):
        details.insert(0, {"name": "subnetId", "value": task["_subnet"]})
    return {"id": new_uuid(), "type": "ElasticNetworkInterface", "status": "ATTACHED", "details": details}


class TaskRuntime(Protocol):
    """Starts and ends the containers of tasks. Called with the ECS lock held: every call returns at once, and the
    scheduler is woken when `look` would say something else."""

    answers: bool
    """Whether there is somebody at the addresses of its tasks."""

    def start(self, task: Record) -> None:
        """Begin to bring up its containers."""

    def look(self, task: Record) -> Sight:
        """What they do now."""

    def entered_running(self, task: Record) -> None:
        """Write into the record what is known since they run, e.g. their addresses."""

    def end(self, task: Record, *, kill: bool) -> bool:
        """Begin to end them, with a signal they may obey unless `kill`. True if that is done already."""

    def entered_stopped(self, task: Record) -> None:
        """Write their exit codes into the record, then forget the task."""

    def open(self, wake: Callable[[], None]) -> None:
        """The cloud begins: what an earlier one left is removed. `wake` has the scheduler look again."""

    def close(self) -> None:
        """The cloud ends: nothing of it stays."""


class Simulated:
    """No containers: tasks run because nothing keeps them from it, and a task that is no service's has done its
    work when it has been up for a moment."""

    answers = False

    def start(self, task: Record) -> None:
        """Nothing to do."""

    def look(self, task: Record) -> Sight:
        """They exit by themselves only where the task is no service's."""
        over = task["lastStatus"] == "RUNNING" and time.monotonic() >= task["_due"]
        return Sight("exited" if over and not belongs_to_service(task) else "running")

    def entered_running(self, task: Record) -> None:
        """One line at start, and an address where nobody is."""
        write_start(task)
        if task.get("_network_mode") == "awsvpc":
            task["attachments"] = [interface(task, f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.9")]

    def end(self, task: Record, *, kill: bool) -> bool:  # noqa: ARG002 -- the shape of the protocol
        """A container that runs is ended by a signal it obeys: exit code 0."""
        for container in task["containers"]:
            container["exitCode"] = 0 if container["lastStatus"] == "RUNNING" else None
        return True

    def entered_stopped(self, task: Record) -> None:
        """Nothing to do."""

    def open(self, wake: Callable[[], None]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""
