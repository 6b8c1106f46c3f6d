"""What a plan is made of before it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.domain.plan import Plan
from tidegate.steps.migration_planning import Folder
from tidegate.steps.services import Busy


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan, what it was made from, and what would hold it up.

    `digests` are those of the release, `release` its number where it is known already (what is `unreleased`, a restart
    or a change of a count, has none where nothing was ever released); `busy` names services whose ECS deployment, not
    ours, is under way and has to end first; `differences` is per service what the new task definition changes.
    `approval` says that a person must approve (`other`: one who is not the author), `queue` how the environment's
    manifest wants others to wait; `folder` holds the SQL files that were looked at.
    """

    plan: Plan
    commit: str | None
    digests: Mapping[str, str]
    release: int | None
    busy: tuple[Busy, ...] = ()
    differences: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    approval: str | None = None
    queue: str = "fifo"
    unreleased: bool = False
    folder: Folder | None = None

    @property
    def nothing_to_do(self) -> bool:
        return not self.busy and not self.plan.changed and self.plan.migration is None
