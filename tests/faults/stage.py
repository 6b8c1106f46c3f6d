"""A system of a test's own, released into by events and by people."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from tidegate.domain.deployment import Deployment, Phase
from tidegate.domain.lock import Lock, Waiter
from tidegate.domain.outcome import Outcome
from tidegate.ledger.locks import Locks
from tidegate_local import sample
from tidegate_local.sample import Build

from tests.e2e import histories
from tests.e2e.own_system import EcsService, OwnSystem
from tests.e2e.support import ENDS_SECONDS, SampleCloud
from tests.support.waiting import wait_until

ENVIRONMENT = "production"
SOON = 60.0
_SWEEP = "tidegate-sweep"


@dataclass(frozen=True)
class Stage:
    """Its services run the image of one ECR repository and are called `<system>-<key>`."""

    cloud: SampleCloud
    system: OwnSystem

    @classmethod
    def make(cls, cloud: SampleCloud, name: str, waves: Mapping[str, int], **environment: Any) -> Stage:
        """`waves` by the services' keys; `environment` is more of the manifest's. The system's name begins with
        `name`: in one cloud a test may be repeated."""
        name = f"{name}-{secrets.token_hex(2)}"
        ecr = cloud.client("ecr")
        repository = ecr.describe_repositories(repositoryNames=[sample.REPOSITORY])["repositories"][0]
        image = f"{repository['repositoryUri']}@{cloud.push('before Tidegate').digest}"
        manifest = {
            "system": name,
            "images": {"app": {"repository": sample.REPOSITORY}},
            "services": {
                key: {"service": f"{name}-{key}", "image": "app", "wave": wave} for key, wave in waves.items()
            },
            "environments": {ENVIRONMENT: {"region": sample.REGION, "cluster": name, **environment}},
        }
        return cls(cloud, OwnSystem.make(cloud, manifest, [EcsService(key) for key in waves], image))

    def apply(self, **environment: Any) -> None:
        """Register the manifest with more in its environment."""
        manifest = json.loads(json.dumps(self.system.manifest))
        manifest["environments"][ENVIRONMENT] |= environment
        self.cloud.ports.registry.put_manifest(*self.place, manifest)

    @property
    def name(self) -> str:
        return self.system.name

    @property
    def place(self) -> tuple[str, str]:
        return self.name, ENVIRONMENT

    # --- what comes in

    def announce(self, note: str) -> Build:
        """Push a build and tell of it as a CI does."""
        build = self.cloud.push(note)
        event = build.event("ci")
        event["detail"] |= {"system": self.name, "environment": ENVIRONMENT}
        self.cloud.put_event(event)
        return build

    def released(self, note: str) -> Build:
        """A build whose release has succeeded, and whose run has ended."""
        build = self.announce(note)
        done = self.ended(self.arrived(build))
        assert done.outcome is Outcome.SUCCEEDED, done.explanation
        histories.over(self.cloud, done.execution)
        return build

    def start(self, machine: Literal["deploy", "rollback"], **request: Any) -> str:
        """Start a machine as on-call does; the execution's ARN."""
        sfn = self.cloud.client("stepfunctions")
        arn = f"arn:aws:states:{sample.REGION}:000000000000:stateMachine:tidegate-{machine}"
        given = {"system": self.name, "environment": ENVIRONMENT, **request}
        return str(sfn.start_execution(stateMachineArn=arn, input=json.dumps(given))["executionArn"])

    def rollback(self, to: str = "previous") -> str:
        return self.start("rollback", to=to, reason="slow", actor="ada")

    @contextmanager
    def fault(self, key: str, mode: Literal["crash", "hang"], *, every: bool = False) -> Iterator[None]:
        """New deployments of a service fail; with `every` the way back does as well."""
        name = self.system.services[key]
        self.cloud.control.set_fault(name, mode, all=every)
        try:
            yield
        finally:
            self.cloud.control.clear_fault(name)

    @contextmanager
    def held(
        self, machine: Literal["deploy", "rollback", "roll", "migrate"], state: str
    ) -> Iterator[Callable[[], None]]:
        """Its executions stand still in that state; what is given waits until one has come there."""
        control = self.cloud.control

        def come() -> None:
            wait_until(
                lambda: [entry for entry in control.held() if entry["system"] == self.name],
                what=f"a run of {machine} to come to {state}",
                seconds=SOON,
                pause=0.2,
            )

        control.hold(machine, state, self.name)
        try:
            yield come
        finally:
            control.release(machine, state, self.name)

    # --- what becomes of it

    def history(self) -> list[Deployment]:
        """Newest first."""
        return list(self.cloud.ledger.history(*self.place))

    def now(self, deployment: Deployment) -> Deployment:
        known = self.cloud.ledger.deployment(*self.place, deployment.id)
        assert known is not None
        return known

    def arrived(self, build: Build) -> Deployment:
        """The one deployment of that build, once there is one."""

        def look() -> Deployment | None:
            return next((entry for entry in self.history() if entry.commit == build.commit), None)

        return wait_until(look, what=f"a deployment of {build.commit[:7]}", seconds=SOON, pause=0.2)

    def of(self, execution: str) -> Deployment:
        """The deployment that an execution has opened, once it has."""

        def look() -> Deployment | None:
            return next((entry for entry in self.history() if entry.execution == execution), None)

        return wait_until(look, what=f"the deployment of {execution}", seconds=SOON, pause=0.2)

    def ended(self, deployment: Deployment, seconds: float = ENDS_SECONDS) -> Deployment:
        return self.cloud.ended(deployment, seconds)

    def rolling(self, deployment: Deployment, key: str) -> Deployment:
        """The deployment, once it waits for ECS to roll a service."""

        def waits() -> bool:
            rollouts = self.cloud.ledger.rollouts(deployment.id)
            begun = [entry.ecs_deployment for entry in rollouts if entry.service == key]
            return any(one is not None and self.cloud.ledger.waiting_for(one) for one in begun)

        wait_until(waits, what=f"{key} to roll", seconds=SOON, pause=0.1)
        return self.now(deployment)

    def queued(self, deployment: Deployment) -> Deployment:
        """The deployment, once it waits for the lock."""
        self.until(
            lambda: deployment.id in [waiter.deployment for waiter in self.waiters()],
            f"{deployment.id} to join the queue",
        )
        return self.now(deployment)

    def until(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, what=what, seconds=SOON)

    def waiting(self, deployment: Deployment, phase: Phase) -> Deployment:
        """The deployment, once it waits for people or alarms with a token."""
        wait_until(
            lambda: self.now(deployment).phase is phase and self.cloud.ledger.tokens_of(deployment.id),
            what=f"{deployment.id} to be {phase.value}",
            seconds=SOON,
        )
        return self.now(deployment)

    # --- what it left

    def path(self, execution: str) -> list[str]:
        """The states that it entered, once it has ended."""
        histories.over(self.cloud, execution)
        return histories.path(self.cloud, execution)

    def timeline(self, deployment: Deployment) -> list[str]:
        return self.cloud.timeline(deployment)

    @property
    def lock(self) -> Lock:
        return self._locks.read(*self.place)

    def waiters(self) -> list[Waiter]:
        """The queue, first comes first."""
        return self._locks.waiters(*self.place)

    @property
    def current(self) -> int:
        """The number of the release that is recorded as current."""
        current = self.cloud.ledger.current(*self.place)
        assert current is not None
        return current.release

    def ecs_deployments(self) -> dict[str, list[tuple[str, str]]]:
        """(Id, status) of what ECS has under way or completed, by the service's key."""
        return {
            key: [(entry["id"], entry["status"]) for entry in service["deployments"]]
            for key, service in self.system.described().items()
        }

    def service_deployments(self, key: str) -> int:
        """How often somebody called UpdateService or CreateService; ECS's own way back is none."""
        ecs = self.cloud.client("ecs")
        listed = ecs.list_service_deployments(cluster=self.name, service=self.system.services[key])
        return len(listed["serviceDeployments"])

    def check(self, digest: str, *, current: int, outcomes: Mapping[str, Outcome]) -> None:
        """Every service runs that image, that release is current, the lock is free, each deployment (by its id) has
        ended once, as told, and there are no others since."""
        wait_until(lambda: self.lock.free, what=f"the lock of {self.name} to be free", seconds=SOON)
        assert set(self.system.digests().values()) == {digest}
        assert self.current == current
        newest = self.history()[: len(outcomes)]
        assert {entry.id: entry.outcome for entry in newest} == dict(outcomes), [
            entry.explanation for entry in newest
        ]
        for entry in newest:
            said = [what for what in self.timeline(entry) if what in set(Outcome)]
            assert said == [outcomes[entry.id].value], self.timeline(entry)
        assert not self.waiters()

    @property
    def _locks(self) -> Locks:
        return Locks(self.cloud.ports.store, self.cloud.ports.clock)


@contextmanager
def unswept(cloud: SampleCloud) -> Iterator[None]:
    """Nobody starts the sweep but the test."""
    events = cloud.client("events")
    events.disable_rule(Name=_SWEEP)
    try:
        yield
    finally:
        events.enable_rule(Name=_SWEEP)
