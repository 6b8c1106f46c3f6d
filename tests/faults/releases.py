"""Releases of a system of a test's own: how they are asked for, what they did, what they left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from tidegate.domain.deployment import Deployment
from tidegate.domain.ids import ulid
from tidegate.domain.intervention import Approval
from tidegate.domain.lock import Lock, Waiter
from tidegate.domain.outcome import Outcome
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks
from tidegate.steps.resuming import awaited_approval
from tidegate_local import sample
from tidegate_local.sample import Build

from tests.e2e.own_system import EcsService, OwnSystem
from tests.e2e.support import SampleCloud
from tests.support.waiting import wait_until

ENVIRONMENT = "production"
SECONDS = 60.0
ACCOUNT = "000000000000"


def fresh_ulid() -> str:
    """Greater than each that was made before it: two of one millisecond would sort by chance."""
    now = datetime.now(UTC)
    while datetime.now(UTC) - now < timedelta(milliseconds=1):
        pass
    return ulid(datetime.now(UTC), uuid4().hex)


def invoke(cloud: SampleCloud, function: str, event: Mapping[str, Any]) -> tuple[Any, bool]:
    """The real function's answer, and whether it is an error: then `{"errorType", "errorMessage", …}`."""
    answer = cloud.client("lambda").invoke(
        FunctionName=f"tidegate-{function}", Payload=json.dumps(event).encode()
    )
    return json.loads(answer["Payload"].read()), "FunctionError" in answer


