"""`secrets` and `secrets adopt` for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from tidegate_cli.rendering.words import ago, moment, outcome_text, span, when, who
from tidegate_cli.screen import plain


def print_secrets(console: Console, document: Mapping[str, Any], now: datetime) -> None:
    """`document` is that of `secret_views.secrets_document`."""
    if not document["secrets"]:
        console.print(Text(f"the manifest of {document['system']} has no secrets"))
    for number, entry in enumerate(document["secrets"]):
        if number:
            console.print()
        _print_one(console, entry, now)
    for problem in document["problems"]:
        console.print(Text(f"not everything could be read: {plain(problem)}", style="yellow"))


def print_statements(console: Console, secret: str, statements: Sequence[str]) -> None:
    console.print(Text.assemble(("statements", "bold cyan"), f"  that prepare {plain(secret)} for rotation"))
    for statement in statements:
        console.print(Text(f"  {plain(statement)};"))


def _print_one(console: Console, entry: Mapping[str, Any], now: datetime) -> None:
    head = Text.assemble((plain(entry["secret"]), "bold"), (f"  {entry['kind']}, {entry['strategy']}", "dim"))
    if entry["overdue"]:
        head.append("  overdue", style="bold red")
    console.print(head)
    for name, value in (
        ("value", _value(entry, now)),
        ("rotated", _rotated(entry, now)),
        ("last try", _attempt(entry, now)),
        ("next", _next(entry, now)),
    ):
        if value is not None:
            console.print(Text.assemble((f"  {name:<9}", "dim")) + value)
    for consumer in entry["consumers"]:
        _print_consumer(console, consumer)
    if not entry["consumers"]:
        console.print(Text("  no service takes it", style="dim"))


def _value(entry: Mapping[str, Any], now: datetime) -> Text:
    if entry["version"] is None:
        return Text("there is no current value, or it cannot be looked at", style="yellow")
    said = f"since {when(entry['since'])} ({ago(entry['since'], now)})" if entry["since"] else "current"
    return Text.assemble(said, (f"  version {plain(entry['version'])}", "dim"))


def _rotated(entry: Mapping[str, Any], now: datetime) -> Text:
    last = entry["last_rotation"]
    if last is None:
        return Text("never by Tidegate")
    said = f"{when(last['at'])} ({ago(last['at'], now)})  by {who(last['by'])}"
    return Text.assemble(said, (f"  deployment {plain(last['deployment'])}", "dim"))


def _attempt(entry: Mapping[str, Any], now: datetime) -> Text | None:
    """Told where it is not the rotation that succeeded."""
    tried, last = entry["last_attempt"], entry["last_rotation"]
    if tried is None or (last is not None and last["deployment"] == tried["deployment"]):
        return None
    where = f"  {when(tried['at'])} ({ago(tried['at'], now)})"
    return outcome_text(tried["outcome"]) + Text.assemble(
        where, (f"  deployment {plain(tried['deployment'])}", "dim")
    )


def _next(entry: Mapping[str, Any], now: datetime) -> Text:
    if entry["next"] is not None:
        at = moment(entry["next"])
        ahead = "" if at is None else f" (in {span((at - now).total_seconds())})"
        often = f", every {entry['every']}" if entry["every"] else ""
        return Text(f"from {when(entry['next'])}{ahead}{often}")
    if entry["every"] is None:
        return Text("when somebody asks")
    return Text(f"every {entry['every']}, but nothing is scheduled: tidegate apply", style="yellow")


def _print_consumer(console: Console, consumer: Mapping[str, Any]) -> None:
    key = f", key {plain(consumer['key'])}" if consumer["key"] else ""
    line = Text.assemble(
        "  ", (plain(consumer["service"]), "cyan"), f"  {plain(consumer['container'])}: "
    ) + Text(f"{plain(consumer['variable'])}{key}")
    if consumer["held"]:
        what = f"version {consumer['version']}" if consumer["version"] else consumer["stage"]
        line.append(f"  takes {plain(what)}, which a rotation would disable", style="yellow")
    elif not consumer["restarts"]:
        line.append("  read for each pull of its image", style="dim")
    console.print(line)
