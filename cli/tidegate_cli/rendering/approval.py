"""What a person is asked to approve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from tidegate_cli.rendering.migrations import print_consent, print_migrations
from tidegate_cli.rendering.words import short_arn, short_digest, who
from tidegate_cli.screen import plain


def print_release(console: Console, document: Mapping[str, Any]) -> None:
    """`document` is that of `plan_views.planned_release`."""
    head = Text.assemble(
        (f"{document['system']}/{document['environment']}", "bold"),
        f"  {document['release'] or 'a release'}  ",
        (f"commit {plain(document['commit'] or '-')}", "dim"),
    )
    console.print(head)
    console.print(Text.assemble(("  asked for by ", "dim"), who(document["actor"])))
    if document["reason"]:
        console.print(Text.assemble(("  reason       ", "dim"), plain(document["reason"])))
    print_migrations(console, document["migrations"])
    for key, service in document["services"].items():
        line = Text.assemble("  ", (f"{key:<12}", "bold cyan"), f"wave {service['wave']}  ")
        if not service["changed"]:
            console.print(line.append("unchanged", style="dim"))
            continue
        base = short_arn(service["base"])
        target = short_arn(service["to"]) if service["to"] else f"a new revision of {base}"
        console.print(line.append(f"{short_arn(service['from'])} → {target}"))
        before, after = short_digest(service["from_digest"]), short_digest(service["digest"])
        console.print(Text(f"    image {service['image']}: {before} → {after}", style="dim"))
        if service["smoke"]:
            console.print(Text(f"    then asked: {plain(service['smoke']['url'])}", style="dim"))
    if document["bake"]:
        alarms = ", ".join(plain(name) for name in document["bake"]["alarms"])
        console.print(Text(f"  then watched for {document['bake']['seconds']} s: {alarms}", style="dim"))
    print_consent(console, document["migrations"], document["runs_now"])
