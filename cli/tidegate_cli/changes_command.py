"""`tidegate changes`: the 3 a.m. question."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from rich.text import Text
from tidegate.domain.durations import parse_duration
from tidegate.domain.errors import BadInputError

from tidegate_cli.changes import changes as collected
from tidegate_cli.options import Call, with_global_options
from tidegate_cli.rendering.changes import print_changes
from tidegate_cli.screen import console, print_document

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate changes\n\n"
    "tidegate changes --since 12h\n\n"
    "tidegate changes --since 30m --json"
)
@with_global_options
def changes(
    call: Call,
    since: Annotated[
        str, typer.Option("--since", metavar="DURATION", help="How far back: 30m, 12h, 2d.")
    ] = "1h",
) -> None:
    """List everything that changed, in all systems, newest first.

    Deployments, rollbacks, restarts and builds that ended in that time, however long ago they started, or that go on;
    and what people commanded: aborts, approvals, freezes, locks that were broken, refused ones as well.
    """
    span = _span(since)
    ports = call.connect().ports
    entries = collected(ports, ports.clock.now() - span)
    if call.given.json:
        print_document(entries)
        return
    if not entries:
        console().print(Text(f"nothing changed in the last {since}"))
        return
    print_changes(console(), entries)


def _span(since: str) -> timedelta:
    try:
        return parse_duration(since)
    except ValueError as error:
        raise BadInputError(
            f"{since!r} is {error}", field="--since", hint="write it as 30m, 12h or 2d"
        ) from None
