"""What a release does to the database, what was done there, and what the schema is since, as JSON documents."""

from __future__ import annotations

from typing import Any

from tidegate.domain.deployment import Current
from tidegate.domain.migration import MigrationPlan, MigrationRun, PendingFile, Schema
from tidegate.domain.plan import Plan
from tidegate.domain.redaction import redacted
from tidegate.domain.release import release_name

_NAMED = 3


def planned_migrations(plan: Plan | None) -> list[dict[str, Any]]:
    """One entry, or none: `{"runner", "image", "digest", "command", "directory", "verify", "secret", "snapshot",
    "timeout", "lock_timeout", "linter", "files"}`. `command` is there with the runner task, `directory` where SQL files
    were looked at; times are in seconds, `secret` is a name, `files` are those not yet run here."""
    migration = None if plan is None else plan.migration
    if migration is None:
        return []
    how: dict[str, Any] = {"command": _words(migration.command)} if migration.command else {}
    where = {} if migration.directory is None else {"directory": migration.directory}
    entry = {
        "runner": migration.runner,
        "image": migration.image,
        "digest": migration.digest,
        **how,
        **where,
        "verify": _words(migration.verify),
        "secret": migration.secret,
        "snapshot": migration.snapshot,
        "timeout": migration.timeout,
        "lock_timeout": migration.lock_timeout,
        "linter": migration.linter,
        "files": [_file(file) for file in migration.pending],
    }
    return [entry]


def because(migration: MigrationPlan | None) -> str:
    """Why a person is asked, besides what the manifest says: `, because 0007_drop.sql takes away …`, or nothing."""
    steps = () if migration is None else migration.contracts
    if not steps:
        return ""
    named = ", ".join(file.name for file in steps[:_NAMED])
    more = f" and {len(steps) - _NAMED} more" if len(steps) > _NAMED else ""
    verb = "takes" if len(steps) == 1 else "take"
    return f", because {named}{more} {verb} away what code that runs now may need"


def migration_entry(run: MigrationRun | None) -> dict[str, Any] | None:
    """What was done in a deployment; `outcome` is null while it goes on, `task` an ARN, `snapshot` an identifier."""
    if run is None:
        return None
    return {
        "outcome": run.outcome,
        "reason": run.reason,
        "head": run.head,
        "head_before": run.head_before,
        "task": run.task,
        "snapshot": run.snapshot,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def schema_entry(schema: Schema | None, current: Current | None) -> dict[str, Any] | None:
    """What an environment's database is at; `ahead` says that it is there for a release that does not run."""
    if schema is None:
        return None
    return {
        "release": release_name(schema.release),
        "head": schema.head,
        "at": schema.at or None,
        "ahead": schema.release > (0 if current is None else current.release),
    }


def _words(command: tuple[str, ...]) -> list[str]:
    """Somebody may have written a password there."""
    return [redacted(word) for word in command]


def _file(file: PendingFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "kind": file.kind,
        "reasons": list(file.reasons),
        "findings": [dict(finding) for finding in file.findings],
    }
