"""A push as GitHub tells it: the payload of the webhook event `push`, read with distrust.

Source: GitHub Docs, "Webhook events and payloads", `push`
(https://docs.github.com/en/webhooks/webhook-events-and-payloads#push). It says of `commits` that "the array includes a
maximum of 2048 commits", and GitHub's schema of the payload (octokit/webhooks, `push`) says of a commit's `added`,
`modified` and `removed` that each "may be empty" for a commit too large to be looked through in time. So a list that
may have been cut is no list at all: `changed` is then None, and whoever asks what was touched has to assume all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.errors import BadInputError

BRANCH = "refs/heads/"
MOST_COMMITS = 2048
MOST_PATHS = 3000
LONGEST_PATH = 4096  # PATH_MAX of Linux
MOST_BYTES_OF_PATHS = 100_000  # of JSON; an entry of PutEvents takes 256 KB with everything in it
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}/[A-Za-z0-9._-]{1,100}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# What git-check-ref-format forbids, and a bound; a name outside of ASCII is none that a manifest could name.
_BRANCH_NAME = re.compile(r"refs/heads/(?!.*(?:\.\.|@\{|//|\.lock(?:/|$)))[!-\[\]-~]{1,200}")
_NOT_IN_A_REF = frozenset("~^:?*[\\")
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}(?:\[bot\])?")
_URL = re.compile(r"https://[A-Za-z0-9._~:/?#@!$&()*+,;=%^-]{1,500}")
_NOTHING = "0"
_LISTS = ("added", "modified", "removed")


@dataclass(frozen=True, slots=True)
class Push:
    """`before` is None where the push made the branch; `changed` None where it is not known completely.

    `actor` is the login of who pushed and `url` GitHub's page of the difference, each None where it is not in the form
    that GitHub gives it.
    """

    repository: str
    ref: str
    before: str | None
    commit: str
    forced: bool
    changed: tuple[str, ...] | None
    actor: str | None
    url: str | None

    def to_json(self, delivery: str) -> dict[str, Any]:
        """The detail of the event `GitHub Push`; `delivery` is GitHub's id of it."""
        return {
            "repository": self.repository,
            "ref": self.ref,
            "before": self.before,
            "commit": self.commit,
            "forced": self.forced,
            "changed": None if self.changed is None else list(self.changed),
            "actor": self.actor,
            "url": self.url,
            "delivery": delivery,
        }


def repository_of(payload: Mapping[str, Any]) -> str | None:
    """`owner/name`, or None where the payload names no repository in that form."""
    repository = payload.get("repository")
    name = repository.get("full_name") if isinstance(repository, Mapping) else None
    return name if isinstance(name, str) and _REPOSITORY.fullmatch(name) else None


def read_push(payload: Mapping[str, Any], repository: str) -> Push | str:
    """The push, or why it is of no use (a tag, a branch that was deleted).

    Raises BadInputError, which names the field, for what GitHub would never send.
    """
    ref = payload.get("ref")
    if not isinstance(ref, str):
        raise BadInputError("ref is not text", field="ref")
    if not ref.startswith(BRANCH):
        return "not a branch"
    flags = {name: payload.get(name) for name in ("created", "deleted", "forced")}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise BadInputError(f"{name} is neither true nor false", field=name)
    after, before = _hash(payload, "after"), _hash(payload, "before")
    if flags["deleted"] or after is None:
        return "the branch was deleted"
    if not _BRANCH_NAME.fullmatch(ref) or not _NOT_IN_A_REF.isdisjoint(ref):
        raise BadInputError("ref is not a branch that can be followed (ASCII, at most 200)", field="ref")
    if before is not None and len(before) != len(after):
        raise BadInputError("before and after are hashes of different kinds", field="before")
    created = bool(flags["created"]) or before is None
    known = not (created or flags["forced"])
    sender = payload.get("sender")
    return Push(
        repository=repository,
        ref=ref,
        before=None if created else before,
        commit=after,
        forced=bool(flags["forced"]),
        changed=_changed(payload.get("commits"), before, after) if known else None,
        actor=_matching(_LOGIN, sender.get("login") if isinstance(sender, Mapping) else None),
        url=_matching(_URL, payload.get("compare")),
    )


def _hash(payload: Mapping[str, Any], field: str) -> str | None:
    """A commit, or None for the zeros that stand for none."""
    value = payload.get(field)
    if not isinstance(value, str) or not _COMMIT.fullmatch(value):
        raise BadInputError(f"{field} is not 40 or 64 lower-case hexadecimal digits", field=field)
    return value if value.strip(_NOTHING) else None


def _changed(commits: object, before: str | None, after: str) -> tuple[str, ...] | None:
    """Every path that a commit of the push touched, sorted; None unless all of them are sure to be there."""
    if not isinstance(commits, list) or len(commits) >= MOST_COMMITS:
        return None
    if not commits:
        return () if before == after else None
    last = commits[-1]
    if not isinstance(last, Mapping) or last.get("id") != after:
        return None
    found: set[str] = set()
    for commit in commits:
        paths = _paths(commit)
        if not paths:
            return None
        found |= paths
    changed = tuple(sorted(found))
    if len(changed) > MOST_PATHS or len(json.dumps(changed)) > MOST_BYTES_OF_PATHS:
        return None
    return changed


def _paths(commit: object) -> set[str] | None:
    """Those of one commit; None or empty where GitHub may have left some out, or one cannot be told for sure."""
    if not isinstance(commit, Mapping):
        return None
    found: set[str] = set()
    for name in _LISTS:
        paths = commit.get(name)
        if not isinstance(paths, list) or len(paths) >= MOST_PATHS:
            return None
        if not all(isinstance(path, str) and _plain(path) for path in paths):
            return None
        found.update(paths)
    return found


def _plain(path: str) -> bool:
    """Without control characters, half surrogates, or the mark that stands for bytes that were no UTF-8."""
    return 0 < len(path) <= LONGEST_PATH and path.isprintable() and "\ufffd" not in path


def _matching(form: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None
