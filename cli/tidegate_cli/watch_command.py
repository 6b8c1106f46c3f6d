"""`tidegate watch`: one deployment, or everything that is in flight, as it happens."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from tidegate.domain.deployment import Deployment
from tidegate.domain.errors import NotFoundError
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports

from tidegate_cli.attending import attend
from tidegate_cli.failures import INTERRUPTED, TIMED_OUT, CommandError
from tidegate_cli.following import exit_code_of
from tidegate_cli.in_flight import in_flight, what_of
from tidegate_cli.oncall_commands import identity_of, run_of
from tidegate_cli.options import Call, with_global_options
from tidegate_cli.polling import poll
from tidegate_cli.rendering.in_flight import FlightBoard, FlightLines
from tidegate_cli.rendering.incident import print_outcome
from tidegate_cli.screen import console, print_document
from tidegate_cli.waiting import seconds_of

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate watch\n\n"
    "tidegate watch 01JQ8Z5T3M9X4N7V2B6C1D0EFG --timeout 30m\n\n"
    "tidegate watch --json"
)
@with_global_options
def watch(
    call: Call,
    deployment: Annotated[
        str | None,
        typer.Argument(metavar="[DEPLOYMENT]", help="Only this one, until it has ended.", show_default=False),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="DURATION",
            help="Stop looking after this time (30m); nothing is stopped by that.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Watch a deployment, or everything that is in flight.

    Looks about once a second. One deployment is watched until it has ended, and its outcome is the exit code, as with
    deploy --wait. Without DEPLOYMENT every environment in which something is under way has a line, until Ctrl-C (exit
    code 0); where standard output is no terminal, each change is a line. With --json the outcome document of the
    deployment, or one list of what is in flight now.
    """
    seconds = seconds_of(timeout, True)
    if deployment is not None:
        return _one(call, identity_of(deployment), seconds)
    ports = call.connect().ports
    if call.given.json:
        print_document(in_flight(ports))
        return 0
    return _all(call, ports, seconds)


def _one(call: Call, identity: str, timeout: float | None) -> int:
    connection = call.connect()
    ports = connection.ports
    found = Ledger(ports.store, ports.clock).find(identity)
    if found is None:
        is_build = BuildLedger(ports.store, ports.clock).find(identity) is not None
        hint = (
            call.given.command("show", identity) if is_build else "see tidegate status and tidegate history"
        )
        raise NotFoundError(f"there is no deployment {identity}", field="DEPLOYMENT", hint=hint)
    try:
        document = attend(call, connection, _title(found), run_of(found), timeout)
    except CommandError as error:
        if error.exit_code == INTERRUPTED and not call.given.json:
            return 0
        raise
    if call.given.json:
        print_document(document)
    else:
        print_outcome(console(), document, call.given)
    return exit_code_of(document)


def _title(deployment: Deployment) -> str:
    return f"{what_of(deployment)} {deployment.system}/{deployment.environment}"


def _all(call: Call, ports: Ports, timeout: float | None) -> int:
    screen = console()
    ledger = Ledger(ports.store, ports.clock)

    def ended(entry: dict[str, Any]) -> dict[str, Any]:
        """What became of one that is not in flight any more; a build's end is in `tidegate builds`."""
        found = ledger.find(entry["deployment"]) if "deployment" in entry else None
        outcome = None if found is None or found.outcome is None else found.outcome.value
        return {**entry, "outcome": outcome}

    view = FlightBoard(screen, ended) if screen.is_terminal else FlightLines(screen, ended)

    def look(_: float) -> None:
        view.show(in_flight(ports), ports.clock.now())

    try:
        with view:
            poll(
                look,
                ran_out=_ran_out,
                timeout=timeout,
                pause=call.surroundings.pause,
                monotonic=call.surroundings.monotonic,
            )
    except KeyboardInterrupt:
        return 0
    return 0


def _ran_out() -> CommandError:
    return CommandError("--timeout ran out: what is in flight goes on", code="timeout", exit_code=TIMED_OUT)
