"""The containers of one task, from the pull of their images to their removal."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import docker.errors
from ministack.core.responses import request_scope
from ministack.services import ecs

from tidegate_local.databases.fronts import trusted_in
from tidegate_local.ecs import container_secrets
from tidegate_local.ecs.container_images import Broken, PullError, provide, told
from tidegate_local.ecs.container_settings import ContainerSettings, of_container
from tidegate_local.ecs.records import Record
from tidegate_local.ecs.runtime import Health, Phase, Sight
from tidegate_local.settings import Settings

logger = logging.getLogger("tidegate.containers")

CHECK_PAUSE = 0.25
RETRY_PAUSE = 0.5
LAST_LINES_SECONDS = 5.0
FILES = {"Name": "nofile", "Soft": 10_000, "Hard": 10_000}
"""What is asked for where the engine may not raise the limit to its own default (a container in a container)."""


class StartError(Exception):
    """The task cannot be started; the message as `stoppedReason` has it on AWS."""


@dataclass(slots=True)
class Part:
    """One container of the task."""

    name: str
    essential: bool
    checked: bool
    stop_seconds: int
    definition: Record
    id: str | None = None
    address: str = ""
    digest: str | None = None
    health: Health = "UNKNOWN"
    exit_code: int | None = None


class Run:
    """Its threads: one brings up, one for each container follows it to its exit, one watches health, one takes down.

    `changed` is called when `sight` would say something else.
    """

    def __init__(
        self,
        *,
        docker: Any,
        settings: Settings,
        task: Record,
        definition: Record,
        place: tuple[str, str],
        changed: Callable[[], None],
        closing: threading.Event,
    ) -> None:
        self._docker = docker
        self._settings = settings
        self._task = task
        self._place = place
        self._changed = changed
        self._closing = closing
        self._ending = threading.Event()
        self._phase: Phase = "starting"
        self._reason = ""
        self._parts = [
            Part(
                name=entry["name"],
                essential=bool(entry.get("essential", True)),
                checked=bool(entry.get("healthCheck")),
                stop_seconds=0,
                definition=entry,
            )
            for entry in definition["containerDefinitions"]
        ]
        self._shares_network = definition.get("networkMode") == "awsvpc"
        self._bringing_up = self._thread(self._bring_up)
        self._followers: list[threading.Thread] = []

    @property
    def address(self) -> str:
        """The task's own, where its containers share one."""
        return next((part.address for part in self._parts if part.address), "")

    def part(self, name: str) -> Part:
        """The container of that name."""
        return next(part for part in self._parts if part.name == name)

    def sight(self) -> Sight:
        """What the containers do now."""
        checks = [part.health for part in self._parts if part.checked and part.essential]
        health: Health = "UNKNOWN"
        if "UNHEALTHY" in checks:
            health = "UNHEALTHY"
        elif checks and all(check == "HEALTHY" for check in checks):
            health = "HEALTHY"
        phase: Phase = self._phase
        if phase == "running" and any(part.essential and part.exit_code is not None for part in self._parts):
            phase = "exited"
        return Sight(phase, self._reason, checked=bool(checks), health=health)

    def begin(self) -> None:
        """Bring them up."""
        self._bringing_up.start()

    def end(self, *, kill: bool) -> None:
        """Take them down, whatever they do now."""
        if not self._ending.is_set():
            self._ending.set()
            self._thread(partial(self._take_down, kill=kill)).start()

    def joined(self, seconds: float) -> None:
        """Wait for what is being created; the cloud is closing."""
        self._ending.set()
        self._bringing_up.join(seconds)

    # -- up ----------------------------------------------------------------------------------------

    def _bring_up(self) -> None:
        try:
            for part in sorted(self._parts, key=lambda part: not part.essential):
                if self._ending.is_set():
                    return
                self._start(part, self._settings_of(part))
            self._phase = "running"
            if any(part.checked for part in self._parts):
                self._thread(self._watch_health).start()
        except (StartError, PullError) as error:
            self._reason, self._phase = str(error), "failed"
        except Broken as error:
            self._reason, self._phase = f"CannotStartContainerError: {told(error)}", "failed"
        except Exception as error:
            # A task must not stay PENDING for ever over a definition that was not foreseen.
            logger.exception("task %s cannot be brought up", self._task["taskArn"])
            self._reason, self._phase = f"ResourceInitializationError: {error!r}", "failed"
        finally:
            self._changed()

    def _settings_of(self, part: Part) -> ContainerSettings:
        try:
            with request_scope(*self._place):
                secrets = container_secrets.resolve(part.definition)
        except container_secrets.SecretError as error:
            raise StartError(
                f"ResourceInitializationError: unable to pull secrets or registry auth: {error}"
            ) from error
        found = of_container(
            self._task,
            part.definition,
            secrets=secrets,
            cloud_id=self._settings.cloud_id,
            registry=self._settings.registry,
            # Of the databases beside this cloud.
            trusted=trusted_in(self._settings.state_dir) if self._settings.postgres else None,
        )
        part.stop_seconds = found.stop_seconds
        return found

    def _start(self, part: Part, wanted: ContainerSettings) -> None:
        part.digest = provide(self._docker, wanted.image, registry=self._settings.registry)
        host = dict(wanted.host)
        first = next((other.id for other in self._parts if other.id is not None), None)
        if self._shares_network and first is not None:
            # One network interface for the task: its containers reach one another on loopback.
            host.update(network_mode=f"container:{first}", extra_hosts=None)
        try:
            self._create_and_start(part, wanted, host)
        except docker.errors.APIError as error:
            if "rlimit" not in told(error):
                raise
            self._docker.remove_container(part.id, v=True, force=True)
            others = [limit for limit in host["ulimits"] if limit["Name"] != FILES["Name"]]
            host["ulimits"] = [*others, FILES]
            self._create_and_start(part, wanted, host)
        described = self._docker.inspect_container(part.id)
        networks = described["NetworkSettings"]["Networks"] or {}
        part.address = next((net["IPAddress"] for net in networks.values() if net.get("IPAddress")), "")
        follower = self._thread(partial(self._follow, part))
        self._followers.append(follower)
        follower.start()

    def _create_and_start(self, part: Part, wanted: ContainerSettings, host: dict[str, Any]) -> None:
        config = self._docker.create_host_config(**host)
        part.id = self._docker.create_container(wanted.image, host_config=config, **wanted.create)["Id"]
        self._docker.start(part.id)

    # -- while they run ------------------------------------------------------------------------------

    def _follow(self, part: Part) -> None:
        """Its lines to CloudWatch Logs, then its exit code: in this order, so that the last lines are there."""
        if part.id is None:
            return
        try:
            self._forward_lines(part, part.id)
        except Exception:
            # Whatever becomes of its lines, its end must be noticed.
            logger.exception("the lines of %s are lost", part.name)
        part.exit_code = self._exit_code(part.id)
        self._changed()

    def _forward_lines(self, part: Part, container: str) -> None:
        config = ecs._awslogs_config(part.definition, self._task["taskArn"].rpartition("/")[2], container)
        account, region = self._place
        if not config:
            return
        with request_scope(account, config["region"] or region):
            if ecs._ensure_awslogs_stream(config):
                for line in self._lines(container):
                    ecs._emit_awslogs_event(config, line)

    def _lines(self, container: str) -> Iterator[str]:
        """What it prints, line by line, to its end."""
        rest = b""
        try:
            for chunk in self._docker.logs(container, stream=True, follow=True):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    if text := line.decode(errors="replace").rstrip("\r"):
                        yield text
        except Broken as error:
            logger.debug("the log of %s broke off: %s", container, error)
        if rest:
            yield rest.decode(errors="replace")

    def _exit_code(self, container: str) -> int:
        """Waits for it. 137 for a container that somebody removed."""
        warned = False
        while True:
            try:
                return int(self._docker.wait(container)["StatusCode"])
            except docker.errors.NotFound:
                return 137
            except Broken as error:
                if self._closing.wait(RETRY_PAUSE):
                    return 137
                if not warned:
                    logger.warning("the Docker engine does not answer: %s", error)
                warned = True

    def _watch_health(self) -> None:
        watched = [part for part in self._parts if part.checked]
        while not self._ending.is_set() and any(part.exit_code is None for part in watched):
            for part in watched:
                try:
                    state = self._docker.inspect_container(part.id)["State"].get("Health") or {}
                except Broken:
                    continue
                health = _HEALTH.get(state.get("Status", ""), "UNKNOWN")
                if health != part.health:
                    part.health = health
                    self._changed()
            self._ending.wait(CHECK_PAUSE)

    # -- down --------------------------------------------------------------------------------------

    def _take_down(self, *, kill: bool) -> None:
        self._bringing_up.join()
        created = [part for part in self._parts if part.id is not None]
        signals = [self._thread(partial(self._signal, part, kill=kill)) for part in created]
        for thread in signals:
            thread.start()
        for thread in signals:
            thread.join()
        deadline = time.monotonic() + LAST_LINES_SECONDS
        for follower in self._followers:
            follower.join(max(0.0, deadline - time.monotonic()))
        for part in reversed(created):
            try:
                self._docker.remove_container(part.id, v=True, force=True)
            except Broken as error:
                logger.debug("%s was gone: %s", part.name, error)
        self._phase = "gone"
        self._changed()

    def _signal(self, part: Part, *, kill: bool) -> None:
        try:
            if kill:
                self._docker.kill(part.id)
            else:
                self._docker.stop(part.id, timeout=part.stop_seconds)
        except Broken as error:
            logger.debug("%s had ended: %s", part.name, error)

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        name = f"tidegate-task-{self._task['taskArn'].rpartition('/')[2][:8]}"
        return threading.Thread(target=work, name=name, daemon=True)


_HEALTH: dict[str, Health] = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}
