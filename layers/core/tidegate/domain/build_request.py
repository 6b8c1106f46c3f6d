"""The input of the machine `build`, checked before any work starts (the contract's "Machine inputs")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.domain.errors import BadInputError
from tidegate.domain.fields import EVENT_TRIGGER, HALF_CHARACTER, Fields, ImageRequest

_MOST_PATHS = 5000
_REF = "refs/heads/main"


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """`images` limits the build to some; `before` and `changed` come with a push (None: not known); `repository` is
    where the commit is (`domain.source`); `built` are images that somebody has built and pushed already, which are
    only published: then the commit may be empty."""

    system: str
    commit: str
    ref: str | None = None
    images: tuple[str, ...] = ()
    before: str | None = None
    changed: tuple[str, ...] | None = None
    repository: str | None = None
    built: Mapping[str, ImageRequest] = field(default_factory=dict)
    environments: tuple[str, ...] = ()
    actor: str = ""
    reason: str = ""
    trigger: str = "person"

    @property
    def by_event(self) -> bool:
        return self.trigger == EVENT_TRIGGER


def parse_build(data: object) -> BuildRequest:
    names = {"system", "commit", "ref", "images", "before", "changed", "repository", "built", "environments"}
    given = Fields(data, names | {"actor", "reason", "trigger"})
    system = given.system()
    commit, built = given.commit(), given.images("built")
    if commit is None and not built:
        raise BadInputError("commit is missing", field="commit", hint="name the commit to build")
    ref = given.note("ref") or None
    if ref is not None and not ref.startswith("refs/"):
        raise BadInputError(f"{ref!r} is not a full ref", field="ref", hint=f"write it as {_REF}")
    return BuildRequest(
        system,
        commit or "",
        ref,
        given.keys("images"),
        given.text("before", 64) if given.has("before") else None,
        _paths(given),
        given.note("repository") or None,
        built,
        given.keys("environments"),
        given.note("actor"),
        given.note("reason"),
        given.trigger(),
    )


def _paths(given: Fields) -> tuple[str, ...] | None:
    value: Any = given.raw("changed")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise BadInputError("changed is not a list of paths", field="changed", hint="leave it out")
    if len(value) > _MOST_PATHS or any(HALF_CHARACTER.search(path) for path in value):
        return None  # more than the input can carry, or what the table cannot: then everything is looked at
    return tuple(value)
