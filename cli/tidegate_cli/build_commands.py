"""`tidegate build` and `builds`: from a commit to images and what they are released to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports

from tidegate_cli.build_following import BuildFollower, build_exit_code
from tidegate_cli.build_starting import BuildStarted, build_input, start_build
from tidegate_cli.build_views import build_entry, released, shown_build
from tidegate_cli.environments import require_system
from tidegate_cli.failures import INTERRUPTED, CommandError
from tidegate_cli.options import Call, with_global_options
from tidegate_cli.rendering.build_progress import BuildBoard, BuildLines
from tidegate_cli.rendering.builds import print_build_outcome, print_builds
from tidegate_cli.screen import console, print_document
from tidegate_cli.waiting import seconds_of

if TYPE_CHECKING:
    from tidegate_cli.connection import Connection

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

SystemArgument = Annotated[
    str, typer.Argument(metavar="SYSTEM", help="The system, as its manifest names it.")
]


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate build arive --commit 4f2a91c --branch main --wait\n\n"
    "tidegate build arive --commit 4f2a91c --image app --reason 'base image mended'"
)
@with_global_options
def build(
    call: Call,
    system: SystemArgument,
    commit: Annotated[str, typer.Option("--commit", metavar="C", help="The commit to build.")],
    ref: Annotated[
        str | None,
        typer.Option("--ref", metavar="REF", help="The ref it is on: refs/heads/main.", show_default=False),
    ] = None,
    branch: Annotated[
        str | None,
        typer.Option("--branch", metavar="B", help="Short for --ref refs/heads/B.", show_default=False),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="IMAGE",
            help="Only this image of the manifest; may be repeated. Default: all that Tidegate builds.",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="T", help="Why, for the record.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its outcome, and exit by that.")] = False,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="DURATION",
            help="With --wait: stop following after this time (30m); the build goes on.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Build a commit's images and publish them.

    An image that is built already, for this commit or from the same source tree, is reused. With --branch (or --ref)
    the environments that follow the branch are released to; without it, none is. With --wait the exit code is the
    outcome's: 0 Built or NoChange, 10 Failed, 30 Refused, 40 Superseded; the deployments that it started go on by
    themselves.
    """
    seconds = seconds_of(timeout, wait)
    request = build_input(system, commit=commit, ref=ref, branch=branch, images=image or (), reason=reason)
    connection = call.connect()
    require_system(connection.ports, system)
    run = start_build(connection, request)
    if not wait:
        _print_started(call, run)
        return 0
    document = _follow(call, connection, run, seconds)
    if call.given.json:
        print_document(document)
    else:
        shown = recorded(connection.ports, run.build)
        print_build_outcome(console(), document, shown, call.given)
    return build_exit_code(document)


@app.command(
    epilog="[bold]Examples[/bold]\n\ntidegate builds arive\n\ntidegate builds arive --limit 3 --json"
)
@with_global_options
def builds(
    call: Call,
    system: SystemArgument,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")] = 20,
) -> None:
    """List builds, newest first: commit, branch, outcome, images, who."""
    ports = call.connect().ports
    ledger = BuildLedger(ports.store, ports.clock)
    entries = [build_entry(found, ledger.images(found.id)) for found in ledger.history(system, limit)]
    if not entries:
        require_system(ports, system)
    if call.given.json:
        print_document(entries)
        return
    if not entries:
        console().print(Text(f"nothing of {system} was built yet"))
        return
    print_builds(console(), entries)


def recorded(ports: Ports, build_id: str) -> dict[str, Any] | None:
    """The document of `show` for a build; None where there is none with this id."""
    ledger, builds_ = Ledger(ports.store, ports.clock), BuildLedger(ports.store, ports.clock)
    found = builds_.find(build_id)
    if found is None:
        return None
    return shown_build(found, builds_.images(found.id), ledger.timeline(found.id), released(ledger, found))


def _print_started(call: Call, run: BuildStarted) -> None:
    if call.given.json:
        print_document(run.to_json())
        return
    screen = console()
    screen.print(Text.assemble(("started", "bold green"), f": build {run.build}"))
    screen.print(Text(f"follow it: {call.given.command('show', run.build)}", style="dim"))


def _follow(call: Call, connection: Connection, run: BuildStarted, timeout: float | None) -> dict[str, Any]:
    # With --json standard output is the document's alone.
    screen = console(stderr=call.given.json)
    live = screen.is_terminal and not call.given.json
    follow_up = call.given.command("show", run.build)
    title = f"build {run.system}"
    view = BuildBoard(screen, title) if live else BuildLines(screen)
    if not live:
        screen.print(Text(f"{title}: {run.build}", style="bold"))
    try:
        with view:
            return BuildFollower(connection.ports, run, follow_up).follow(
                view.show,
                timeout=timeout,
                pause=call.surroundings.pause,
                monotonic=call.surroundings.monotonic,
            )
    except KeyboardInterrupt:
        raise CommandError(
            f"not following any more: build {run.build} goes on",
            code="interrupted",
            exit_code=INTERRUPTED,
            hint=follow_up,
            more=run.to_json(),
        ) from None
