"""`status` and `history` for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate_cli.environments import Standstill
from tidegate_cli.in_flight import named, what_of
from tidegate_cli.migration_views import schema_entry
from tidegate_cli.rendering.words import (
    ago,
    outcome_text,
    phase_word,
    short_arn,
    short_digest,
    took,
    when,
    who,
)
from tidegate_cli.screen import plain


def print_status(console: Console, standstills: Sequence[Standstill], now: datetime) -> None:
    for index, standstill in enumerate(standstills):
        if index:
            console.print()
        _print_one(console, standstill, now)


def _print_one(console: Console, standstill: Standstill, now: datetime) -> None:
    current = standstill.current
    head = Text.assemble((f"{standstill.system}/{standstill.environment}", "bold"))
    if current is None:
        head.append("  nothing released yet", style="dim")
    else:
        head.append(f"  r{current.release}", style="bold cyan")
        head.append(f"  since {when(current.since)} ({ago(current.since, now)})", style="dim")
    console.print(head)
    _print_state(console, standstill)
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
    for title in ("service", "tasks", "task definition", "image"):
        table.add_column(title)
    for key, service in standstill.services.items():
        healthy = service.running == service.desired
        tasks = Text(f"{service.running}/{service.desired}", style="green" if healthy else "red")
        table.add_row(key, tasks, short_arn(service.task_definition), short_digest(service.digest))
    if standstill.services:
        console.print(table)


def _print_state(console: Console, standstill: Standstill) -> None:
    """What is under way, what holds the environment, and what is not as it should be."""
    lock, schema = standstill.lock, schema_entry(standstill.schema, standstill.current)
    if standstill.in_flight is not None:
        phase = "" if standstill.phase is None else f", {phase_word(standstill.phase.value)}"
        what = "deployment" if standstill.under_way is None else what_of(standstill.under_way)
        console.print(Text(f"  under way: {what} {standstill.in_flight}{phase}", style="cyan"))
        waiting = len(standstill.open) - 1
        if waiting > 0:
            queued = f", {len(standstill.queue)} in the queue" if standstill.queue else ""
            console.print(Text(f"  {waiting} more waiting behind it{queued}", style="dim"))
    if schema is not None and schema["ahead"]:
        head = f" ({plain(schema['head'])})" if schema["head"] else ""
        console.print(Text(f"  schema ahead: {schema['release']}{head}", style="yellow"))
    if standstill.freeze is not None:
        console.print(Text(f"  frozen {_frozen(standstill.freeze)}", style="yellow"))
    if not lock.free and lock.owner != standstill.in_flight:
        why = f": {plain(lock.reason)}" if lock.reason else ""
        console.print(Text(f"  locked by deployment {lock.owner} since {when(lock.since)}{why}", style="red"))
    if standstill.problem:
        console.print(Text(f"  its services cannot be read: {plain(standstill.problem)}", style="yellow"))


def _frozen(freeze: Mapping[str, Any]) -> str:
    until = f"until {when(freeze['until'])}" if freeze["until"] else "until it is lifted"
    if "window" in freeze:
        return f"{until}: {plain(freeze['window'])}"
    return f"{until} by {who(freeze['by'])}: {plain(freeze['reason'])}"


def print_history(console: Console, entries: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("started", "deployment", "what", "release", "outcome", "took", "by", "reason"):
        table.add_column(title, overflow="fold" if title in ("deployment", "reason") else "ellipsis")
    for entry in entries:
        table.add_row(
            when(entry["started_at"]),
            entry["deployment"],
            entry["what"],
            plain(named(entry) or "-"),
            outcome_text(entry["outcome"]),
            took(entry["started_at"], entry["finished_at"]),
            who(entry["actor"]),
            plain(entry["reason"]),
        )
    console.print(table)
