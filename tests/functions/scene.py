"""The world that the files in `events/` are about: system `shop` in `production`, r41 running, r42 on its way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.domain.deployment import Current, Deployment
from tidegate.domain.release import Standing, Verdict
from tidegate.domain.rollout import Direction
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ports import Execution
from tidegate.steps import lock, plan_release, roll_service

from tests.support.clock import FakeClock, iso
from tests.support.fakes import World

Event = Mapping[str, Any]
EVENTS = Path(__file__).parents[2] / "events"
SYSTEM, ENVIRONMENT, CLUSTER, REPOSITORY = "shop", "production", "production", "shop"
PLACE = SYSTEM, ENVIRONMENT
RUNNING, NEW = 41, 42
DEPLOYMENT = "01JD6QZ5N8W3F4T7X2V9K1M0AB"
OTHER = "01JD6QZ5N8W3F4T7X2V9K1M0ZZ"
FENCE = 7
ECS_DEPLOYMENT, FOREIGN_ECS_DEPLOYMENT = "ecs-svc/1234567890123456789", "ecs-svc/5555555555555555555"
CANARY = "canary-7f3a"
"""Stands in everything that may hold a secret; no log line and nothing that is written may have it."""
WEBHOOK_SECRETS = {name: f"{CANARY} of the webhook of {name}" for name in ("acme/shop", "acme/other")}
"""What the files in `events/webhook/` are signed with."""


def event(name: str) -> dict[str, Any]:
    """A file in `events/` by its function and case: `lock/acquire`."""
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return found


PLAN = event("plan_release/plan")
EXECUTION = str(PLAN["execution"]["id"])
DIGEST = str(PLAN["request"]["images"]["app"]["digest"])
COMMIT = str(PLAN["request"]["commit"])
TOKEN = str(event("lock/acquire")["token"])


def digest_of(release: int) -> str:
    return DIGEST if release == NEW else f"sha256:{release:064x}"


@dataclass
class Scene:
    """Each method brings the shop one step on and gives the scene back."""

    world: World = field(
        default_factory=lambda: World(clock=FakeClock(datetime(2026, 11, 20, 15, 4, 5, tzinfo=UTC)))
    )

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.world.store, self.world.clock)

    @property
    def locks(self) -> Locks:
        return Locks(self.world.store, self.world.clock)

    @property
    def deployment(self) -> Deployment:
        found = self.ledger.deployment(*PLACE, DEPLOYMENT)
        assert found is not None
        return found

    def registered(self) -> Scene:
        """The manifest, r1 to r41 in the ledger, r40 gone by, r41 running, the lock free after six runs."""
        environment = {"region": "eu-west-1", "cluster": CLUSTER}
        manifest = {
            "system": SYSTEM,
            "images": {"app": {"repository": REPOSITORY, "tag": "{commit}"}},
            "services": {
                "api": {"service": "shop-api", "image": "app", "wave": 1},
                "worker": {"service": "shop-worker", "image": "app", "wave": 2},
            },
            "environments": {ENVIRONMENT: environment},
        }
        self.world.registry.put_manifest(*PLACE, manifest)
        self.world.webhook_secrets.secrets = dict(WEBHOOK_SECRETS)
        for number in range(1, NEW):
            self.ledger.ensure_release(SYSTEM, f"c{number}", {"app": digest_of(number)})
        self.world.images.push(REPOSITORY, DIGEST, COMMIT)
        for number in (RUNNING - 1, RUNNING):
            self.world.images.push(REPOSITORY, digest_of(number), f"c{number}")
            self._ran(number)
        for service in ("shop-api", "shop-worker"):
            self.world.containers.add_service(CLUSTER, service, service, desired_count=2)
        now = self.ledger.now()
        current = Current(RUNNING, OTHER, now, FENCE - 1)
        self.world.store.transact([self.ledger.current_write(*PLACE, current)])
        for number in range(1, FENCE):
            self.locks.acquire(*PLACE, f"run-{number}", "arn:of-a-run", "token", "")
            self.locks.release(*PLACE, f"run-{number}")
        return self

    def _ran(self, number: int) -> None:
        image = f"{self.world.images.uri(REPOSITORY)}@{digest_of(number)}"
        revisions = {
            key: self.world.containers.add_task_definition(f"shop-{key}", image).arn
            for key in ("api", "worker")
        }
        for key in revisions:
            container = self.world.containers.revisions_of[f"shop-{key}"][-1].content["containerDefinitions"][
                0
            ]
            container["environment"] = [{"name": "DATABASE_PASSWORD", "value": CANARY}]
            container["command"] = ["serve", f"--password={CANARY}"]
        self.world.clock.advance(60)
        standing = Standing(number, Verdict.SUCCEEDED, OTHER, self.ledger.now(), revisions)
        self.world.store.transact([self.ledger.standing_write(*PLACE, standing)])

    def planned(self) -> Scene:
        """The deployment that the events name is in the ledger."""
        self._runs(EXECUTION)
        execution = {"id": EXECUTION, "name": DEPLOYMENT, "started_at": iso(self.world.clock.now())}
        planned = plan_release.run({**PLAN, "execution": execution}, self.world.ports)
        assert (planned["outcome"], planned["deployment"]) == ("Ready", DEPLOYMENT)
        return self

    def refused(self) -> Scene:
        """It is in the ledger, but without a plan."""
        self._runs(EXECUTION)
        execution = {"id": EXECUTION, "name": DEPLOYMENT, "started_at": iso(self.world.clock.now())}
        request = {**PLAN["request"], "images": {"app": {"digest": digest_of(99)}}}
        plan_release.run({**PLAN, "request": request, "execution": execution}, self.world.ports)
        return self

    def held_by_another(self) -> Scene:
        self.locks.acquire(*PLACE, OTHER, "arn:of-another", "another-token", "")
        return self

    def asks_for_the_lock(self) -> Scene:
        """Waits with the token that the events carry."""
        self.world.executions.wait(TOKEN)
        return self

    def locked(self) -> Scene:
        self.world.executions.wait(f"{TOKEN}-of-the-lock")
        acquire = event("lock/acquire")
        lock.run({**acquire, "token": f"{TOKEN}-of-the-lock"}, self.world.ports)
        return self

    def rolling(self, *services: str, back: bool = False) -> Scene:
        """ECS deployments are under way; `api` has the one that the events name."""
        name = "roll_service/start_back" if back else "roll_service/start"
        for key in services:
            start = {**event(name), "service": key, "token": f"{TOKEN}-{key}-{back}"}
            self._runs(start["execution"])
            self.world.executions.wait(start["token"])
            roll_service.run(start, self.world.ports)
            if key == "api":
                self._renamed(start, Direction.REVERT if back else Direction.ROLL)
        return self

    def _renamed(self, start: Event, direction: Direction) -> None:
        service = self.world.containers.service("shop-api")
        given = service.primary.id
        service.change(given, id=ECS_DEPLOYMENT)
        for waiting in self.ledger.waiting_for(given):
            self.ledger.answered(given, waiting["execution"], waiting["token"])
            told = {
                name: waiting[name] for name in ("token", "deployment", "service", "cluster", "ecs_service")
            }
            self.ledger.keep_token(ECS_DEPLOYMENT, waiting["execution"], told)
        rollout = self.ledger.rollout(DEPLOYMENT, "api", direction)
        assert rollout is not None
        moved = replace(rollout, ecs_deployment=ECS_DEPLOYMENT)
        self.ledger.save_rollout(self.deployment, moved, fence=FENCE)

    def completed(self, *services: str) -> Scene:
        for key in services:
            self.world.containers.complete(f"shop-{key}")
        return self

    def crashed(self) -> Scene:
        """A task of `api` says its password and dies; ECS gives the deployment up."""
        task = self.world.containers.crash_task("shop-api")
        lines = ["starting", f"cannot connect: password={CANARY}", f"postgres://shop:{CANARY}@db/shop"]
        self.world.logs.write("/ecs/shop-api", f"ecs/app/{task.id}", *lines)
        self.world.containers.fail("shop-api")
        return self

    def busy(self) -> Scene:
        """Somebody else rolls `api`."""
        arn = self.world.containers.add_task_definition("shop-api").arn
        self.world.containers.update_service(CLUSTER, "shop-api", arn)
        service = self.world.containers.service("shop-api")
        service.change(service.primary.id, id=FOREIGN_ECS_DEPLOYMENT)
        return self

    def abandoned(self) -> Scene:
        """Its execution, and every function of it, has ended."""
        self.world.executions.end(EXECUTION, "ABORTED")
        self.world.clock.advance(minutes=5)
        return self

    def _runs(self, execution: str) -> None:
        self.world.executions.executions[execution] = Execution(execution, "RUNNING")


@dataclass(frozen=True)
class Row:
    """`scene` is the world before, `gives` a part of the answer, `then` what holds afterwards."""

    scene: Callable[[], Scene]
    gives: Mapping[str, Any]
    then: Callable[[Any], bool] = field(default=lambda scene: True)


def started(scene: Scene) -> list[tuple[str, dict[str, Any]]]:
    """The executions that were started: machine and input."""
    return [(run.machine, dict(run.payload)) for run in scene.world.executions.started]
