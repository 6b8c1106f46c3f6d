"""A release: what would run, by digest. Immutable, numbered within its system, known by its hash."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tidegate.domain.errors import BadInputError
from tidegate.domain.ids import content_hash

_NAME = re.compile(r"r(0|[1-9][0-9]{0,8})")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether a text is an image digest as ECR and OCI registries write it."""
    return _DIGEST.fullmatch(text) is not None


def release_name(number: int) -> str:
    return f"r{number}"


def parse_release_name(text: str, *, field: str = "release") -> int:
    match = _NAME.fullmatch(text)
    if match is None:
        raise BadInputError(
            f"{text!r} is not the name of a release",
            field=field,
            hint="releases are named r1, r2, …: see `tidegate history`",
        )
    return int(match[1])


@dataclass(frozen=True, slots=True)
class Release:
    """`digests` maps an image of the manifest to `sha256:…`; `created_at` is ISO 8601 in UTC. `order` is where the push
    that made it stands among others (`domain.lock.Rank`), empty where no push did."""

    system: str
    number: int
    digests: Mapping[str, str]
    commit: str | None = None
    created_at: str = ""
    order: str = ""

    @property
    def name(self) -> str:
        return release_name(self.number)

    @property
    def hash(self) -> str:
        return release_hash(self.commit, self.digests)


def release_hash(commit: str | None, digests: Mapping[str, str]) -> str:
    """The identity of a release across accounts; its number is one orchestrator's own."""
    return content_hash({"commit": commit, "digests": dict(digests)})


class Verdict(StrEnum):
    """What became of a release in one environment, after the last run that carried it."""

    SUCCEEDED = "Succeeded"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one release stands in one environment; `task_definitions` are those of its last success there."""

    release: int
    verdict: Verdict
    deployment: str
    at: str
    task_definitions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "release": self.release,
            "verdict": self.verdict.value,
            "deployment": self.deployment,
            "at": self.at,
            "task_definitions": dict(self.task_definitions),
        }


def previous_release(standings: Iterable[Standing], current: int) -> Standing | None:
    """The last Succeeded release before the current one that was not rolled back.

    "Before" is by the time of the success, not by number: a person may deploy an old release again.
    """
    known = {standing.release: standing for standing in standings}
    limit = (known[current].at, current) if current in known else None
    earlier = [
        standing
        for standing in known.values()
        if standing.verdict is Verdict.SUCCEEDED
        and standing.release != current
        and (limit is None or (standing.at, standing.release) < limit)
    ]
    return max(earlier, key=lambda standing: (standing.at, standing.release), default=None)
