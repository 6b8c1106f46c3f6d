"""Refuses what `domain.supported` lists as not built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidegate.domain.manifest.json_like import name_of
from tidegate.domain.manifest.model import Manifest
from tidegate.domain.manifest.problems import ManifestError, Path, Problem
from tidegate.domain.manifest.reading import parse_manifest
from tidegate.domain.supported import NOT_BUILT, REFUSED_VALUES


def load_manifest(data: object) -> Manifest:
    """The manifest in `data`, fit to be worked with. ManifestError where it is wrong or asks for what is not built."""
    manifest = parse_manifest(data)
    require_supported(manifest)
    return manifest


def require_supported(manifest: Manifest) -> None:
    """ManifestError naming each field whose feature, or whose value, is not built yet."""
    given = manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    problems = [
        Problem(path, f"{name_of(path)} is not supported yet", "remove it for now")
        for pattern in NOT_BUILT
        for path in _places(given, pattern)
    ]
    problems += [
        Problem(path, f"{name_of(path)} {refused.said}", refused.hint)
        for refused in REFUSED_VALUES
        for path in _places(given, refused.path)
        if _at(given, path) == refused.value
    ]
    if problems:
        raise ManifestError(problems)


def _places(given: object, pattern: tuple[str, ...], path: Path = ()) -> Iterator[Path]:
    if not pattern:
        yield path
        return
    mapping: Mapping[str, Any] = given if isinstance(given, dict) else {}
    for key in mapping if pattern[0] == "*" else (pattern[0],):
        if key in mapping:
            yield from _places(mapping[key], pattern[1:], (*path, key))


def _at(given: object, path: Path) -> object:
    for key in path:
        given = given[key] if isinstance(given, dict) else None
    return given
