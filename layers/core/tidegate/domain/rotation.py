"""Rotations: what is replaced and how, what a run has done of it, and how a secret stands since.

A rotation never overwrites a credential that somebody uses: the new value goes to a user (or a second password) that
has no consumer left, and the old one is disabled when every consumer has started again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

ALTERNATING, DUAL_PASSWORD, REGENERATE = "alternating", "dual-password", "regenerate"
TOKEN = "token"  # noqa: S105 -- a kind of secret
PLAIN = "plain"
_PAYLOAD = ("secret", "kind", "strategy", "admin", "users", "format", "tls", "version", "statements")
CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"


def version_of(deployment_id: str, part: str = "") -> str:
    """The id of the version that a rotation writes: the same however often a step runs (Secrets Manager API reference,
    PutSecretValue: ClientRequestToken, 32 to 64 characters, becomes the version's id)."""
    return str(uuid5(NAMESPACE_URL, f"tidegate:rotation:{deployment_id}{part}"))


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """`overlap` is in seconds; `format` is `json` or `{"key", "style"}`; `function` names the stack of the
    environment's in-VPC functions, empty for the orchestrator's own. `adopt` is `plan` or `apply` where nothing
    is rotated but a single-user secret prepared; `statements` the hash of what a person has agreed to."""

    secret: str
    kind: str
    strategy: str
    version: str
    admin: str | None = None
    users: tuple[str, ...] = ()
    format: str | Mapping[str, str] = "json"
    tls: str = "verify-full"
    overlap: int = 30
    function: str = ""
    adopt: str | None = None
    statements: str | None = None

    def to_json(self) -> dict[str, Any]:
        item = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {
            **item,
            "users": list(self.users),
            "format": self.format if isinstance(self.format, str) else dict(self.format),
        }

    def payload(self) -> dict[str, Any]:
        """What the function `rotate_secret` is given of it (`domain.secret_rotation`)."""
        known = self.to_json()
        return {name: known[name] for name in _PAYLOAD}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> RotationPlan:
        known = {entry.name: item[entry.name] for entry in fields(cls) if entry.name in item}
        return cls(**{**known, "users": tuple(item["users"]), "overlap": int(item["overlap"])})


@dataclass(frozen=True, slots=True)
class RotationRun:
    """What one run has done, written before it is done.

    `previous` is the version that was current before; from then on the new one may be (`version`). `restored` says that
    `previous` is current again, `replaces` which ECS deployment of each consumer may have tasks with the new value
    since. `retiring` is the point of no return: from there a run goes forward only.
    """

    previous: str
    version: str
    user: str = ""
    next_user: str = ""
    at: str = ""
    restored: bool = False
    retiring: bool = False
    replaces: Mapping[str, str] = field(default_factory=dict)

    @property
    def forward_only(self) -> bool:
        """Where the answer to `retiring` was lost, the machine may have gone back before anything was disabled: then it
        goes on going back."""
        return self.retiring and not self.restored

    def to_json(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)} | {
            "replaces": dict(self.replaces)
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> RotationRun:
        return cls(**{entry.name: item[entry.name] for entry in fields(cls) if entry.name in item})


@dataclass(frozen=True, slots=True)
class SecretStanding:
    """How a secret stands in an environment: its last rotation that succeeded (`rotated_at`, `deployment`, `actor`, the
    `version` that is current since), and the last attempt, whatever came of it. A consumer that started before
    `promoted_at` has another value, unless the rotation itself started it by an ECS deployment of `rolled`; those of
    `suspects` may have one that was given up."""

    secret: str
    rotated_at: str = ""
    promoted_at: str = ""
    version: str = ""
    deployment: str = ""
    actor: str = ""
    user: str = ""
    rolled: Mapping[str, str] = field(default_factory=dict)
    suspects: tuple[str, ...] = ()
    attempt: str = ""
    attempt_at: str = ""
    attempt_outcome: str = ""

    def to_json(self) -> dict[str, Any]:
        item = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {**item, "rolled": dict(self.rolled), "suspects": list(self.suspects)}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> SecretStanding:
        known = {entry.name: item[entry.name] for entry in fields(cls) if entry.name in item}
        return cls(**{**known, "suspects": tuple(item.get("suspects", ()))})


PRECHECK: Final = "Precheck"
STAGE, SET, TEST, PROMOTE, RETIRE = "Stage", "Set", "Test", "Promote", "Retire"
RESTORE, ABANDON = "Restore", "Abandon"
ADOPTION, ADOPT = "Adoption", "Adopt"
STEPS: Final = (PRECHECK, STAGE, SET, TEST, PROMOTE, RETIRE, RESTORE, ABANDON, ADOPTION, ADOPT)
