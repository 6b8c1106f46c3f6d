"""How a run ends. Every run ends in exactly one of these; the words are the contract's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    SUCCEEDED = "Succeeded"
    ROTATED = "Rotated"
    NO_CHANGE = "NoChange"
    REFUSED = "Refused"
    SUPERSEDED = "Superseded"
    FAILED_CLEAN = "FailedClean"
    FAILED_DIRTY = "FailedDirty"

    @property
    def failed(self) -> bool:
        """Whether the execution ends as FAILED, with this name as its error."""
        return self in (Outcome.FAILED_CLEAN, Outcome.FAILED_DIRTY)

    @property
    def severity(self) -> str:
        """Which topic hears of it: FailedDirty wakes somebody, FailedClean is read in the morning."""
        return {Outcome.FAILED_DIRTY: "critical", Outcome.FAILED_CLEAN: "warning"}.get(self, "info")

    @property
    def exit_code(self) -> int:
        return _EXIT_CODES[self]

    @property
    def event(self) -> str:
        """`detail-type` of the event that announces it."""
        return _EVENTS[self]


_EXIT_CODES = {
    Outcome.SUCCEEDED: 0,
    Outcome.ROTATED: 0,
    Outcome.NO_CHANGE: 0,
    Outcome.FAILED_CLEAN: 10,
    Outcome.FAILED_DIRTY: 20,
    Outcome.REFUSED: 30,
    Outcome.SUPERSEDED: 40,
}
_EVENTS = {
    Outcome.SUCCEEDED: "Deployment Succeeded",
    Outcome.ROTATED: "Rotation Succeeded",
    # Nothing had to change, which is what was asked for.
    Outcome.NO_CHANGE: "Deployment Succeeded",
    Outcome.FAILED_CLEAN: "Deployment Failed",
    Outcome.FAILED_DIRTY: "Deployment Failed",
    Outcome.REFUSED: "Deployment Refused",
    Outcome.SUPERSEDED: "Deployment Superseded",
}


@dataclass(frozen=True, slots=True)
class OutcomeDocument:
    """What an execution ends with: its output, or the `cause` of its failure (so: no logs, under 32,768 characters)."""

    outcome: Outcome
    deployment: str
    release: str | None
    reason: str
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome.value,
            "deployment": self.deployment,
            "release": self.release,
            "reason": self.reason,
            "services": {key: dict(value) for key, value in self.services.items()},
        }
