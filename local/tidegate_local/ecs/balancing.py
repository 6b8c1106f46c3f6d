"""What a load balancer has to do with the tasks of a service: it is told of them, looks after them, and sends to them.

ECS registers a task that runs in the target groups of its service, by its private address and the container's port,
and deregisters it before it ends; a task whose target is unhealthy after the grace period is replaced, and a deployment
is over once its targets are healthy (ECS developer guide, "Use load balancing to distribute Amazon ECS service
traffic"). A load balancer needs one good answer to take a target for healthy, and `UnhealthyThresholdCount` bad ones in
a row to give it up (Elastic Load Balancing user guide, "Health checks for Application Load Balancer target groups").
Tasks without containers answer nobody: their targets are as healthy as they are.
"""

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ministack.services import alb

from tidegate_local.ecs.records import Record, tasks_of

State: TypeAlias = Literal["initial", "healthy", "unhealthy", "draining"]

INTERVAL_SECONDS = 1.0
"""The longest time between two checks; a load balancer takes `HealthCheckIntervalSeconds`, 30 s by default."""
GRACE_SECONDS = 15.0
"""The longest grace period; ECS gives `healthCheckGracePeriodSeconds`."""

REASONS: dict[State, tuple[str, str]] = {
    "initial": ("Elb.InitialHealthChecking", "Initial health checks in progress"),
    "unhealthy": ("Target.FailedHealthChecks", "Health checks failed"),
    "draining": ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """One task in one target group."""

    address: str
    port: int
    state: State


@dataclass(slots=True)
class Balancing:
    """Every method but `described` is called with the ECS lock held and inside the service's account and region.

    `probes`: whether the tasks have addresses that answer.
    """

    wake: Callable[[], None]
    probes: bool
    _watches: dict[str, "Watch"] = field(default_factory=dict)
    _targets: dict[str, dict[str, list[Target]]] = field(default_factory=dict)
    """By target group, then by service."""

    def observe(self, service: Record) -> None:
        """Write into each task that runs how its targets do (`_target`), and what it is called if it has to go."""
        groups = _groups(service)
        for task in tasks_of(service):
            if not groups or task["lastStatus"] != "RUNNING":
                self._forget(task)
            elif self.probes:
                task["_target"] = self._watched(service, task, groups).judge()
            else:
                task["_target"] = "healthy"

    def publish(self, service: Record) -> None:
        """Tell the target groups of the service which tasks there are, and send only to those that are fit."""
        named = f"{service['clusterArn']} {service['serviceName']}"
        groups = _groups(service)
        for arn in [arn for arn, by_service in self._targets.items() if named in by_service]:
            if arn not in groups:
                self._replace(arn, named, [])
        active = service["status"] == "ACTIVE"
        if not active:
            for task in tasks_of(service):
                self._forget(task)
        for arn, port in groups.items():
            found = [_target(task, port) for task in tasks_of(service)] if active else []
            self._replace(arn, named, [target for target in found if target is not None])

    def described(self, arn: str) -> list[Target]:
        """All targets of a group that are tasks."""
        return [target for targets in self._targets.get(arn, {}).values() for target in targets]

    def _watched(self, service: Record, task: Record, groups: dict[str, int]) -> "Watch":
        watch = self._watches.get(task["taskArn"])
        if watch is None:
            address = _address(task)
            checks = [
                Check.of(alb._tgs[arn], address, port) for arn, port in groups.items() if arn in alb._tgs
            ]
            grace = min(float(service.get("healthCheckGracePeriodSeconds") or 0), GRACE_SECONDS)
            watch = self._watches[task["taskArn"]] = Watch(checks, grace, self.wake)
            watch.begin()
        return watch

    def _forget(self, task: Record) -> None:
        watch = self._watches.pop(task["taskArn"], None)
        if watch is not None:
            watch.over.set()

    def _replace(self, arn: str, named: str, targets: list[Target]) -> None:
        before = self._targets.setdefault(arn, {}).get(named, [])
        if targets == before:
            return
        self._targets[arn][named] = targets
        if arn not in alb._tgs:
            return
        own = self.described(arn)
        # Where there are only unhealthy ones it sends to all of them ("fail open").
        fit = [each for each in own if each.state == "healthy"] or [
            each for each in own if each.state == "unhealthy"
        ]
        others = [each for each in alb._targets.get(arn, []) if not each.get("_task")]
        alb._targets[arn] = others + [
            {"Id": target.address, "Port": target.port, "_task": True} for target in fit
        ]


@dataclass(frozen=True, slots=True)
class Check:
    """How a target group asks a target how it is."""

    address: str
    port: int
    path: str
    codes: str
    interval: float
    timeout: float
    bad: int

    @classmethod
    def of(cls, group: Record, address: str, port: int) -> "Check":
        """The settings of a target group for one target."""
        own = str(group.get("HealthCheckPort") or "traffic-port")
        return cls(
            address=address,
            port=int(own) if own.isdigit() else port,
            path=str(group.get("HealthCheckPath") or "/"),
            codes=str((group.get("Matcher") or {}).get("HttpCode") or "200"),
            interval=min(float(group.get("HealthCheckIntervalSeconds") or 30), INTERVAL_SECONDS),
            timeout=float(group.get("HealthCheckTimeoutSeconds") or 5),
            bad=int(group.get("UnhealthyThresholdCount") or 2),
        )

    def passes(self) -> bool:
        """Ask once."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=self.timeout)
        try:
            connection.request("GET", self.path, headers={"User-Agent": "ELB-HealthChecker/2.0"})
            return _matches(connection.getresponse().status, self.codes)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@dataclass(slots=True)
class Watch:
    """The checks of one task, each on a thread of its own until `over`."""

    checks: list[Check]
    grace: float
    wake: Callable[[], None]
    over: threading.Event = field(default_factory=threading.Event)
    _begun: float = field(default_factory=time.monotonic)
    _states: dict[int, State] = field(default_factory=dict)

    def begin(self) -> None:
        """Start to ask."""
        for place, check in enumerate(self.checks):
            self._states[place] = "initial"
            name = f"tidegate-target-{check.address}"
            threading.Thread(target=self._ask, args=(place, check), name=name, daemon=True).start()

    def judge(self) -> State:
        """The worst of its states; before the grace period is over nothing is held against it."""
        states = set(self._states.values())
        if "unhealthy" in states:
            return "unhealthy" if time.monotonic() - self._begun >= self.grace else "initial"
        return "initial" if "initial" in states else "healthy"

    def _ask(self, place: int, check: Check) -> None:
        failed = 0
        while not self.over.is_set():
            passed = check.passes()
            failed = 0 if passed else failed + 1
            state = "healthy" if passed else "unhealthy" if failed >= check.bad else self._states[place]
            changed, self._states[place] = state != self._states[place], state
            if changed or state == "unhealthy":
                # The scheduler sleeps; one that stays unhealthy waits for the end of the grace period.
                self.wake()
            self.over.wait(check.interval)


def _groups(service: Record) -> dict[str, int]:
    """Ports of the containers by target group."""
    return {
        each["targetGroupArn"]: int(each.get("containerPort") or 80)
        for each in service.get("loadBalancers") or []
        if each.get("targetGroupArn")
    }


def _target(task: Record, port: int) -> Target | None:
    address, status = _address(task), task["lastStatus"]
    if not address or status not in ("RUNNING", "STOPPING") or not task.get("startedAt"):
        return None
    if status == "STOPPING":
        return Target(address, port, "draining")
    seen: Any = task.get("_target", "initial")
    # A task that is not steady yet is none that a load balancer has found healthy, where nothing is asked.
    return Target(address, port, "initial" if seen == "healthy" and not task["_healthy"] else seen)


def _address(task: Record) -> str:
    """Its private address: of its network interface, or of its container."""
    for attachment in task.get("attachments") or []:
        for detail in attachment.get("details") or []:
            if detail.get("name") == "privateIPv4Address":
                return str(detail.get("value") or "")
    for container in task["containers"]:
        for interface in container.get("networkInterfaces") or []:
            if interface.get("privateIpv4Address"):
                return str(interface["privateIpv4Address"])
    return ""


def _matches(status: int, codes: str) -> bool:
    """Codes are like `200`, `200,204` or `200-299`."""
    for part in codes.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False
