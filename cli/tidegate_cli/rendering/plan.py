"""`plan` for a person: the verdict, what runs in the database, then a difference per service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from tidegate_cli.rendering.migrations import print_migrations
from tidegate_cli.rendering.words import outcome_text, short_arn, short_digest
from tidegate_cli.screen import plain

_LONGEST = 400


def print_plan(console: Console, system: str, environment: str, document: Mapping[str, Any]) -> None:
    release = f" as {document['release']}" if document.get("release") else ""
    console.print(
        Text.assemble((f"{system}/{environment}", "bold"), f"{release}: would end ")
        + outcome_text(document["outcome_if_run"])
    )
    if document["migrations"]:
        console.print()
        print_migrations(console, document["migrations"])
    for key, service in document["services"].items():
        _print_service(console, key, service)
    if document["bake"]:
        alarms = ", ".join(plain(name) for name in document["bake"]["alarms"])
        console.print()
        console.print(Text(f"then watched for {document['bake']['seconds']} s: {alarms}"))
    console.print()
    for gate in document["gates"]:
        mark = ("✓", "green") if gate["passes"] else ("…", "yellow") if gate.get("waits") else ("✗", "red")
        console.print(Text.assemble("  ", mark, f" {gate['gate']}: {plain(gate['reason'])}"))


def _print_service(console: Console, key: str, service: Mapping[str, Any]) -> None:
    console.print()
    title = Text.assemble((key, "bold cyan"), f"  {service['service']}, wave {service['wave']}: ")
    if not service["changed"]:
        console.print(title + Text("unchanged", style="dim"))
        return
    target = short_arn(service["to"]) if service["to"] else f"a new revision of {short_arn(service['base'])}"
    console.print(title + Text(f"{short_arn(service['from'])} → {target}"))
    console.print(Text(f"  image {service['image']} {short_digest(service['digest'])}…", style="dim"))
    if service["smoke"]:
        asked = f"{plain(service['smoke']['url'])} within {service['smoke']['within']} s"
        console.print(Text(f"  then asked: {asked}", style="dim"))
    for change in service["differences"]:
        console.print(Text(f"  {change['path']}"))
        for sign, value, style in (("-", change["from"], "red"), ("+", change["to"], "green")):
            if value is not None:
                console.print(Text(f"    {sign} {_value(value)}", style=style))


def _value(value: Any) -> str:
    text = plain(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
