"""`tidegate rotate`, `secrets` and `secrets adopt`: what opens what, since when, and how that is changed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from tidegate.domain.errors import OutsideError
from tidegate.domain.outcome import Outcome
from tidegate.steps.planning import environment_of

from tidegate_cli.attending import attend
from tidegate_cli.environments import require_registered
from tidegate_cli.failures import REFUSED, UNEXPECTED, CommandError
from tidegate_cli.following import exit_code_of
from tidegate_cli.options import Call, with_global_options
from tidegate_cli.release_commands import (
    EnvironmentArgument,
    SystemArgument,
    TimeoutOption,
    WaitOption,
    carry_out,
)
from tidegate_cli.rendering.incident import print_outcome
from tidegate_cli.rendering.secrets import print_secrets, print_statements
from tidegate_cli.screen import console, print_document
from tidegate_cli.secret_views import require_secret, secrets_document
from tidegate_cli.secrets_group import VIEW, SecretsGroup
from tidegate_cli.starting import Run, rotate_input, start
from tidegate_cli.waiting import seconds_of

if TYPE_CHECKING:
    from tidegate_cli.connection import Connection

app = typer.Typer(add_completion=False, rich_markup_mode="rich")
secrets_app = typer.Typer(add_completion=False, rich_markup_mode="rich", cls=SecretsGroup)

MACHINE = "rotate"
SecretArgument = Annotated[
    str,
    typer.Argument(
        metavar="SECRET",
        help="Its name in Secrets Manager; where the manifest says {environment}, the real one.",
    ),
]


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate rotate arive production arive/production/database --wait\n\n"
    "tidegate rotate arive production arive/production/database --reason 'laptop lost' --wait --timeout 30m\n\n"
    "tidegate rotate arive production arive/production/token --json"
)
@with_global_options
def rotate(
    call: Call,
    system: SystemArgument,
    environment: EnvironmentArgument,
    secret: SecretArgument,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="T", help="Why, for the record.", show_default=False)
    ] = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> int:
    """Give a secret a new value, and start its consumers with it.

    The old value works until every consumer runs with the new one; if one cannot, the old value is current again.
    Waits in the queue of the environment like a deployment; show, abort and watch take its id. With --wait the exit
    code is the outcome's: 0 Rotated, 10 FailedClean, 20 FailedDirty, 30 Refused.
    """
    seconds = seconds_of(timeout, wait)
    request = rotate_input(system, environment, secret, reason=reason)
    connection = _place(call, system, environment, secret)
    return carry_out(call, connection, MACHINE, request, wait, seconds, what="rotation")


@secrets_app.command(
    VIEW,
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate secrets arive production\n\n"
    "tidegate secrets arive production --json\n\n"
    "tidegate secrets adopt arive production arive/production/database",
)
@with_global_options
def secrets(call: Call, system: SystemArgument, environment: EnvironmentArgument) -> None:
    """Show the secrets of a system: their age, when they were and will be rotated, who takes them.

    The consumers are read from the task definitions that run; no value is read. There is a command below it,
    tidegate secrets adopt SYSTEM ENV SECRET: with two words, adopt is the name of a system.
    """
    ports = call.connect().ports
    require_registered(ports, system, environment)
    document = secrets_document(ports, environment_of(ports, system, environment))
    if call.given.json:
        print_document(document)
    else:
        print_secrets(console(), document, ports.clock.now())


@secrets_app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate secrets adopt arive production arive/production/database\n\n"
    "tidegate secrets adopt arive production arive/production/database --yes\n\n"
    "tidegate secrets adopt arive production arive/production/database --json"
)
@with_global_options
def adopt(
    call: Call,
    system: SystemArgument,
    environment: EnvironmentArgument,
    secret: SecretArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Run the statements without asking.")] = False,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="DURATION",
            help="Stop following after this time (30m); what was started goes on.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Prepare the database users of an existing secret for rotation.

    Prints the statements that make the second user (both, in a new database), the role that they share and its grants,
    asks, and runs them if they are still the same then. The secret keeps its value. With --json the statements are only
    printed, unless --yes says to run them.
    """
    seconds = seconds_of(timeout, wait=True)
    connection = _place(call, system, environment, secret)
    planned = _followed(call, connection, rotate_input(system, environment, secret, adopt="plan"), seconds)
    if Outcome(planned["outcome"]) is not Outcome.NO_CHANGE:
        return _told(call, planned)
    statements, agreed = list(planned.get("statements") or ()), planned.get("hash")
    if agreed is None:
        raise CommandError(
            str(planned.get("reason") or f"secret {secret} cannot be adopted"),
            code="not_adoptable",
            exit_code=REFUSED,
            field="SECRET",
            hint=call.given.command("secrets", system, environment),
        )
    if not statements:
        return _told(
            call, {**planned, "secret": secret, "applied": False}, f"{secret} can be rotated as it is"
        )
    if not call.given.json:
        print_statements(console(), secret, statements)
    elif not yes:
        print_document({**planned, "secret": secret, "applied": False})
        return 0
    if not yes:
        _confirm(call, secret)
    request = rotate_input(system, environment, secret, adopt="apply", statements=str(agreed))
    done = _followed(call, connection, request, seconds)
    applied = not Outcome(done["outcome"]).exit_code
    return _told(
        call, {**done, "secret": secret, "statements": statements, "hash": agreed, "applied": applied}
    )


def _place(call: Call, system: str, environment: str, secret: str) -> Connection:
    """The installation, if the secret is one of the manifest's. A caller who may not look is let through: the machine
    looks itself."""
    connection = call.connect()
    require_registered(connection.ports, system, environment)
    with contextlib.suppress(OutsideError):
        require_secret(environment_of(connection.ports, system, environment), secret)
    return connection


def _followed(
    call: Call, connection: Connection, request: Mapping[str, Any], timeout: float | None
) -> dict[str, Any]:
    run: Run = start(connection, MACHINE, request)
    return attend(call, connection, f"adoption {run.system}/{run.environment}", run, timeout)


def _told(call: Call, document: dict[str, Any], said: str = "") -> int:
    if call.given.json:
        print_document(document)
    elif said:
        console().print(Text(said, style="green"))
    else:
        print_outcome(console(), document, call.given)
    return exit_code_of(document)


def _confirm(call: Call, secret: str) -> None:
    if call.surroundings.answers() and typer.confirm("Run these in the database?", err=True):
        return
    raise CommandError(
        f"secret {secret} was not adopted, and nothing was changed",
        code="not_confirmed",
        exit_code=UNEXPECTED,
        hint="add --yes to run the statements without being asked",
    )
