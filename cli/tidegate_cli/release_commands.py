"""`tidegate plan`, `deploy`, `migrate`, `rollback` and `scale`: what changes an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from tidegate.ledger.locks import Locks

from tidegate_cli.attending import attend
from tidegate_cli.environments import require_registered
from tidegate_cli.following import exit_code_of
from tidegate_cli.options import Call, with_global_options
from tidegate_cli.outlook import outlook
from tidegate_cli.plan_views import plan_document
from tidegate_cli.rendering.incident import print_outcome
from tidegate_cli.rendering.plan import print_plan
from tidegate_cli.screen import console, print_document
from tidegate_cli.starting import Run, deploy_input, deploy_request, rollback_input, scale_input, start
from tidegate_cli.waiting import seconds_of

if TYPE_CHECKING:
    from tidegate_cli.connection import Connection

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

SystemArgument = Annotated[
    str, typer.Argument(metavar="SYSTEM", help="The system, as its manifest names it.")
]
EnvironmentArgument = Annotated[str, typer.Argument(metavar="ENV", help="The environment.")]
ReleaseOption = Annotated[
    str | None, typer.Option("--release", metavar="R", help="A recorded release: r41.", show_default=False)
]
CommitOption = Annotated[
    str | None,
    typer.Option("--commit", metavar="C", help="The images tagged for this commit.", show_default=False),
]
ImageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--image",
        metavar="IMAGE=DIGEST",
        help="An image of the manifest and its digest (or tag): app=sha256:…; may be repeated.",
        show_default=False,
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Go on although the release ran before a migration that took something away, and run its migrations"
        " again although they are recorded as done. For who knows that the code works with this schema.",
    ),
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Follow it to its outcome, and exit by that.")]
TimeoutOption = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        help="With --wait: stop following after this time (30m); the deployment goes on.",
        show_default=False,
    ),
]


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate plan arive production --commit 4f2a91c\n\n"
    "tidegate plan arive production --release r41 --json"
)
@with_global_options
def plan(
    call: Call,
    system: SystemArgument,
    environment: EnvironmentArgument,
    release: ReleaseOption = None,
    commit: CommitOption = None,
    image: ImageOption = None,
    force: Annotated[bool, typer.Option("--force", help="As deploy --force would.")] = False,
) -> None:
    """Show what a deployment would do.

    Asks AWS with your own credentials and changes nothing. Every gate is shown: those that would refuse it with their
    reasons, and what it would wait for; the exit code is 0 all the same.
    """
    request = deploy_input(
        system, environment, release=release, commit=commit, images=image or (), force=force
    )
    ports = call.connect().ports
    require_registered(ports, system, environment)
    lock = Locks(ports.store, ports.clock).read(system, environment)
    document = plan_document(outlook(ports, deploy_request(request)), lock)
    if call.given.json:
        print_document(document)
    else:
        print_plan(console(), system, environment, document)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate deploy arive production --commit 4f2a91c --wait\n\n"
    "tidegate deploy arive production --image app=sha256:… --reason 'hotfix 812' --wait --timeout 30m\n\n"
    "tidegate deploy arive production --release r41 --json"
)
@with_global_options
def deploy(
    call: Call,
    system: SystemArgument,
    environment: EnvironmentArgument,
    release: ReleaseOption = None,
    commit: CommitOption = None,
    image: ImageOption = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="T", help="Why, for the record.", show_default=False)
    ] = None,
    force: ForceOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> int:
    """Put a release into an environment.

    Say which with --release, or with --commit and --image. It either succeeds as a whole or everything is put back;
    only the database stays where the release's migrations brought it.
    With --wait the exit code is the outcome's: 0, 10 FailedClean, 20 FailedDirty, 30 Refused, 40 Superseded.
    """
    seconds = seconds_of(timeout, wait)
    request = deploy_input(
        system, environment, release=release, commit=commit, images=image or (), reason=reason, force=force
    )
    return _carry_out(call, "deploy", request, wait, seconds)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate migrate arive production --release r42 --wait\n\n"
    "tidegate migrate arive production --release r42 --force --reason 'restored from a snapshot' --wait\n\n"
    "tidegate migrate arive production --release r42 --json"
)
@with_global_options
def migrate(
    call: Call,
    system: SystemArgument,
    environment: EnvironmentArgument,
    release: Annotated[str, typer.Option("--release", metavar="R", help="A recorded release: r42.")],
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="T", help="Why, for the record.", show_default=False)
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Run them although they are recorded as done: after a restore, or a change made by hand.",
        ),
    ] = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> int:
    """Run the migrations of a release, and nothing else.

    No service is touched, and what runs stays what runs. Gates, approval and the queue are those of a deployment;
    show, abort and watch take its id, and with --wait the exit code is the outcome's, as with deploy. NoChange says
    that they ran here before.
    """
    seconds = seconds_of(timeout, wait)
    request = deploy_input(
        system, environment, release=release, reason=reason, only_migrations=True, force=force
    )
    return _carry_out(call, "deploy", request, wait, seconds, what="migrations")


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate rollback arive production --reason 'error rate doubled' --wait\n\n"
    "tidegate rollback arive production --to r41 --reason 'r42 and r43 lose orders' --wait"
)
@with_global_options
def rollback(
    call: Call,
    system: SystemArgument,
    environment: EnvironmentArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="T", help="Why, for the record.")],
    to: Annotated[
        str, typer.Option("--to", metavar="R", help="previous, or a release by name: r41.")
    ] = "previous",
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Go back although a migration has since taken away what the release may need. For who knows that"
            " its code works with this schema.",
        ),
    ] = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> int:
    """Take an environment back to a release that ran there before.

    All services go back at once, each to the task definition it had then. Alarms do not hold it up. The database stays
    as it is: refused where a migration has since taken away what that release may need.
    """
    seconds = seconds_of(timeout, wait)
    request = rollback_input(system, environment, to=to, reason=reason, force=force)
    return _carry_out(call, "rollback", request, wait, seconds)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate scale arive production worker 3 --reason 'the queue is long' --wait\n\n"
    "tidegate scale arive production worker 0 --reason 'it deletes the wrong files' --wait"
)
@with_global_options
def scale(
    call: Call,
    system: SystemArgument,
    environment: EnvironmentArgument,
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="The service, by its key in the manifest.")
    ],
    count: Annotated[int, typer.Argument(metavar="N", help="How many tasks; 0 switches the service off.")],
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="T", help="Why, for the record.", show_default=False)
    ] = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> int:
    """Change how many tasks a service runs.

    Nothing is released. It waits its turn and is recorded like a deployment; a freeze does not hold it up. It succeeds
    when as many tasks run: where they do not in time (no capacity, tasks that crash), the count is put back. Where auto
    scaling keeps the service within bounds, N has to be within them. Infrastructure as code finds the count in the
    parameter /tidegate/SYSTEM/ENV/count/SERVICE.
    """
    seconds = seconds_of(timeout, wait)
    request = scale_input(system, environment, service, count, reason=reason)
    if count == 0 and not call.given.json:
        said = f"{service} is to be switched off: it does nothing until somebody scales it up"
        console().print(Text(said, style="yellow"))
    return _carry_out(call, "deploy", request, wait, seconds, what="scaling")


def _carry_out(
    call: Call,
    machine: str,
    request: Mapping[str, Any],
    wait: bool,
    timeout: float | None,
    what: str | None = None,
) -> int:
    connection = call.connect()
    require_registered(connection.ports, request["system"], request["environment"])
    return carry_out(call, connection, machine, request, wait, timeout, what)


def carry_out(
    call: Call,
    connection: Connection,
    machine: str,
    request: Mapping[str, Any],
    wait: bool,
    timeout: float | None,
    what: str | None = None,
) -> int:
    """Start it, and follow it where that is wanted; gives the exit code. `what` is its name for a person, where that is
    not the machine's."""
    run = start(connection, machine, request)
    if not wait:
        _print_started(call, what or machine, run)
        return 0
    title = f"{what or machine} {run.system}/{run.environment}"
    document = attend(call, connection, title, run, timeout)
    if call.given.json:
        print_document(document)
    else:
        print_outcome(console(), document, call.given)
    return exit_code_of(document)


def _print_started(call: Call, what: str, run: Run) -> None:
    if call.given.json:
        print_document(run.to_json())
        return
    screen = console()
    screen.print(Text.assemble(("started", "bold green"), f": {what} {run.deployment}"))
    screen.print(Text(f"follow it: {call.given.command('show', run.deployment)}", style="dim"))
