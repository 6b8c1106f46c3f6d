"""The rows of migrations: what `run_migration` does step by step, and what `wake` hears of its task and snapshot."""

from __future__ import annotations

from typing import Any

from tests.functions.migration_scene import COMMAND, SNAPSHOT, TASK, VERIFY, MigrationScene
from tests.functions.scene import DEPLOYMENT, TOKEN, Row


def registered() -> MigrationScene:
    return MigrationScene().registered()


def migrating() -> MigrationScene:
    return MigrationScene().migrating()


def snapshotting(kind: str = "instance") -> MigrationScene:
    return MigrationScene(kind=kind).snapshotting()


def answer(scene: MigrationScene) -> Any:
    """What the task that waits was told; None while nobody told it anything."""
    return scene.world.executions.answers.get(TOKEN)


def asked(scene: MigrationScene) -> list[tuple[list[str], str, str]]:
    """The tasks that ECS was asked for: command, by whom, group."""
    found = scene.world.containers.one_offs.values()
    return [(list(task.command), task.started_by, task.group) for task in found]


STARTED_BY, GROUP = f"tidegate/{DEPLOYMENT}", "tidegate-migrate-shop-api"
STEPS = {
    "prepare": Row(
        lambda: registered().planned().locked(),
        {"outcome": "Ready", "runner": "task", "snapshot": True, "verify": True},
        lambda scene: scene.run.outcome is None,
    ),
    "prepare_to_stop": Row(migrating, {"outcome": "Stop"}),
    "await_snapshot": Row(
        lambda: MigrationScene().prepared(),
        {"waiting_for": SNAPSHOT},
        lambda scene: (
            scene.world.backups.snapshots == {("instance", SNAPSHOT): "creating"} and answer(scene) is None
        ),
    ),
    "go_on": Row(
        lambda: MigrationScene().prepared(),
        {"outcome": "GoOn", "reason": ""},
        lambda scene: scene.run.outcome is None and asked(scene) == [] and answer(scene) is None,
    ),
    "run_task": Row(
        lambda: MigrationScene().prepared(),
        {},
        lambda scene: asked(scene) == [(COMMAND, STARTED_BY, GROUP)] and answer(scene) is None,
    ),
    "run_task_to_verify": Row(
        lambda: MigrationScene().prepared(),
        {},
        lambda scene: asked(scene) == [(VERIFY, STARTED_BY, GROUP)] and answer(scene) is None,
    ),
    "stop_task": Row(
        migrating,
        {"waiting_for": TASK.rpartition("/")[2]},
        lambda scene: (
            scene.world.containers.called("stop_task") == 1 and answer(scene)["outcome"] == "Exited"
        ),
    ),
    "record": Row(
        lambda: migrating().ended(),
        {"outcome": "Migrated"},
        lambda scene: scene.run.outcome == "Migrated",
    ),
    "record_a_failure": Row(
        lambda: migrating().ended(1),
        {"outcome": "Failed"},
        lambda scene: (
            scene.run.outcome == "Failed"
            and [r.service for r in scene.ledger.reports(DEPLOYMENT)] == ["the migration"]
        ),
    ),
}
WAKE = {
    "ecs_task_of_a_migration": Row(
        lambda: migrating().ended(),
        {"did": "looked", "resumed": 1},
        lambda scene: answer(scene)["outcome"] == "Exited",
    ),
    "ecs_task_of_a_migration_that_failed": Row(
        lambda: migrating().ended(1),
        {"did": "looked", "resumed": 1},
        lambda scene: answer(scene)["outcome"] == "Failed",
    ),
    "rds_snapshot_made": Row(
        lambda: snapshotting().made(),
        {"did": "looked", "resumed": 1},
        lambda scene: answer(scene)["outcome"] == "Made",
    ),
    "rds_cluster_snapshot_made": Row(
        lambda: snapshotting("cluster").made(),
        {"did": "looked", "resumed": 1},
        lambda scene: answer(scene)["outcome"] == "Made",
    ),
    # It is let through by no rule, and would do no harm.
    "rds_snapshot_of_somebody_else": Row(
        snapshotting, {"did": "nothing"}, lambda scene: answer(scene) is None
    ),
}
MIGRATION_ROWS = {
    f"{function}/{case}": row
    for function, rows in {"run_migration": STEPS, "wake": WAKE}.items()
    for case, row in rows.items()
}
