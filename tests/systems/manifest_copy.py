"""Puts each system's tidegate.yaml into its template: `python -m tests.systems.manifest_copy [--check] [SYSTEM…]`.

The stack registers the system: its parameter `/tidegate/<system>/<environment>` holds the manifest as `tidegate apply`
would write it (compact JSON, what has its default left out: 8 KB are all that a parameter takes). CloudFormation cannot
read a file into a property of a template that is deployed as it is, so the text stands in the template, on the line
after the mark.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tidegate.adapters.registry import MOST_BYTES
from tidegate.domain.manifest import Manifest, to_json
from tidegate_cli.manifest_file import load_manifest_file

from tests.template.loading import ROOT

SYSTEMS = ROOT / "systems"
MARK = "# tidegate.yaml, put here by `python -m tests.systems.manifest_copy`"
_PLACE = re.compile(rf"^( +){re.escape(MARK)}\n +Value: .*\n", re.MULTILINE)


def systems() -> list[Path]:
    """The folders whose template has a place for the manifest."""
    return sorted(
        path.parent for path in SYSTEMS.glob("*/template.yaml") if MARK in path.read_text(encoding="utf-8")
    )


def with_copy(template: str, manifest: Manifest) -> str:
    """The template with the manifest as the value after the mark. ValueError unless there is one mark, and where the
    manifest is more than a parameter holds."""
    found = _PLACE.findall(template)
    if len(found) != 1:
        raise ValueError(f"the template has {len(found)} places for the manifest, not one: {MARK}")
    text = to_json(manifest)
    size = len(text.encode())
    if size > MOST_BYTES:
        raise ValueError(f"the manifest has {size} bytes as JSON, a parameter holds {MOST_BYTES}")
    quoted = text.replace("'", "''")
    return _PLACE.sub(lambda match: f"{match[1]}{MARK}\n{match[1]}Value: '{quoted}'\n", template)


def main(arguments: list[str]) -> int:
    named = [argument for argument in arguments if argument != "--check"]
    stale = []
    for folder in systems():
        if named and folder.name not in named:
            continue
        path = folder / "template.yaml"
        before = path.read_text(encoding="utf-8")
        after = with_copy(before, load_manifest_file(str(folder / "tidegate.yaml")))
        if after == before:
            continue
        stale.append(folder.name)
        if "--check" not in arguments:
            path.write_text(after, encoding="utf-8")
    for name in stale:
        sys.stdout.write(f"{name}: {'out of date' if '--check' in arguments else 'written'}\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
