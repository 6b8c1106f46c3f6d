"""What the manifest can say but Tidegate cannot do yet.

Such a field is validated like any other and then refused, never silently ignored. To build a feature is also to
remove its line here.
"""

from __future__ import annotations

from typing import Final

# `*` stands for any key. A field that has its default (approval: none, freeze: []) means nothing and is let through.
NOT_BUILT: Final[tuple[tuple[str, ...], ...]] = (
    ("secrets",),
    ("environments", "*", "strategy"),
)
