"""What a push changed, as events of CodeCommit.

Shape: CodeCommit user guide, "Monitoring CodeCommit events in Amazon EventBridge and Amazon CloudWatch
Events", referenceCreated, referenceUpdated and referenceDeleted; the fields about a merge belong to merges
made in CodeCommit itself.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate_local.codecommit import git
from tidegate_local.codecommit.repositories import Repositories, Repository
from tidegate_local.events import Event, service_event

NOTHING = "0" * 40
_KINDS = {"refs/heads/": "branch", "refs/tags/": "tag"}
_DONE = {"referenceCreated": "created", "referenceUpdated": "updated", "referenceDeleted": "deleted"}

Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Kind = Literal["branch", "tag"]
Announce = Callable[[Event], str | None]


class Change(BaseModel):
    """One reference of a push; 40 zeros stand for a reference that was not there, or is no more."""

    model_config = ConfigDict(extra="forbid")

    old: Commit
    new: Commit
    reference: Annotated[str, Field(min_length=1, max_length=1024)]


class Push(BaseModel):
    """The body of `POST /_tidegate/pushes`."""

    model_config = ConfigDict(extra="forbid")

    repository: str
    changes: Annotated[list[Change], Field(min_length=1, max_length=1000)]


def receive(repositories: Repositories, push: Push, announce: Announce) -> list[str]:
    """Send one event for each branch and tag; returns what to tell the person who pushed.

    Raises `NoSuchRepositoryError` and `InvalidNameError`.
    """
    repository = repositories.get(push.repository)
    _follow_first_branch(repository, push.changes)
    told = []
    for change in push.changes:
        detail = _detail(repositories, repository, change)
        if detail is None:
            continue
        sent = announce(
            service_event(
                "aws.codecommit",
                "CodeCommit Repository State Change",
                detail,
                [repositories.arn(repository.name)],
            )
        )
        told.append(_line(detail, sent))
    if any(change.new != NOTHING and change.reference.startswith("refs/heads/") for change in push.changes):
        told.append(f"follow what comes of it: tidegate --local builds {repository.name}")
    return told


def _detail(repositories: Repositories, repository: Repository, change: Change) -> dict[str, Any] | None:
    prefix = next((prefix for prefix in _KINDS if change.reference.startswith(prefix)), None)
    if prefix is None:
        return None  # a note, say: CodeCommit has events for branches and tags only
    detail: dict[str, Any] = {
        "event": "referenceUpdated",
        "repositoryName": repository.name,
        "repositoryId": repository.id,
        "referenceType": _KINDS[prefix],
        "referenceName": change.reference.removeprefix(prefix),
        "referenceFullName": change.reference,
        "callerUserArn": f"arn:aws:iam::{repositories.settings.account}:root",
    }
    if change.new == NOTHING:
        return detail | {"event": "referenceDeleted", "oldCommitId": change.old}
    detail["commitId"] = _commit(repository, change.new)
    if change.old == NOTHING:
        return detail | {"event": "referenceCreated"}
    return detail | {"oldCommitId": _commit(repository, change.old)}


def _commit(repository: Repository, name: str) -> str:
    """The commit an annotated tag stands for; of anything else its own id."""
    try:
        return git.text("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", repository=repository.path)
    except git.GitError:
        return name


def _follow_first_branch(repository: Repository, changes: Sequence[Change]) -> None:
    """HEAD names the first branch that was ever pushed: CodeCommit's default branch."""
    try:
        git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", repository=repository.path)
    except git.GitError:
        first = next(
            (c.reference for c in changes if c.new != NOTHING and c.reference.startswith("refs/heads/")), None
        )
        if first is not None:
            git.run("symbolic-ref", "HEAD", first, repository=repository.path)


def _line(detail: dict[str, Any], sent: str | None) -> str:
    done, name = _DONE[detail["event"]], detail["referenceName"]
    commit = f" ({detail['commitId'][:12]})" if "commitId" in detail else ""
    event = f"event {sent}" if sent else "its event is silenced"
    return f"{detail['referenceType']} {name} {done}{commit}: {event}"
