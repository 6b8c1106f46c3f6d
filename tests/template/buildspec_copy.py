"""Puts infrastructure/buildspec.yml into infrastructure/build.yaml: `python -m tests.template.buildspec_copy`.

CloudFormation takes the text of a file into a property only through `package` and a bucket; the template is deployed
without either (docs/decisions/0008).
"""

from __future__ import annotations

import re

from tests.template.loading import ROOT

BUILD_TEMPLATE = ROOT / "infrastructure/build.yaml"
BUILDSPEC = ROOT / "infrastructure/buildspec.yml"
_BLOCK = re.compile(r"^( +)BuildSpec: \|\n(?:\1  .*\n|\n)+", re.MULTILINE)


def with_copy(template: str, buildspec: str) -> str:
    """The template with the buildspec as the block of its one BuildSpec property."""
    found = _BLOCK.findall(template)
    if len(found) != 1:
        raise ValueError(f"the template has {len(found)} BuildSpec blocks, not one")
    indent = found[0] + "  "
    lines = [f"{indent}{line}".rstrip() for line in buildspec.splitlines()]
    block = "\n".join([f"{found[0]}BuildSpec: |", *lines, ""])
    return _BLOCK.sub(lambda _: block, template)


if __name__ == "__main__":
    BUILD_TEMPLATE.write_text(with_copy(BUILD_TEMPLATE.read_text(), BUILDSPEC.read_text()))
