"""Tag templates: `{commit}` or `identity-{commit}`, and what they become for one commit."""

from __future__ import annotations

import re
from typing import Final

from tidegate.domain.errors import BadInputError

PLACEHOLDERS: Final = ("commit",)
# Distribution specification, "Pulling manifests": a tag is at most 128 characters. ECR's own model allows 300, but
# its registry endpoint and every client that pulls follow the specification.
TAG_PATTERN: Final = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
LONGEST_COMMIT: Final = 64

_BRACES: Final = re.compile(r"\{([^{}]*)\}")


def template_fault(template: str) -> tuple[str, str] | None:
    """What is wrong with a tag template, as (what is wrong, the mend); None when every commit id can fit."""
    known = " or ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    for name in _BRACES.findall(template):
        if name not in PLACEHOLDERS:
            # What cannot be printed on a line does not belong in a message.
            written = f" {{{name}}}" if name.isprintable() and len(name) <= LONGEST_COMMIT else ""
            return f"holds an unknown placeholder{written}", f"use {known}, the only placeholder there is"
    if re.search(r"[{}]", _BRACES.sub("", template)):
        return "holds a brace without its partner", f"write a placeholder as {known}"
    # The longest commit decides about length; a hexadecimal one about characters.
    if not re.fullmatch(TAG_PATTERN, _BRACES.sub("c" * LONGEST_COMMIT, template)):
        return (
            "does not make a valid image tag",
            "use letters, digits, '.', '_' and '-', not '.' or '-' first,"
            f" and at most 128 characters with a commit of {LONGEST_COMMIT}",
        )
    return None


def render_tag(template: str, *, commit: str | None) -> str:
    """The tag of one commit's image. `template` is one that a manifest accepted; BadInputError when the commit is
    missing but needed, or has characters that no tag may have (a commit is any string of 1 to 64 characters)."""
    if "{commit}" in template and not commit:
        raise BadInputError(
            f"the tag {template} needs a commit, and none was given",
            field="commit",
            hint="name the commit, or name the image by its digest",
        )
    tag = template.replace("{commit}", commit or "")
    if not re.fullmatch(TAG_PATTERN, tag):
        raise BadInputError(
            f"the tag {template} cannot be made from this commit: tags take letters, digits, '.', '_' and '-'",
            field="commit",
            hint="name the image by its digest, or use the commit's hexadecimal id",
        )
    return tag
