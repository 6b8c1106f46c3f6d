"""Builds: which images a push touches, when one is built already, how CodeBuild's word on it reads.

A build record is one run of the machine `build`: one commit of one system, any number of images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from tidegate.domain.errors import BadManifestError
from tidegate.domain.release import is_digest

# CodeBuild's API reference, Build: buildStatus.
IN_PROGRESS, SUCCEEDED = "IN_PROGRESS", "SUCCEEDED"
# The environment variables between Tidegate and a buildspec (infrastructure/build.yaml).
MARKER, IMAGE, DIGEST, COMMIT = "TIDEGATE_BUILD", "TIDEGATE_IMAGE", "TIDEGATE_DIGEST", "TIDEGATE_COMMIT"
REPOSITORY, CONTEXT, DOCKERFILE = "TIDEGATE_REPOSITORY", "TIDEGATE_CONTEXT", "TIDEGATE_DOCKERFILE"
TEST, ARGUMENTS, MIGRATIONS = "TIDEGATE_TEST", "TIDEGATE_BUILD_ARGS", "TIDEGATE_MIGRATIONS"


class BuildOutcome(StrEnum):
    """How a run of `build` ends. Only Failed ends the execution as FAILED."""

    BUILT = "Built"
    NO_CHANGE = "NoChange"
    REFUSED = "Refused"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"


class ImageStatus(StrEnum):
    WAITING = "Waiting"
    BUILDING = "Building"
    BUILT = "Built"
    REUSED = "Reused"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class ImageBuild:
    """One image of a build. `tag` is its release tag, `tree_tag` names the source tree (None where it is not known
    before the build), `build_id` is CodeBuild's; `phase`, `reason` and `logs` tell why it failed."""

    image: str
    repository: str
    tag: str
    project: str = ""
    status: ImageStatus = ImageStatus.WAITING
    tree_tag: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    build_id: str | None = None
    digest: str | None = None
    phase: str | None = None
    reason: str = ""
    logs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        item = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {
            **item,
            "status": self.status.value,
            "variables": dict(self.variables),
            "logs": list(self.logs),
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> ImageBuild:
        known = {entry.name: item[entry.name] for entry in fields(cls) if entry.name in item}
        return cls(**{**known, "status": ImageStatus(item["status"]), "logs": tuple(item.get("logs", ()))})


@dataclass(frozen=True, slots=True)
class Build:
    """`environments` are those that a success is released to, `deployments` the executions of `deploy` by
    environment, `request` the input it was started with."""

    id: str
    system: str
    commit: str
    execution: str
    started_at: str
    ref: str | None = None
    outcome: BuildOutcome | None = None
    explanation: str = ""
    actor: str = ""
    reason: str = ""
    environments: tuple[str, ...] = ()
    deployments: Mapping[str, str] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    finished_at: str | None = None

    def to_json(self) -> dict[str, Any]:
        item = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {
            **item,
            "outcome": None if self.outcome is None else self.outcome.value,
            "environments": list(self.environments),
            "deployments": dict(self.deployments),
            "request": dict(self.request),
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Build:
        known = {entry.name: item[entry.name] for entry in fields(cls) if entry.name in item}
        outcome = item.get("outcome")
        known["outcome"] = None if outcome is None else BuildOutcome(outcome)
        known["environments"] = tuple(item.get("environments", ()))
        return cls(**known)


@dataclass(frozen=True, slots=True)
class BuildRun:
    """A build of CodeBuild, as BatchGetBuilds has it. `phase` is the failed phase where one failed, `message` its
    context; `exported` the exported variables, `variables` those it was started with (plain text only)."""

    id: str
    project: str
    status: str
    source_version: str | None = None
    commit: str | None = None
    phase: str | None = None
    message: str = ""
    exported: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    log_group: str | None = None
    log_stream: str | None = None
    url: str | None = None

    @property
    def ours(self) -> bool:
        """Whether Tidegate started it: then the machine `build` waits for it, and nobody else acts on it."""
        return MARKER in self.variables


@dataclass(frozen=True, slots=True)
class BuildVerdict:
    """`digest` is None where the build exported none: then its tag tells."""

    built: bool
    digest: str | None = None
    phase: str | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        outcome = ImageStatus.BUILT if self.built else ImageStatus.FAILED
        return {"outcome": outcome.value, "digest": self.digest, "phase": self.phase, "reason": self.reason}


def judge(run: BuildRun | None) -> BuildVerdict | None:
    """What became of a build; None while it runs. One that CodeBuild does not know has failed."""
    if run is None:
        return BuildVerdict(False, reason="CodeBuild does not know the build any more")
    if run.status == IN_PROGRESS:
        return None
    if run.status == SUCCEEDED:
        digest = run.exported.get(DIGEST)
        return BuildVerdict(True, digest if digest and is_digest(digest) else None)
    where = f" in phase {run.phase}" if run.phase else ""
    why = f": {_brief(run.message)}" if run.message else ""
    return BuildVerdict(False, phase=run.phase, reason=f"{run.status}{where}{why}")


def _brief(message: str) -> str:
    """CodeBuild tells a failed command in full, however many lines it has: its first one, and the reason."""
    first, *more = message.strip().splitlines()
    reason = more[-1].rpartition("Reason:")[2].strip() if more else ""
    return f"{first} … {reason}".strip() if more else first


def tree_tag(tree: str, dockerfile: str, test: str, arguments: str, migrations: str = "") -> str:
    """The tag of a source tree: the same tree, Dockerfile, test and build arguments make the same image.

    `tree` is git's id of the context; `migrations` the folder whose SQL is linted, for the labels that this makes.
    infrastructure/build.yaml has the same formula in its buildspec.
    """
    content = "\n".join(["1", tree, dockerfile, test, arguments, *([migrations] if migrations else []), ""])
    return f"tree-{hashlib.sha256(content.encode()).hexdigest()[:40]}"


def touched(watch: Sequence[str], changed: Iterable[str] | None) -> bool:
    """Whether a push changed what an image is made of. Patterns are gitignore's; none, or a push whose changes are not
    known, touches every image. Raises BadManifestError for a pattern that is none."""
    if changed is None or not watch:
        return changed is None or any(True for _ in changed)
    from pathspec import PathSpec  # noqa: PLC0415 -- only a push with known changes pays for it

    try:
        patterns = PathSpec.from_lines("gitignore", watch)
    except ValueError as error:
        raise BadManifestError(
            f"{' '.join(watch)} is no list of path patterns: {error}",
            field="watch",
            hint="write patterns as in a .gitignore, for example backend/**",
        ) from error
    return any(True for _ in patterns.match_files(changed))


def images_in(exported: Mapping[str, str], images: Mapping[str, str]) -> list[str]:
    """Which of `images` (repository by key) a build may have made: the one that it names by its key, those of the
    address that it says it pushed to, all where it says nothing."""
    named = exported.get(IMAGE)
    if not named:
        return list(images)
    if named in images:
        return [named]
    repository = _repository(named)
    return [key for key, name in images.items() if name == repository]


def _repository(address: str) -> str:
    """`shop/api` of `registry:5000/shop/api:1@sha256:…`, as docker reads an address."""
    name = address.partition("@")[0]
    host, slash, path = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        name = path
    return name.partition(":")[0]
