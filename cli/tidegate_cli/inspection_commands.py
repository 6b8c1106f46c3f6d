"""`tidegate status`, `history` and `show`: what runs, what happened, and why."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text
from tidegate.domain.errors import BadInputError, NotFoundError
from tidegate.domain.ids import is_ulid
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.records import Ledger
from tidegate.ledger.schemas import Schemas
from tidegate.ports import Ports

from tidegate_cli.approvals import approval_entry
from tidegate_cli.build_commands import recorded
from tidegate_cli.environments import places, require_registered, standstill
from tidegate_cli.options import Call, with_global_options
from tidegate_cli.rendering.builds import print_build
from tidegate_cli.rendering.environments import print_history, print_status
from tidegate_cli.rendering.incident import print_deployment
from tidegate_cli.screen import console, print_document
from tidegate_cli.views import history_entry, shown_deployment, status_entry

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate status\n\n"
    "tidegate status arive\n\n"
    "tidegate status arive production --json"
)
@with_global_options
def status(
    call: Call,
    system: Annotated[
        str | None, typer.Argument(metavar="[SYSTEM]", help="Only this system.", show_default=False)
    ] = None,
    environment: Annotated[
        str | None, typer.Argument(metavar="[ENV]", help="Only this environment.", show_default=False)
    ] = None,
) -> None:
    """Show what runs where, since when.

    Services and digests are what ECS runs, the release is what the ledger says; who holds the lock, what is under way,
    what waits behind it, whether the environment is frozen, and whether its database is ahead of what runs.
    """
    ports = call.connect().ports
    found = [standstill(ports, *place) for place in places(ports, system, environment)]
    if call.given.json:
        print_document([status_entry(entry) for entry in found])
        return
    if not found:
        console().print(
            Text("no system is registered here yet: tidegate apply tidegate.yaml --environment …")
        )
        return
    print_status(console(), found, ports.clock.now())


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate history arive production\n\n"
    "tidegate history arive production --limit 3 --json"
)
@with_global_options
def history(
    call: Call,
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="The system.")],
    environment: Annotated[str, typer.Argument(metavar="ENV", help="The environment.")],
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")] = 50,
) -> None:
    """List deployments, newest first: release, outcome, who, why.

    Rollbacks, restarts and migrations that were run alone are among them.
    """
    ports = call.connect().ports
    deployments = list(Ledger(ports.store, ports.clock).history(system, environment, limit))
    if not deployments:
        require_registered(ports, system, environment)
    entries = [history_entry(deployment) for deployment in deployments]
    if call.given.json:
        print_document(entries)
        return
    if not entries:
        console().print(Text(f"nothing was deployed to {system}/{environment} yet"))
        return
    print_history(console(), entries)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate show 01JQ8Z5T3M9X4N7V2B6C1D0EFG\n\n"
    "tidegate show 01JQ8Z5T3M9X4N7V2B6C1D0EFG --json"
)
@with_global_options
def show(
    call: Call,
    deployment: Annotated[
        str,
        typer.Argument(
            metavar="DEPLOYMENT", help="Its id, as deploy and history print it; or that of a build."
        ),
    ],
) -> None:
    """Show one deployment or build, and why it failed.

    The outcome, the containers that stopped with their exit codes and last log lines, who approved or aborted it, the
    timeline, what runs now.
    Of a build: its images, the phase that failed with its last log lines, the timeline, what it was released to.
    """
    identity = deployment.strip().upper()
    if not is_ulid(identity):
        raise BadInputError(
            f"{deployment!r} is not the id of a deployment or a build",
            field="DEPLOYMENT",
            hint="tidegate history SYSTEM ENV, tidegate builds SYSTEM",
        )
    ports = call.connect().ports
    ledger = Ledger(ports.store, ports.clock)
    found = ledger.find(identity)
    if found is None:
        _show_build(call, ports, identity)
        return
    timeline = ledger.timeline(identity)
    document = shown_deployment(
        found,
        timeline,
        ledger.reports(identity),
        approval_entry(ports, found, timeline),
        Interventions(ports.store, ports.clock).abort_of(identity),
        Schemas(ports.store, ports.clock).run_of(identity),
    )
    if call.given.json:
        print_document(document)
        return
    now_running = status_entry(standstill(ports, found.system, found.environment))
    print_deployment(console(), document, now_running, call.given)


def _show_build(call: Call, ports: Ports, identity: str) -> None:
    document = recorded(ports, identity)
    if document is None:
        raise NotFoundError(
            f"there is no deployment or build {identity} in this account and region",
            field="DEPLOYMENT",
            hint=f"{call.given.command('history')} SYSTEM ENV and {call.given.command('builds')} SYSTEM list them;"
            " one that was started a moment ago, or refused for its input alone, is not recorded",
        )
    if call.given.json:
        print_document(document)
    else:
        print_build(console(), document, call.given)
