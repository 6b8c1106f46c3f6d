"""How the lines of a timeline are written, and items in general."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.domain.deployment import Line
from tidegate.domain.ids import content_hash
from tidegate.ledger import keys
from tidegate.ports import Put


def line_write(subject: str, line: Line, number: int = 0) -> Put:
    """A line of a deployment's or a build's timeline. Lines of one moment keep their order; the same line of another
    writer does not overwrite it."""
    content = line.to_json()
    return Put(keys.line(subject, line.at, f"{number:02d}-{content_hash(content)[:8]}"), content)


def present(item: Mapping[str, Any]) -> dict[str, Any]:
    """Without absent values: a condition on absence means what it says."""
    return {name: value for name, value in item.items() if value is not None}
