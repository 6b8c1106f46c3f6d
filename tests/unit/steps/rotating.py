"""The shop with secrets that are rotated, and one who plays the machine `rotate`, without the function that reaches the
database: what that would answer is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.domain.deployment import Deployment, Machine
from tidegate.domain.plan import Plan
from tidegate.domain.rotation import RotationRun, SecretStanding, version_of
from tidegate.ledger.rotations import Rotations
from tidegate.steps import wake

from tests.support.clock import iso
from tests.support.secrets import FIRST
from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, SYSTEM, Answer, Shop, digest, manifest

SECRET, ADMIN = "shop/production/database", "shop/production/database-admin"
BARE, CACHE = "shop/production/api-key", "shop/production/cache"
ARN = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{SECRET}-AbCdEf"
SECRETS: dict[str, Any] = {
    "shop/{environment}/database": {"kind": "postgres", "admin": "shop/{environment}/database-admin"},
    BARE: {"kind": "postgres", "admin": ADMIN, "format": "plain"},
    CACHE: {"kind": "redis"},
}
SLOT = "2026-03-02T03:00:00Z"


def taking(shop: Shop, service: str, value_from: str = ARN) -> str:
    """The service runs a task definition that takes a secret; gives its ARN."""
    image = f"{shop.world.images.uri('shop-app')}@{digest(1)}"
    containers = [{"name": "app", "image": image, "secrets": [{"name": "DATABASE", "valueFrom": value_from}]}]
    content = {"family": f"shop-{service}", "containerDefinitions": containers}
    arn = shop.world.containers.register(content, {}).arn
    shop.world.containers.supersede(f"shop-{service}", arn)
    shop.world.containers.complete(f"shop-{service}")
    return arn


@dataclass
class Rotating(Shop):
    """Both services take the secret, and started a minute ago; `worker` is of an earlier wave than `api`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.settings()
        self.world.references.secrets.add(ARN)
        self.made_at = iso(self.world.clock.now())
        for service in ("api", "worker"):
            taking(self, service)
        self.world.clock.advance(60)

    def settings(self, **settings: Any) -> None:
        """The manifest with the secrets, and these settings of the environment more."""
        data = manifest(secrets=SECRETS)
        data["services"]["api"]["wave"], data["services"]["worker"]["wave"] = 2, 1
        data["environments"][ENVIRONMENT].update(settings)
        self.world.registry.put_manifest(SYSTEM, ENVIRONMENT, data)

    @property
    def rotations(self) -> Rotations:
        return Rotations(self.world.store, self.world.clock)

    def asked(self, execution: dict[str, str] | None = None, **request: Any) -> Answer:
        wanted = {"secret": SECRET, **request}
        return self.plan(execution or self.execution("rotate"), "PlanRotation", **wanted)

    def plan_of(self, planned: Answer) -> Plan:
        plan = self.deployment(planned).plan
        assert plan is not None
        return plan

    def run_of(self, planned: Answer) -> RotationRun:
        found = self.rotations.run_of(planned["deployment"])
        assert found is not None
        return found

    def standing(self) -> SecretStanding:
        found = self.rotations.standing(SYSTEM, ENVIRONMENT, SECRET)
        assert found is not None
        return found

    def begin(self, planned: Answer, fence: int, **more: Any) -> Answer:
        """As Precheck has found a secret that was made before its consumers started."""
        found = {"previous": FIRST, "user": "app", "next_user": "app_clone", "created_at": self.made_at}
        return self.record(planned, "BeginRotation", fence, **{**found, **more})

    def started(self, **more: Any) -> tuple[Answer, int]:
        """One that has the lock and has begun."""
        planned = self.asked()
        fence = self.acquire(planned, f"lock-{planned['deployment']}")
        assert self.begin(planned, fence, **more)["outcome"] == "Begun"
        return planned, fence

    def restart(self, planned: Answer, service: str, fence: int, direction: str = "Roll") -> Answer | None:
        """One service starts again, and its tasks are well."""
        self.roll(planned, service, fence, direction)
        self.settle(service)
        return self.answers.get(f"{direction}-{service}-{planned['deployment']}")

    def settle(self, service: str) -> None:
        done = self.world.containers.complete(f"shop-{service}")
        event = {"detail-type": "ECS Deployment State Change", "detail": {"deploymentId": done.id}}
        wake.run(event, self.world.ports)

    def restarted(self, **more: Any) -> tuple[Answer, int]:
        """One whose consumers have all started with the new value."""
        planned, fence = self.started(**more)
        for service in ("worker", "api"):
            self.restart(planned, service, fence)
        return planned, fence

    def rotate(self, **more: Any) -> Answer:
        """A whole rotation that goes well."""
        planned, fence = self.restarted(**more)
        assert self.record(planned, "BeginRetire", fence)["outcome"] == "Retire"
        return self.record(planned, "Rotated", fence, version=version_of(planned["deployment"]))

    def restore(self, planned: Answer, fence: int, restored: str = "Restored") -> Answer:
        return self.record(planned, "BeginRestoring", fence, restored=restored)

    def fail(self, planned: Answer, fence: int, restored: str | None = None) -> Answer:
        error = {"name": "Test", "cause": "the new value opens nothing"}
        ended = self.record(planned, "Fail", fence, error=error, execution={}, request={}, restored=restored)
        document: Answer = ended["document"]
        return document

    def told(self, planned: Answer, what: str) -> str | None:
        """The detail of the one line that says this."""
        (line,) = [line for line in self.timeline(planned) if line.what == what]
        return line.detail

    def primary(self, service: str) -> str:
        return self.world.containers.service(f"shop-{service}", CLUSTER).primary.id

    def opened(self, planned: Answer) -> Deployment:
        found = self.deployment(planned)
        assert found.machine is Machine.ROTATE
        return found
