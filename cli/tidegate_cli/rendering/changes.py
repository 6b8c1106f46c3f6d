"""`changes` for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate_cli.in_flight import named
from tidegate_cli.rendering.words import outcome_text, when, who
from tidegate_cli.screen import plain

_COMMIT = 12


def print_changes(console: Console, entries: Sequence[Mapping[str, Any]]) -> None:
    """`entries` are those of `changes.changes`."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("at", "what", "where", "release", "outcome", "by", "why", "id"):
        table.add_column(title, overflow="fold" if title in ("why", "id") else "ellipsis")
    for entry in entries:
        place = f"{entry['system']}/{entry['environment']}" if entry["environment"] else entry["system"]
        table.add_row(
            when(entry["at"]),
            plain(entry["what"]),
            plain(place),
            plain(named(entry) or (entry.get("commit") or "-")[:_COMMIT]),
            outcome_text(entry["outcome"]),
            who(entry["who"]),
            _why(entry),
            entry.get("deployment") or entry.get("build") or "",
        )
    console.print(table)


def _why(entry: Mapping[str, Any]) -> Text:
    """The reason that was given; behind it how it ended, where that says more."""
    text = Text(plain(entry["reason"]))
    explanation = entry["explanation"]
    if explanation and explanation != entry["reason"]:
        text.append(f"{': ' if entry['reason'] else ''}{plain(explanation)}", style="dim")
    if entry.get("until"):
        text.append(f" (until {when(entry['until'])})", style="dim")
    return text