@dataclass(frozen=True)
class Releases:
    """Of one system whose services all run the sample's image; `system.name` is of this test alone."""

    cloud: SampleCloud
    system: OwnSystem

    @classmethod
    def of(
        cls,
        cloud: SampleCloud,
        name: str,
        services: Sequence[str] = ("api",),
        settings: Mapping[str, Any] | None = None,
        before: str | None = None,
    ) -> Releases:
        """Named `<name>-<something fresh>`; `settings` are its environment's, beside region and cluster. `before` is
        another environment in the same cluster, with services of its own."""
        name = f"{name}-{uuid4().hex[:6]}"
        place = {"region": sample.REGION, "cluster": name, **(settings or {})}
        manifest = {
            "system": name,
            "images": {"app": {"repository": sample.REPOSITORY}},
            "services": {key: {"service": f"{name}-{key}", "image": "app"} for key in services},
            "environments": {ENVIRONMENT: place},
        }
        ran = cloud.push(f"what {name} ran before")
        uri = cloud.client("ecr").describe_repositories(repositoryNames=[sample.REPOSITORY])["repositories"][
            0
        ]["repositoryUri"]
        made = OwnSystem.make(cloud, manifest, [EcsService(key) for key in services], f"{uri}@{ran.digest}")
        if before is not None:
            made = made.with_environment(before)
        return cls(cloud, made)

    @property
    def name(self) -> str:
        return self.system.name

    # --- asking for them

    def event(self, build: Build) -> dict[str, Any]:
        """`Image Published` of this system."""
        event = build.event("ci")
        event["detail"] |= {"system": self.name, "environment": ENVIRONMENT}
        return event

    def start(self, machine: str = "deploy", **request: Any) -> str:
        """StartExecution under a ULID, which is the deployment's id."""
        identity = fresh_ulid()
        self.cloud.client("stepfunctions").start_execution(
            stateMachineArn=f"arn:aws:states:{sample.REGION}:{ACCOUNT}:stateMachine:tidegate-{machine}",
            name=identity,
            input=json.dumps({"system": self.name, "environment": ENVIRONMENT, **request}),
        )
        return identity

    def by_person(self, build: Build, actor: str = "ada") -> str:
        """What `tidegate deploy --commit` starts."""
        return self.start(commit=build.commit, actor=actor)

    def by_push(self, build: Build, order: str) -> str:
        """What a push starts when its image is ready; `order` says when it was made."""
        images = {"app": {"digest": build.digest}}
        return self.start(commit=build.commit, images=images, order=order, trigger="event", actor="ci")

    # --- following them

    def history(self) -> list[Deployment]:
        """Newest first."""
        return list(self.cloud.ledger.history(self.name, ENVIRONMENT, 50))

    def deployment(self, identity: str) -> Deployment:
        """As it is recorded now."""
        found = self.cloud.ledger.find(identity)
        assert found is not None, f"{identity} is not recorded"
        return found

    def arrived(self, commit: str) -> Deployment:
        return wait_until(
            lambda: next((entry for entry in self.history() if entry.commit == commit), None),
            what=f"a deployment of {commit[:7]}",
            seconds=SECONDS,
        )

    def ended(self, identity: str, seconds: float = SECONDS) -> Deployment:
        """With its outcome; its execution has ended too."""
        ended = self.cloud.ended(identity, seconds)
        wait_until(
            lambda: not self._runs(ended.execution),
            what=f"the execution of {identity} to end",
            seconds=SECONDS,
        )
        return ended

    def queued(self, identity: str) -> Waiter:
        return wait_until(
            lambda: next((one for one in self.waiters() if one.deployment == identity), None),
            what=f"{identity} to join the queue",
            seconds=SECONDS,
        )

    def asks(self, identity: str, other_than: str = "") -> Approval:
        """The approval that a deployment waits for, of another plan than `other_than`, once its task waits."""

        def look() -> Approval | None:
            known = self.approval(identity)
            if known is None or known.decision is not None or known.plan == other_than:
                return None
            return known if self.cloud.ledger.waiting_for(awaited_approval(identity)) else None

        return wait_until(look, what=f"{identity} to ask for approval", seconds=SECONDS)

    def approval(self, identity: str) -> Approval | None:
        people = Interventions(self.cloud.ports.store, self.cloud.ports.clock)
        return people.approval(self.name, ENVIRONMENT, identity)

    def rolling(self, identity: str, key: str = "api") -> str:
        """The ECS deployment of a service that the deployment waits for."""

        def look() -> str | None:
            rollouts = self.cloud.ledger.rollouts(identity)
            ids = [one.ecs_deployment for one in rollouts if one.service == key and one.ecs_deployment]
            return ids[0] if ids and self.cloud.ledger.waiting_for(ids[0]) else None

        return wait_until(look, what=f"{key} to roll", seconds=SECONDS)

    @contextmanager
    def hanging(self, key: str = "api") -> Iterator[None]:
        """New ECS deployments of a service do not end before this does."""
        service = self.system.services[key]
        self.cloud.control.set_fault(service, "hang")
        try:
            yield
        finally:
            self.cloud.control.clear_fault(service)

    # --- what they did

    def entered(self, execution: str) -> list[str]:
        """The states that an execution has entered, in this order."""
        history = self.cloud.client("stepfunctions").get_execution_history(
            executionArn=execution, maxResults=1000
        )
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in history["events"]
            if "stateEnteredEventDetails" in event
        ]

    def path(self, identity: str) -> list[str]:
        """The states that the execution of a deployment has entered."""
        return self.entered(self.deployment(identity).execution)

    def timeline(self, identity: str) -> list[str]:
        return [line.what for line in self.cloud.ledger.timeline(identity)]

    def commands(self) -> list[dict[str, Any]]:
        """What people did to this system, newest first."""
        people = Interventions(self.cloud.ports.store, self.cloud.ports.clock)
        return [dict(one) for one in people.commands() if one["system"] == self.name]

    # --- what they left

    @property
    def locks(self) -> Locks:
        return Locks(self.cloud.ports.store, self.cloud.ports.clock)

    def lock(self) -> Lock:
        return self.locks.read(self.name, ENVIRONMENT)

    def waiters(self) -> list[Waiter]:
        return self.locks.waiters(self.name, ENVIRONMENT)

    def ecs_deployments(self) -> dict[str, list[tuple[str, str]]]:
        """What ECS has of each service: its deployments' ids and task definitions."""
        return {
            key: [(one["id"], one["taskDefinition"]) for one in service["deployments"]]
            for key, service in self.system.described().items()
        }

    def at_rest(self, digest: str) -> None:
        """The invariants that hold when nothing is under way: a free lock, nobody in the queue, nobody who waits,
        each deployment with one outcome, every service on `digest`."""
        wait_until(lambda: self.lock().free, what="a free lock", seconds=SECONDS)
        assert self.waiters() == []
        outcomes = {outcome.value for outcome in Outcome}
        for entry in self.history():
            ends = [what for what in self.timeline(entry.id) if what in outcomes]
            assert entry.outcome is not None, f"{entry.id} is {entry.phase}"
            assert ends == [entry.outcome.value], f"{entry.id}: {ends}"
            assert self.cloud.ledger.tokens_of(entry.id) == [], f"{entry.id} waits"
        assert self.system.digests() == dict.fromkeys(self.system.services, digest)

    def _runs(self, execution: str) -> bool:
        known = self.cloud.ports.executions.describe(execution)
        return known is not None and known.running
