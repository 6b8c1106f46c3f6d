"""Migrations: what a release would do to the database, what was done, and what the schema is since.

The schema only ever goes forward. A rollback reverts code; what was added stays, and what was taken away is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from tidegate.domain.credentials import JSON, Format

TASK, SQL = "task", "sql"
CONTRACT = "contract"
# The part of a release that migrates, where a failure report names a service; no service has a name with a space.
PART = "the migration"
# The ledger's item of a schema is bounded; an older image that comes back is migrated again, which does nothing.
_DONE_KEPT = 100
_IRREVERSIBLE_KEPT = 50
# What a migration may take beside its own time, and a snapshot of a large database, in seconds: as long as the Tasks of
# the machine `migrate` that look into the database, and end what was begun, are waited for.
LONGEST_BESIDE, LONGEST_SNAPSHOT = 3600, 6 * 3600


class Purpose(StrEnum):
    """Of a one-off task: the migration, or the look at what it made."""

    MIGRATE = "Migrate"
    VERIFY = "Verify"


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A SQL file that has not run here yet; `kind` is `expand` or `contract`, for these `reasons`; `findings` are
    the linter's, `{"line", "rule", "level", "message"}`."""

    name: str
    checksum: str
    kind: str
    reasons: tuple[str, ...] = ()
    findings: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "checksum": self.checksum,
            "kind": self.kind,
            "reasons": list(self.reasons),
            "findings": [dict(finding) for finding in self.findings],
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> PendingFile:
        return cls(
            item["name"], item["checksum"], item["kind"], tuple(item["reasons"]), tuple(item["findings"])
        )


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What is run before the first wave.

    Of the runner `task`: `base` is the task definition whose shape the task takes, with `image_uri` in `container`,
    in the network of `ecs_service`. Of both: `pending` are the SQL files of the image not yet run here, as far as the
    ledger knows; `linter` is what looked at them when the image was built. Times are in seconds. `function` names the
    stack of the environment's in-VPC functions, empty for the orchestrator's own; `database` is `{"cluster": …}`,
    `{"instance": …}` or None. `secret_format` is how the secret says what a credential has, where the manifest
    rotates it too. `key` says what is done, by its content: nothing is done twice.
    """

    runner: str
    key: str
    image: str
    repository: str
    digest: str
    image_uri: str
    timeout: int
    lock_timeout: int
    statement_timeout: int
    transaction_age: int
    snapshot: bool
    service: str | None = None
    ecs_service: str = ""
    base: str = ""
    container: str = ""
    command: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    directory: str | None = None
    secret: str | None = None
    secret_format: Format = JSON
    tls: str = "verify-full"
    function: str = ""
    database: Mapping[str, str] | None = None
    pending: tuple[PendingFile, ...] = ()
    linter: str | None = None

    @property
    def contracts(self) -> tuple[PendingFile, ...]:
        """Steps after which older code does not work any more."""
        return tuple(file for file in self.pending if file.kind == CONTRACT)

    @property
    def longest(self) -> int:
        """Seconds that all of it may take: a snapshot of a large database takes hours, a task minutes to start."""
        tasks = 2 if self.verify else 1
        return tasks * self.timeout + LONGEST_BESIDE + (LONGEST_SNAPSHOT if self.snapshot else 0)

    def to_json(self) -> dict[str, Any]:
        item = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {
            **item,
            "command": list(self.command),
            "verify": list(self.verify),
            "database": None if self.database is None else dict(self.database),
            "pending": [file.to_json() for file in self.pending],
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> MigrationPlan:
        known = {entry.name: item[entry.name] for entry in fields(cls) if entry.name in item}
        numbers = ("timeout", "lock_timeout", "statement_timeout", "transaction_age")
        return cls(
            **{
                **known,
                **{name: int(item[name]) for name in numbers},
                "command": tuple(item["command"]),
                "verify": tuple(item["verify"]),
                "pending": tuple(PendingFile.from_json(file) for file in item["pending"]),
            }
        )


class MigrationOutcome(StrEnum):
    """How the machine `migrate` ends, as data."""

    MIGRATED = "Migrated"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class MigrationRun:
    """What was done of a deployment's migration: written before ECS or RDS is touched, so that a retry adopts it.

    `task` and `verify_task` are ARNs, `snapshot` is an identifier; `asking` is the purpose of a task that ECS was asked
    for and whose ARN is not known yet. `head` is where the schema stood afterwards,
    `head_before` where it stood before, None where nobody looked. `alive` says that its task could not be stopped.
    """

    execution: str
    started_at: str
    task_definition: str | None = None
    task: str | None = None
    verify_task: str | None = None
    snapshot: str | None = None
    asking: str | None = None
    head_before: str | None = None
    head: str | None = None
    outcome: str | None = None
    reason: str = ""
    finished_at: str | None = None
    alive: bool = False

    @property
    def may_have_changed(self) -> bool:
        """Whether the schema may be another one than before."""
        if self.outcome == MigrationOutcome.MIGRATED:
            return self.head is None or self.head != self.head_before
        if self.head is not None:
            # From None as well: an empty database, or one that nobody looked at.
            return self.head != self.head_before
        return self.task is not None or self.asking is not None

    def to_json(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> MigrationRun:
        return cls(**{entry.name: item[entry.name] for entry in fields(cls) if entry.name in item})


@dataclass(frozen=True, slots=True)
class Irreversible:
    """A contract step that ran: releases that succeeded before `at` may need what it took away."""

    name: str
    release: int
    deployment: str
    at: str

    def to_json(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


@dataclass(frozen=True, slots=True)
class Schema:
    """What an environment's database is at, as far as migrations of Tidegate made it so: by which release, `files`
    that ran (name to checksum), the `done` migrations by their key, newest last."""

    release: int
    deployment: str
    at: str
    fence: int
    head: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    done: tuple[str, ...] = ()
    irreversible: tuple[Irreversible, ...] = ()

    def after(
        self, release: int, deployment: str, at: str, fence: int, plan: MigrationPlan, run: MigrationRun
    ) -> Schema:
        """The schema once a migration has succeeded. One that found nothing to do leaves the release as it was."""
        moved = run.may_have_changed or bool(plan.pending)
        contracts = tuple(Irreversible(file.name, release, deployment, at) for file in plan.contracts)
        return Schema(
            release if moved else self.release,
            deployment if moved else self.deployment,
            at if moved else self.at,
            fence,
            run.head or self.head,
            {**self.files, **{file.name: file.checksum for file in plan.pending}},
            (*(key for key in self.done if key != plan.key), plan.key)[-_DONE_KEPT:],
            (*self.irreversible, *contracts)[-_IRREVERSIBLE_KEPT:],
        )

    def taken_away_since(self, moment: str) -> tuple[Irreversible, ...]:
        """Contract steps that ran after `moment` (ISO 8601)."""
        return tuple(step for step in self.irreversible if step.at > moment)

    def to_json(self) -> dict[str, Any]:
        item = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {
            **item,
            "files": dict(self.files),
            "done": list(self.done),
            "irreversible": [step.to_json() for step in self.irreversible],
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Schema:
        known = {entry.name: item[entry.name] for entry in fields(cls) if entry.name in item}
        steps: Sequence[Mapping[str, Any]] = item.get("irreversible", [])
        return cls(
            **{
                **known,
                "done": tuple(item.get("done", [])),
                "irreversible": tuple(Irreversible(**step) for step in steps),
            }
        )
