"""From data to a Manifest, or to every problem at once; and to and from the JSON text that is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from pydantic import ValidationError

from tidegate.domain.manifest.checks import broken_rules
from tidegate.domain.manifest.explain import problem_of
from tidegate.domain.manifest.json_like import empty_values, unreadable
from tidegate.domain.manifest.model import Manifest
from tidegate.domain.manifest.problems import ManifestError, Path, Problem, shown

# The default depends on a field that is itself wrong, and reported.
_FOLLOWS_FROM_ANOTHER: Final = "default_factory_not_called"


def parse_manifest(data: object) -> Manifest:
    """The manifest in `data`, what a JSON or YAML reader gives; else ManifestError with all problems, nothing else."""
    unjudgeable = unreadable(data)
    if unjudgeable:
        raise ManifestError(_in_order(unjudgeable))
    problems: list[Problem] = []
    manifest: Manifest | None = None
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as error:
        problems = [
            problem_of(detail)
            for detail in error.errors(include_url=False)
            if detail["type"] != _FOLLOWS_FROM_ANOTHER
        ]
    # An unquoted {commit} is a mapping whose key has no value: one problem, that it is a mapping, is enough.
    places = {problem.path for problem in problems}
    problems = [
        *(
            empty
            for empty in empty_values(data)
            if not any(empty.path[:end] in places for end in range(len(empty.path)))
        ),
        *problems,
        *broken_rules(data),
    ]
    if problems or manifest is None:
        raise ManifestError(_in_order(problems))
    return manifest


def to_json(manifest: Manifest) -> str:
    """The text for the parameter store: compact, keys sorted, what has its default left out.

    Equal manifests give equal texts, and `from_json` gives the manifest back.
    """
    written = manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = json.dumps(written, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    # SSM refuses "{{" in a value (PutParameter: "parameters cannot nest another parameter"). In JSON that can only be
    # inside a string, where an escape means the same.
    return text.replace("{{", r"{\u007b")


def from_json(text: str) -> Manifest:
    """The manifest in a JSON text, `to_json`'s or any other tool's. ManifestError when it is neither."""
    try:
        data = json.loads(text, object_pairs_hook=_without_duplicates)
    # RecursionError: the reader of the standard library follows nesting with the stack.
    except (ValueError, RecursionError) as error:
        said = f"at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "it cannot be read"
        problem = Problem(
            (), f"the manifest is not valid JSON: {said}", "write it with tidegate apply or a JSON library"
        )
        raise ManifestError([problem]) from None
    return parse_manifest(data)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ManifestError(
            [Problem((), f"the key {shown(twice)} appears twice in one mapping", "keep one of them")]
        )
    return found


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """One problem a place, the first found; by path, so that the same manifest always gives the same text."""
    by_path: dict[Path, Problem] = {}
    for problem in problems:
        by_path.setdefault(problem.path, problem)
    return sorted(
        by_path.values(), key=lambda problem: [(isinstance(item, str), str(item)) for item in problem.path]
    )
