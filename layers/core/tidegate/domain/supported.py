"""What the manifest can say but Tidegate cannot do yet.

Such a field is validated like any other and then refused, never silently ignored. To build a feature is also to
remove its line here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tidegate.domain.manifest.json_like import name_of
from tidegate.domain.manifest.model import Manifest
from tidegate.domain.manifest.problems import ManifestError, Path, Problem
from tidegate.domain.manifest.reading import parse_manifest

# `*` stands for any key. A field that has its default (approval: none, freeze: []) means nothing and is let through.
NOT_BUILT: Final[tuple[tuple[str, ...], ...]] = (
    ("images", "*", "build"),
    ("images", "*", "watch"),
    ("services", "*", "smoke"),
    ("database",),
    ("migrations",),
    ("secrets",),
    ("environments", "*", "runner"),
    ("environments", "*", "approval"),
    ("environments", "*", "freeze"),
    ("environments", "*", "bake"),
    ("environments", "*", "guard"),
    ("environments", "*", "strategy"),
    ("environments", "*", "scan"),
    ("environments", "*", "queue"),
    ("environments", "*", "after"),
    ("environments", "*", "services", "*", "smoke"),
)


def load_manifest(data: object) -> Manifest:
    """The manifest in `data`, fit to be worked with. ManifestError where it is wrong or asks for what is not built."""
    manifest = parse_manifest(data)
    require_supported(manifest)
    return manifest


def require_supported(manifest: Manifest) -> None:
    """ManifestError naming each field whose feature is not built yet."""
    given = manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    problems = [
        Problem(path, f"{name_of(path)} is not supported yet", "remove it for now")
        for pattern in NOT_BUILT
        for path in _places(given, pattern)
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
