"""What the manifest can say but Tidegate cannot do yet.

Such a field, or such a value of a field, is validated like any other and then refused, never silently ignored. To build
a feature is also to remove its line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Refused:
    """One value of a field. `said` follows the field's name in the message."""

    path: tuple[str, ...]
    value: str
    said: str
    hint: str


# `*` stands for any key. A field that has its default (approval: none, freeze: []) means nothing and is let through.
NOT_BUILT: Final[tuple[tuple[str, ...], ...]] = (("environments", "*", "strategy"),)
REFUSED_VALUES: Final[tuple[Refused, ...]] = (
    Refused(
        ("secrets", "*", "kind"),
        "redis",
        "redis is not supported yet",
        "remove the secret for now, and rotate it by hand",
    ),
    Refused(
        ("secrets", "*", "format"),
        "plain",
        "plain is a bare value, which has no room for the name of a second user, so it cannot be rotated",
        "adopt it: write the value as JSON (engine, host, port, username, password, dbname), let the services take its"
        " key password, say format: json, then tidegate secrets adopt SYSTEM ENV SECRET",
    ),
)
