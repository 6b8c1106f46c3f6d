"""The shop whose releases migrate: by a task of `api`, with a snapshot before and a look afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.domain.ids import content_hash
from tidegate.domain.migration import MigrationRun, Purpose
from tidegate.ledger.schemas import Schemas
from tidegate.ports import OneOff
from tidegate.steps import run_migration

from tests.functions.scene import CLUSTER, DEPLOYMENT, PLACE, TOKEN, Scene, event

TASK = str(event("wake/ecs_task_of_a_migration")["detail"]["taskArn"])
SNAPSHOT = str(event("wake/rds_snapshot_made")["detail"]["SourceIdentifier"])
COMMAND, VERIFY = ["alembic", "upgrade", "head"], ["alembic", "current", "--check-heads"]
SECRET = "shop/production/database"


@dataclass
class MigrationScene(Scene):
    kind: str = "instance"

    @property
    def run(self) -> MigrationRun:
        found = Schemas(self.world.store, self.world.clock).run_of(DEPLOYMENT)
        assert found is not None
        return found

    def registered(self) -> MigrationScene:
        super().registered()
        manifest: Any = self.world.registry.manifest(*PLACE)
        manifest["migrations"] = {
            "runner": "task",
            "service": "api",
            "command": COMMAND,
            "verify": VERIFY,
            "snapshot": "before",
            "secret": SECRET,
        }
        manifest["database"] = {self.kind: "shop"}
        self.world.registry.put_manifest(*PLACE, manifest)
        self.world.backups.databases[(self.kind, "shop")] = "available"
        self.world.references.secrets.add(SECRET)
        return self

    def prepared(self) -> MigrationScene:
        """It has the lock, and the intention is in the ledger."""
        self.registered().planned().locked()
        run_migration.run(event("run_migration/prepare"), self.world.ports)
        self.world.executions.wait(TOKEN)
        return self

    def snapshotting(self) -> MigrationScene:
        """With the token of the events."""
        self.prepared()
        run_migration.run(event("run_migration/await_snapshot"), self.world.ports)
        return self

    def made(self) -> MigrationScene:
        self.world.backups.snapshots[(self.kind, SNAPSHOT)] = "available"
        return self

    def migrating(self) -> MigrationScene:
        """By the task that the events name, with their token."""
        self.prepared()
        # ECS answers a token that it knows with the task that it has started for it.
        token = content_hash([DEPLOYMENT, Purpose.MIGRATE.value])[:32]
        containers = self.world.containers
        containers.one_offs[TASK] = OneOff(CLUSTER, "shop-api", "", "app", COMMAND, {}, token, "", "")
        containers.ended[TASK] = None
        run_migration.run(event("run_migration/run_task"), self.world.ports)
        assert self.run.task == TASK
        return self

    def ended(self, exit_code: int = 0) -> MigrationScene:
        self.world.containers.end_task(TASK, exit_code=exit_code)
        return self
