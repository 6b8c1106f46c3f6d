"""A shop whose releases bring migrations: played one step at a time, as the machine `migrate` does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tidegate.steps import run_migration

from tests.unit.cli.conftest import Terminal
from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, Shop, digest, manifest

EXPAND, CONTRACT = "0001_add_orders.sql", "0002_drop_total.sql"
SQL = {"runner": "sql", "secret": "shop/{environment}/database", "timeout": "15m", "lock_timeout": "5s"}
TASK = {
    "runner": "task",
    "service": "api",
    "command": ["alembic", "upgrade", "head"],
    "verify": ["alembic", "current", "--check-heads"],
}
_FILES = {
    f"/migrations/{EXPAND}": b"CREATE TABLE orders (id bigint PRIMARY KEY, total int);\n",
    f"/migrations/{CONTRACT}": b"ALTER TABLE orders DROP COLUMN total;\n",
}


def migrates(terminal: Terminal, migrations: Mapping[str, Any], **settings: Any) -> None:
    """Register the shop with these migrations; the environment has these settings more."""
    environment = {**manifest()["environments"][ENVIRONMENT], **settings}
    data = manifest(migrations=dict(migrations), environments={ENVIRONMENT: environment})
    terminal.shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, data)


def bring(terminal: Terminal, version: int, *names: str) -> None:
    """The image of a version has these SQL files; squawk looked at them, and found one thing in CONTRACT."""
    images, key = terminal.shop.world.images, (REPOSITORY, digest(version))
    images.files[key] = {path: text for path, text in _FILES.items() if path.rpartition("/")[2] in names}
    finding = {
        "file": CONTRACT,
        "line": 1,
        "rule": "ban-drop-column",
        "level": "Warning",
        "message": "Dropping a column may break existing clients.",
    }
    images.labels[key] = {
        "tidegate.migrations.linter": "squawk 2.70.0",
        "tidegate.migrations.lint": json.dumps({"findings": [finding], "left_out": {}}),
    }


def migrate(shop: Shop, planned: Mapping[str, Any], fence: int, outcome: str | None, **end: Any) -> None:
    """The migration begins, and ends with this outcome; with None it goes on."""
    event = {**shop.place(planned), "fence": fence, "execution": shop.world.executions.run("migrate", "m")}
    run_migration.run({**event, "step": "Prepare"}, shop.world.ports)
    if outcome is not None:
        shop.world.clock.advance(12)
        ended = {"outcome": outcome, "reason": "", "head": None, **end}
        run_migration.run({**event, "step": "Record", **ended}, shop.world.ports)


def run_task(shop: Shop, planned: Mapping[str, Any], fence: int) -> str:
    """The migration's task is under way; its ARN."""
    execution = shop.world.executions.run("migrate", "m")
    token = shop.world.executions.wait("migrate-token")
    event = {**shop.place(planned), "fence": fence, "execution": execution, "token": token}
    run_migration.run({**event, "step": "Prepare"}, shop.world.ports)
    run_migration.run({**event, "step": "RunTask", "purpose": "Migrate"}, shop.world.ports)
    return next(reversed(shop.world.containers.one_offs))
