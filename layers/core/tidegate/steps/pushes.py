"""A push: of CodeCommit, or of GitHub by way of the function `webhook`. It starts `build` for every system that is
built from the repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.fields import EVENT_TRIGGER, HALF_CHARACTER
from tidegate.domain.ids import content_hash
from tidegate.domain.source import codecommit, github
from tidegate.ports import Ports
from tidegate.steps.releasing import execution_name
from tidegate.steps.routing import systems_built_from


@dataclass(frozen=True, slots=True)
class Push:
    """`before` is None for a new branch; `changed` None where the event does not tell. `identity` is the same when one
    push is told twice, and another when it is made again."""

    identity: str
    repository: str
    ref: str
    commit: str
    before: str | None
    changed: list[str] | None
    actor: str
    url: str | None = None

    @property
    def plain(self) -> bool:
        """Whether all of it is text: half a character has no hash, and no branch of that name is followed."""
        return not any(map(HALF_CHARACTER.search, (self.repository, self.ref, self.commit, self.actor)))


def pushed(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    detail = event.get("detail")
    push = _read(event, detail) if isinstance(detail, Mapping) else None
    if push is None or not push.plain:
        return {"did": "nothing", "why": "no push to a branch"}
    systems = systems_built_from(ports, push.repository)
    if not systems:
        return {"did": "nothing", "why": f"no system is built from {push.repository}"}
    hash_ = content_hash([push.identity, push.repository, push.ref, push.commit])[:32]
    started = [
        ports.executions.start("build", execution_name(system, hash_), _input(system, push)).arn
        for system in systems
    ]
    return {"did": "started", "executions": started}


def _read(event: Mapping[str, Any], detail: Mapping[str, Any]) -> Push | None:
    if event.get("detail-type") == "GitHub Push":
        return Push(
            str(detail.get("delivery") or event.get("id")),
            github(str(detail["repository"])),
            str(detail["ref"]),
            str(detail["commit"]),
            detail.get("before"),
            detail.get("changed"),
            str(detail.get("actor") or "github"),
            detail.get("url"),
        )
    # EventBridge user guide, "CodeCommit Repository State Change".
    if detail.get("referenceType") != "branch" or detail.get("event") == "referenceDeleted":
        return None
    name, branch, commit = (
        detail.get("repositoryName"),
        detail.get("referenceFullName") or f"refs/heads/{detail.get('referenceName')}",
        detail.get("commitId"),
    )
    if not isinstance(name, str) or not isinstance(commit, str):
        return None
    actor = str(detail.get("callerUserArn") or "codecommit").rsplit(":", 1)[-1]
    return Push(
        str(event.get("id")), codecommit(name), branch, commit, detail.get("oldCommitId"), None, actor
    )


def _input(system: str, push: Push) -> dict[str, Any]:
    """The input of `build`: the same for every copy of the event."""
    document: dict[str, Any] = {
        "system": system,
        "commit": push.commit,
        "ref": push.ref,
        "repository": push.repository,
        "actor": push.actor,
        "reason": f"push {push.url}" if push.url else f"push to {push.ref.removeprefix('refs/heads/')}",
        "trigger": EVENT_TRIGGER,
    }
    if push.before is not None:
        document["before"] = push.before
    if push.changed is not None and not any(map(HALF_CHARACTER.search, push.changed)):
        document["changed"] = push.changed
    return document
