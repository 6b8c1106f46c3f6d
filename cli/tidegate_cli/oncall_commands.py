"""`tidegate abort`, `approve`, `reject`, `freeze`, `unfreeze`, `unlock`: what people do to a run or an environment.

All of them are carried out by the function `control`, which records who asked; here they are only asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from tidegate.domain.deployment import Deployment
from tidegate.domain.errors import BadInputError, NotFoundError, RefusalError
from tidegate.domain.ids import is_ulid
from tidegate.domain.outcome import Outcome
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports

from tidegate_cli.attending import attend
from tidegate_cli.environments import require_registered
from tidegate_cli.failures import UNEXPECTED, CommandError
from tidegate_cli.options import Call, with_global_options
from tidegate_cli.plan_views import planned_release
from tidegate_cli.polling import LAST_WRITE_SECONDS, poll, timed_out
from tidegate_cli.rendering.approval import print_release
from tidegate_cli.rendering.incident import print_outcome
from tidegate_cli.rendering.words import who
from tidegate_cli.screen import console, plain, print_document
from tidegate_cli.starting import Run
from tidegate_cli.waiting import seconds_of

if TYPE_CHECKING:
    from tidegate_cli.connection import Connection

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

DeploymentArgument = Annotated[
    str, typer.Argument(metavar="DEPLOYMENT", help="Its id, as deploy, status and history print it.")
]
SystemArgument = Annotated[
    str, typer.Argument(metavar="SYSTEM", help="The system, as its manifest names it.")
]
EnvironmentArgument = Annotated[str, typer.Argument(metavar="ENV", help="The environment.")]
WhyOption = Annotated[str, typer.Option("--reason", metavar="T", help="Why, for the record.")]
RemarkOption = Annotated[
    str | None, typer.Option("--reason", metavar="T", help="Why, for the record.", show_default=False)
]

_EXAMPLE = "01JQ8Z5T3M9X4N7V2B6C1D0EFG"
# An abort asks for nothing but that the release does not go out.
_AS_ASKED = frozenset({Outcome.FAILED_CLEAN, Outcome.SUPERSEDED, Outcome.REFUSED, Outcome.NO_CHANGE})


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    f"tidegate abort {_EXAMPLE} --reason 'error rate doubled' --wait\n\n"
    f"tidegate abort {_EXAMPLE} --reason 'wrong branch' --json"
)
@with_global_options
def abort(
    call: Call,
    deployment: DeploymentArgument,
    reason: WhyOption,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until everything is back.")] = False,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="DURATION",
            help="With --wait: stop following after this time (30m); the deployment goes on.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Take back a deployment that has not ended, whatever it waits for.

    What it changed is put back, and it ends as FailedClean; a migration is stopped, SQL files within some 15
    minutes, and what it did to the database stays. Refused for one that has ended and for a rollback that has begun.
    With --wait the exit code is 0 when nothing of it is left, 20 FailedDirty.
    """
    seconds = seconds_of(timeout, wait)
    identity = identity_of(deployment)
    connection = call.connect()
    done = connection.control({"command": "abort", "deployment": identity, "reason": reason})
    if not wait:
        _print_done(call, done, f"deployment {identity} is being taken back", "show", identity)
        return 0
    began = call.surroundings.monotonic()
    run = _recorded_run(call, connection, identity, seconds)
    left = None if seconds is None else max(0.0, seconds - (call.surroundings.monotonic() - began))
    document = attend(call, connection, f"abort {run.system}/{run.environment}", run, left)
    if call.given.json:
        print_document(document)
    else:
        print_outcome(console(), document, call.given)
    return _exit_code_of_abort(Outcome(document["outcome"]))


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    f"tidegate approve {_EXAMPLE}\n\n"
    f"tidegate approve {_EXAMPLE} --reason 'change 812' --json"
)
@with_global_options
def approve(
    call: Call,
    deployment: DeploymentArgument,
    reason: RemarkOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, also on a terminal.")] = False,
) -> None:
    """Approve the plan of a deployment that waits for it.

    Shows what would change, and asks where somebody can answer. To approve a migration that takes something away is to
    confirm that the release which runs now no longer uses it. The approval is for what was shown: if the plan
    changes before it is carried out, somebody is asked again. Where the environment has approval: {by: other}, the
    author's is refused.
    """
    identity = identity_of(deployment)
    connection = call.connect()
    found = _awaiting(connection.ports, identity)
    if not call.given.json:
        current = Ledger(connection.ports.store, connection.ports.clock).current(
            found.system, found.environment
        )
        print_release(console(), planned_release(found, current))
    # A script has decided when it calls this.
    asks = not yes and not call.given.json and call.surroundings.answers()
    if asks and not typer.confirm("Approve this?", err=True):
        raise CommandError(
            f"deployment {identity} was not approved, and waits on",
            code="not_confirmed",
            exit_code=UNEXPECTED,
            hint=f"tidegate reject {identity} --reason …",
        )
    request = {"command": "approve", "deployment": identity, "plan": _plan_hash(found)}
    done = connection.control(request | ({"reason": reason} if reason else {}))
    _print_done(call, done, f"deployment {identity} is approved", "watch", identity)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    f"tidegate reject {_EXAMPLE} --reason 'not before the sale'\n\n"
    f"tidegate reject {_EXAMPLE} --reason 'not before the sale' --json"
)
@with_global_options
def reject(call: Call, deployment: DeploymentArgument, reason: WhyOption) -> None:
    """Refuse a deployment that waits for approval.

    Nothing was changed, and it ends as Refused.
    """
    identity = identity_of(deployment)
    done = call.connect().control({"command": "reject", "deployment": identity, "reason": reason})
    _print_done(call, done, f"deployment {identity} is rejected", "show", identity)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate freeze arive production --until 2h --reason 'incident 93'\n\n"
    "tidegate freeze arive production --until 2026-11-30T08:00Z --reason 'the sale' --json"
)
@with_global_options
def freeze(
    call: Call,
    system: SystemArgument,
    environment: EnvironmentArgument,
    reason: WhyOption,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="T",
            help="A duration (2h) or a moment (2026-11-30T08:00Z); without it, until somebody lifts it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Let nothing but rollbacks into an environment.

    Deployments are refused from now on, those that wait as well when it is their turn. What is rolling goes on: abort
    takes it back. A freeze takes the place of the one before.
    """
    connection = _place(call, system, environment)
    request = {"command": "freeze", "system": system, "environment": environment, "reason": reason}
    done = connection.control(request | ({} if until is None else {"until": until}))
    end = f"until {done['until']}" if done.get("until") else "until it is lifted"
    _print_done(call, done, f"{system}/{environment} is frozen {end}", "unfreeze", system, environment)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate unfreeze arive production --reason 'incident 93 is over'\n\n"
    "tidegate unfreeze arive production --json"
)
@with_global_options
def unfreeze(
    call: Call, system: SystemArgument, environment: EnvironmentArgument, reason: RemarkOption = None
) -> None:
    """Lift a freeze that somebody put on.

    The manifest's freeze windows end by themselves.
    """
    connection = _place(call, system, environment)
    request = {"command": "unfreeze", "system": system, "environment": environment}
    done = connection.control(request | ({"reason": reason} if reason else {}))
    _print_done(call, done, f"{system}/{environment} takes releases again", "status", system, environment)


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate unlock arive production --reason 'r41 put back by hand, checked'\n\n"
    "tidegate unlock arive production --reason 'r41 put back by hand, checked' --json"
)
@with_global_options
def unlock(call: Call, system: SystemArgument, environment: EnvironmentArgument, reason: WhyOption) -> None:
    """Break the lock that a deployment left behind when it ended FailedDirty.

    Look at what runs first: the next one in the queue starts at once. Refused while the lock's owner runs.
    """
    connection = _place(call, system, environment)
    request = {"command": "unlock", "system": system, "environment": environment, "reason": reason}
    done = connection.control(request)
    said = f"{system}/{environment} is unlocked; deployment {done.get('owner')} held it"
    _print_done(call, done, said, "status", system, environment)


def identity_of(deployment: str) -> str:
    """A deployment's id as the ledger has it. BadInputError for what cannot be one."""
    identity = deployment.strip().upper()
    if not is_ulid(identity):
        raise BadInputError(
            f"{deployment!r} is not the id of a deployment",
            field="DEPLOYMENT",
            hint="tidegate status and tidegate history SYSTEM ENV print it",
        )
    return identity


def run_of(deployment: Deployment) -> Run:
    return Run(deployment.system, deployment.environment, deployment.id, deployment.execution)


def _place(call: Call, system: str, environment: str) -> Connection:
    connection = call.connect()
    require_registered(connection.ports, system, environment)
    return connection


def _awaiting(ports: Ports, identity: str) -> Deployment:
    """The deployment, if a person is to decide about it. The function has the last word; this is what is shown."""
    found = Ledger(ports.store, ports.clock).find(identity)
    if found is None:
        raise NotFoundError(
            f"there is no deployment {identity}", field="DEPLOYMENT", hint="see tidegate history"
        )
    people = Interventions(ports.store, ports.clock)
    approval = people.approval(found.system, found.environment, found.id)
    if approval is None or found.outcome is not None or found.plan is None:
        raise RefusalError(
            f"deployment {identity} waits for no approval",
            field="DEPLOYMENT",
            hint=f"see tidegate show {identity}",
        )
    if approval.decision is not None:
        raise RefusalError(
            f"deployment {identity} was {approval.told}",
            field="DEPLOYMENT",
            hint=f"see tidegate show {identity}",
        )
    return found


def _plan_hash(deployment: Deployment) -> str:
    return "" if deployment.plan is None else deployment.plan.hash


def _recorded_run(call: Call, connection: Connection, identity: str, timeout: float | None) -> Run:
    """One that was started a moment ago may not be in the ledger yet."""
    ledger = Ledger(connection.ports.store, connection.ports.clock)
    started = {"deployment": identity}

    def look(elapsed: float) -> Run | None:
        found = ledger.find(identity)
        if found is not None:
            return run_of(found)
        if elapsed > LAST_WRITE_SECONDS:
            raise CommandError(
                f"deployment {identity} is to be taken back, and has not been recorded yet",
                code="not_recorded",
                exit_code=UNEXPECTED,
                hint=call.given.command("show", identity),
                more=started,
            )
        return None

    return poll(
        look,
        ran_out=lambda: timed_out(f"deployment {identity}", started, call.given.command("show", identity)),
        timeout=timeout,
        pause=call.surroundings.pause,
        monotonic=call.surroundings.monotonic,
    )


def _exit_code_of_abort(outcome: Outcome) -> int:
    if outcome in _AS_ASKED:
        return 0
    return outcome.exit_code or UNEXPECTED


def _print_done(call: Call, done: Mapping[str, Any], said: str, *next_words: str) -> None:
    if call.given.json:
        print_document(done)
        return
    screen = console()
    by = f"  by {who(str(done.get('by', '')))}"
    screen.print(Text.assemble((plain(done.get("did", "done")), "bold green"), f": {said}", (by, "dim")))
    screen.print(Text(f"next: {call.given.command(*next_words)}", style="dim"))
