"""Tasks whose containers are real: the runtime of an embedded cloud with a Docker engine.

Docker is asked from threads, never with the ECS lock held: an engine may take its time, and pulls its images from
this very process. What came of it is written into a `Run` and read by the scheduler.
"""

import copy
import threading
from collections.abc import Callable
from typing import Any

import docker
from ministack.core.responses import get_account_id, get_region
from ministack.services import ecs

from tidegate_local import engine
from tidegate_local.ecs import container_secrets
from tidegate_local.ecs.container_run import Run
from tidegate_local.ecs.records import Record
from tidegate_local.ecs.runtime import Sight, interface
from tidegate_local.seam import expect
from tidegate_local.settings import Settings

CLOSE_SECONDS = 3.0


class Containers:
    """A `TaskRuntime`."""

    answers = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wake: Callable[[], None] = lambda: None
        self._runs: dict[str, Run] = {}
        self._closing = threading.Event()
        # Followers of logs and waits for exits have no time-out: what they wait for may take for ever.
        self._docker: Any = docker.APIClient(settings.docker_host, timeout=None, max_pool_size=64)
        container_secrets.check_fit()
        expect(ecs, "_awslogs_config", signature="(cdef, task_id, container_id)")

    def open(self, wake: Callable[[], None]) -> None:
        """Containers that are there are of a process that was killed; their images do no harm."""
        self._wake = wake
        engine.sweep_containers(self._settings.docker_host, cloud_id=self._settings.cloud_id)

    def start(self, task: Record) -> None:
        """Secrets, images, containers: in a thread."""
        key = task["taskDefinitionArn"].rpartition("/")[2]
        run = Run(
            docker=self._docker,
            settings=self._settings,
            # As they are now: the records go on changing.
            task=copy.deepcopy(task),
            definition=copy.deepcopy(ecs._task_defs[key]),
            place=(get_account_id(), get_region()),
            changed=self._wake,
            closing=self._closing,
        )
        self._runs[task["taskArn"]] = run
        run.begin()

    def look(self, task: Record) -> Sight:
        """What its threads found out."""
        run = self._runs.get(task["taskArn"])
        return run.sight() if run is not None else Sight("starting")

    def entered_running(self, task: Record) -> None:
        """The private address, as an elastic network interface where the task has one (awsvpc)."""
        run = self._runs[task["taskArn"]]
        own_interface = task.get("_network_mode") == "awsvpc"
        attached = interface(task, run.address)
        for record in task["containers"]:
            part = run.part(record["name"])
            record.update(runtimeId=part.id, imageDigest=part.digest)
            own = {"privateIpv4Address": part.address}
            if own_interface:
                own = {"attachmentId": attached["id"], "privateIpv4Address": run.address}
            record["networkInterfaces"] = [own]
        if own_interface:
            task["attachments"] = [attached]

    def end(self, task: Record, *, kill: bool) -> bool:
        """SIGTERM, a moment, SIGKILL: in a thread. One that was never started has ended."""
        run = self._runs.get(task["taskArn"])
        if run is None:
            return True
        run.end(kill=kill)
        return False

    def entered_stopped(self, task: Record) -> None:
        """The exit codes Docker tells: 143 or 137 for one that was stopped and had no other answer to it."""
        run = self._runs.pop(task["taskArn"], None)
        if run is None:
            return
        for record in task["containers"]:
            part = run.part(record["name"])
            record["exitCode"] = part.exit_code
            if part.checked:
                record["healthStatus"] = part.health
        for attachment in task.get("attachments") or []:
            attachment["status"] = "DELETED"

    def close(self) -> None:
        """Killed, not stopped: nobody waits for what they would still say."""
        self._closing.set()
        for run in list(self._runs.values()):
            run.joined(CLOSE_SECONDS / max(1, len(self._runs)))
        engine.sweep(
            self._settings.docker_host, cloud_id=self._settings.cloud_id, registry=self._settings.registry
        )
