"""A small shop in production: `api` and `worker` from one image, both running version 1, registered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tidegate.domain.deployment import Deployment, Line
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ledger.schemas import Schemas
from tidegate.steps import control, lock, plan_release, record, roll_service, run_migration, wake
from tidegate.steps.resuming import resume

from tests.support.clock import iso
from tests.support.fakes import World
from tests.support.scripted import Scripted

SYSTEM, ENVIRONMENT, CLUSTER, REPOSITORY = "shop", "production", "shop-cluster", "shop-app"
DATABASE = "shop-db"
GRACE = "arn:aws:iam::123456789012:user/grace"
Answer = Mapping[str, Any]


def digest(version: int) -> str:
    return f"sha256:{version:064x}"


def manifest(**more: Any) -> dict[str, Any]:
    return {
        "system": SYSTEM,
        "images": {"app": {"repository": REPOSITORY, "tag": "{commit}"}},
        "services": {
            "api": {"service": "shop-api", "image": "app", "wave": 1},
            "worker": {"service": "shop-worker", "image": "app", "wave": 2},
        },
        "environments": {ENVIRONMENT: {"region": "eu-west-1", "cluster": CLUSTER}},
        **more,
    }


@dataclass
class Shop:
    """Plays the state machines' part, one step at a time."""

    world: World = field(default_factory=World)
    runs: int = 0

    def __post_init__(self) -> None:
        for version in (1, 2, 3):
            self.world.images.push(REPOSITORY, digest(version), f"c{version}")
        uri = f"{self.world.images.uri(REPOSITORY)}@{digest(1)}"
        for service in ("shop-api", "shop-worker"):
            self.world.containers.add_task_definition(service, uri)
            self.world.containers.add_service(CLUSTER, service, service, desired_count=2)
        self.world.registry.put_manifest(SYSTEM, ENVIRONMENT, manifest())

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.world.store, self.world.clock)

    @property
    def locks(self) -> Locks:
        return Locks(self.world.store, self.world.clock)

    @property
    def people(self) -> Interventions:
        return Interventions(self.world.store, self.world.clock)

    @property
    def schemas(self) -> Schemas:
        return Schemas(self.world.store, self.world.clock)

    @property
    def answers(self) -> dict[str, Mapping[str, Any]]:
        return self.world.executions.answers

    @property
    def owner(self) -> str | None:
        return self.locks.read(SYSTEM, ENVIRONMENT).owner

    @property
    def queue(self) -> list[str]:
        return [waiter.deployment for waiter in self.locks.waiters(SYSTEM, ENVIRONMENT)]

    def register(self, **settings: Any) -> None:
        """The environment with these settings more."""
        known = manifest()["environments"][ENVIRONMENT]
        data = manifest(environments={ENVIRONMENT: {**known, **settings}})
        self.world.registry.put_manifest(SYSTEM, ENVIRONMENT, data)

    def migrations(self, secrets: Mapping[str, Any] | None = None, **migrations: Any) -> None:
        """The manifest with these migrations, of a database whose snapshots can be made."""
        self.world.backups.databases["instance", DATABASE] = "available"
        data = manifest(migrations=migrations, database={"instance": DATABASE}, secrets=dict(secrets or {}))
        self.world.registry.put_manifest(SYSTEM, ENVIRONMENT, data)

    def put_sql(self, version: int, **files: str) -> None:
        """The SQL files of the image of a version: `_0001_a="SELECT 1"` is `0001_a.sql`."""
        named = {f"/migrations/{name[1:]}.sql": text.encode() for name, text in files.items()}
        self.world.images.files[REPOSITORY, digest(version)] = named

    def execution(self, machine: str = "deploy") -> dict[str, str]:
        self.runs += 1
        self.world.clock.advance(1)
        name = f"run-{self.runs}"
        arn = self.world.executions.run(machine, name)
        return {"id": arn, "name": name, "started_at": iso(self.world.clock.now())}

    def plan(self, execution: dict[str, str] | None = None, step: str = "Plan", **request: Any) -> Answer:
        asked = {"system": SYSTEM, "environment": ENVIRONMENT, "actor": "ada", **request}
        machine = "deploy" if step == "Plan" else "rollback"
        event = {"step": step, "request": asked, "execution": execution or self.execution(machine)}
        return plan_release.run(event, self.world.ports)

    def release(self, version: int, **request: Any) -> Answer:
        return self.plan(commit=f"c{version}", images={"app": {"digest": digest(version)}}, **request)

    def place(self, planned: Answer) -> dict[str, Any]:
        return {name: planned[name] for name in ("system", "environment", "deployment")}

    def deployment(self, planned: Answer) -> Deployment:
        found = self.ledger.deployment(SYSTEM, ENVIRONMENT, planned["deployment"])
        assert found is not None
        return found

    def acquire(self, planned: Answer, token: str = "lock-token") -> int:
        """The fence, or 0 when it had to join the queue."""
        self.world.executions.wait(token)
        execution = self.deployment(planned).execution
        event = {"step": "Acquire", **self.place(planned), "token": token, "execution": execution}
        return int(lock.run(event, self.world.ports).get("fence", 0))

    def plan_again(self, planned: Answer, fence: int) -> Answer:
        event = {"step": "PlanAgain", **self.place(planned), "fence": fence}
        return plan_release.run(event, self.world.ports)

    def await_approval(self, planned: Answer, token: str = "approval-token") -> Answer | None:
        """What the task token was answered, or None while nobody has decided."""
        self.world.executions.wait(token)
        execution = self.deployment(planned).execution
        event = {"step": "AwaitApproval", **self.place(planned), "token": token, "execution": execution}
        lock.run(event, self.world.ports)
        return self.answers.get(token)

    def bake(self, planned: Answer, fence: int, token: str = "bake-token") -> Answer | None:
        """What the task token was answered, or None while no alarm rings."""
        self.world.executions.wait(token)
        execution = self.deployment(planned).execution
        event = {
            "step": "Bake",
            **self.place(planned),
            "token": token,
            "execution": execution,
            "fence": fence,
        }
        roll_service.run(event, self.world.ports)
        return self.answers.get(token)

    def command(self, command: str, by: str = GRACE, **given: Any) -> tuple[int, dict[str, Any]]:
        """The status and the document that the function `control` answers somebody."""
        self.runs += 1
        self.world.clock.advance(1)
        event = {
            "requestContext": {"requestId": f"q{self.runs}", "authorizer": {"iam": {"userArn": by}}},
            "body": json.dumps({"command": command, **given}),
        }
        answer = control.run(event, self.world.ports)
        return int(answer["statusCode"]), json.loads(answer["body"])

    def roll(
        self, planned: Answer, service: str, fence: int, direction: str = "Roll", token: str | None = None
    ) -> Answer | None:
        """What the task token was answered, or None while ECS has not decided."""
        token = self.world.executions.wait(token or f"{direction}-{service}-{planned['deployment']}")
        event = {
            "step": "Start",
            **self.place(planned),
            "service": service,
            "direction": direction,
            "fence": fence,
            "execution": self.world.executions.run("roll", token),
            "token": token,
        }
        roll_service.run(event, self.world.ports)
        return self.world.executions.answers.get(token)

    def migrate(
        self, planned: Answer, step: str, fence: int, token: str = "migration-token", **more: Any
    ) -> Answer:
        """What `run_migration` gives to the machine `migrate`; what a token is answered is in `answers`."""
        event = {"step": step, **self.place(planned), "fence": fence, **more}
        event["execution"] = self.world.executions.run("migrate", f"migrate-{planned['deployment']}")
        if step in ("AwaitSnapshot", "RunTask", "StopTask"):
            event["token"] = self.world.executions.wait(token)
        return run_migration.run(event, self.world.ports)

    def migrated(self, planned: Answer, fence: int, **found: Any) -> Answer:
        """A migration that goes well, as `Record` is told of it."""
        self.migrate(planned, "Prepare", fence)
        return self.migrate(planned, "Record", fence, outcome="Migrated", reason="", **found)

    def resume(self) -> int:
        """All that wait are looked at, as the sweep does."""
        waiting = [item for item in self.ledger.open_items() if item["type"] == "token"]
        return resume(self.world.ports, self.ledger, waiting)

    def record(self, planned: Answer, step: str, fence: int = -1, **more: Any) -> Answer:
        event = {"step": step, **self.place(planned), "fence": fence, **more}
        return record.run(event, self.world.ports)

    def go_out(self, version: int, **request: Any) -> Answer:
        """A whole release that goes well."""
        planned = self.release(version, **request)
        fence = self.acquire(planned, f"lock-{version}")
        if planned["migration"]:
            self.migrated(planned, fence)
        for service in [key for wave in planned["waves"] for key in wave["services"]]:
            self.roll(planned, service, fence)
            done = self.world.containers.complete(f"shop-{service}")
            detail = {"deploymentId": done.id}
            wake.run({"detail-type": "ECS Deployment State Change", "detail": detail}, self.world.ports)
        return self.record(planned, "Succeed", fence)

    def running(self, service: str) -> str:
        primary = self.world.containers.service(service).primary
        found = self.world.containers.task_definition(primary.task_definition)
        assert found is not None
        return str(found.content["containerDefinitions"][0]["image"]).rpartition("@")[2]

    def timeline(self, planned: Answer) -> list[Line]:
        return self.ledger.timeline(planned["deployment"])


@contextmanager
def crashing(fake: Scripted, method: str, lost: str, number: int) -> Iterator[None]:
    """Within, the call of `method` with this number (from 0) `fails`, or `loses` its answer."""
    left = number
    real = getattr(fake, method)

    def call(*args: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if left == -1:
            getattr(fake, lost)(method)
        return real(*args, **more)

    setattr(fake, method, call)
    try:
        yield
    finally:
        delattr(fake, method)


@pytest.fixture
def shop() -> Shop:
    return Shop()
