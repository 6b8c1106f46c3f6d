"""Where source comes from, in one notation: `codecommit:<name>` or `github:<owner>/<name>`."""

from __future__ import annotations

import re

_CODECOMMIT = re.compile(r"https://git-codecommit(?:-fips)?\.[a-z0-9.-]+/v1/repos/([\w.-]{1,100})/?")
_GITHUB = re.compile(
    r"(?:https://(?:[^/@]+@)?|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?", re.IGNORECASE
)


def codecommit(name: str) -> str:
    return f"codecommit:{name}"


def github(full_name: str) -> str:
    """GitHub compares the names of owners and repositories without regard to case."""
    return f"github:{full_name.lower()}"


def repository_of(source_type: str, location: str) -> str | None:
    """The repository of a CodeBuild project (CodeBuild API reference, ProjectSource); None for any other source."""
    if source_type == "CODECOMMIT":
        found = _CODECOMMIT.fullmatch(location)
        return codecommit(found[1]) if found else None
    if source_type == "GITHUB":
        found = _GITHUB.fullmatch(location)
        return github(found[1]) if found else None
    return None


def branch_of(ref: str | None) -> str | None:
    """`main` of `refs/heads/main`; None for a tag or no ref."""
    return ref.removeprefix("refs/heads/") if ref is not None and ref.startswith("refs/heads/") else None


def name_in(repository: str, host: str) -> str | None:
    """The name within its host, where it is of that host: `codecommit:shop` of `codecommit` is `shop`."""
    prefix, _, name = repository.partition(":")
    return name if prefix == host else None
