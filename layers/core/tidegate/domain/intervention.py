"""What people do about a run, or to an environment: abort, approve, reject; who may approve whose release."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tidegate.domain.lock import Rank, rank_of

APPROVED, REJECTED = "Approved", "Rejected"


@dataclass(frozen=True, slots=True)
class Abort:
    """`by` asked at `at` (ISO 8601) that a deployment is taken back."""

    by: str
    reason: str
    at: str

    @property
    def told(self) -> str:
        """In one sentence."""
        return f"aborted by {self.by}: {self.reason}" if self.reason else f"aborted by {self.by}"

    def to_json(self) -> dict[str, Any]:
        return {"by": self.by, "reason": self.reason, "asked_at": self.at}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Abort:
        return cls(item["by"], item["reason"], item["asked_at"])


@dataclass(frozen=True, slots=True)
class Approval:
    """What a deployment waits for a person to approve: this plan and no other.

    `other` says that `author` may not do it. `decision` is None, Approved or Rejected; then `by`, `reason` and
    `decided_at` say who, why and when.
    """

    deployment: str
    plan: str
    asked_at: str
    author: str
    other: bool = False
    rank: Rank = field(default_factory=Rank)
    decision: str | None = None
    by: str = ""
    reason: str = ""
    decided_at: str | None = None

    @property
    def told(self) -> str:
        """What was decided, in one sentence."""
        said = f"{(self.decision or 'undecided').lower()} by {self.by}"
        return f"{said}: {self.reason}" if self.reason else said

    def to_json(self) -> dict[str, Any]:
        own = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "rank"}
        return own | {name: getattr(self.rank, name) for name in self.rank.__slots__}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Approval:
        known = {entry.name: item[entry.name] for entry in fields(cls) if entry.name in item}
        return cls(**known, rank=rank_of(item))


def same_person(one: str, other: str) -> bool:
    """Whether two names may be one person's: ARNs, user names, e-mail addresses and `github ada` are compared by what
    tells a person, and in doubt they are the same."""
    return not _names(one).isdisjoint(_names(other))


def _names(text: str) -> set[str]:
    whole = text.strip().casefold()
    last = re.split(r"[/:\s]", whole)[-1]
    return {name for name in (whole, last, last.partition("@")[0]) if name}
