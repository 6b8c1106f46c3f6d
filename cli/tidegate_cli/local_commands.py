"""`tidegate local …`: the embedded cloud. Loaded when one of its commands is called."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from botocore.exceptions import ClientError
from tidegate.domain.regions import REGIONS
from tidegate_local.images import publish
from tidegate_local.lifecycle import cloud, control, environment
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import UsageError
from tidegate_local.lifecycle.record import STACK, Cloud, Docker
from tidegate_local.settings import ACCOUNT

from tidegate_cli.local_progress import narrated
from tidegate_cli.local_push_command import app as push
from tidegate_cli.options import Call, with_global_options
from tidegate_cli.screen import print_document

app = typer.Typer(no_args_is_help=True, help="The embedded cloud: AWS on this machine, without an account.")
events = typer.Typer(no_args_is_help=True, help="Events for the embedded cloud's default bus.")
app.add_typer(events, name="events")
app.add_typer(push)

LARGEST_EVENTS = 1024 * 1024


@app.command()
@with_global_options
def up(
    call: Call,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, show_default="4566", help="Where it listens, on loopback.")
    ] = None,
    docker: Annotated[
        Docker | None,
        typer.Option(
            show_default="auto",
            help="Tasks are containers: auto where a Docker engine answers, require, or off (simulated).",
        ),
    ] = None,
    iam: Annotated[
        bool | None, typer.Option("--iam/--no-iam", show_default="--iam", help="Enforce IAM policies.")
    ] = None,
    no_ecs_events: Annotated[
        bool | None, typer.Option("--no-ecs-events", help="ECS sends no events: the sweep must find out.")
    ] = None,
) -> None:
    """Start it, build the orchestrator, deploy it with the real SAM CLI. Does only what is left to do.

    A PostgreSQL server runs beside it, with a password of its own, and databases of RDS have servers; where tasks are
    containers, they reach them too.
    """
    _require_region(call.given.region)
    ecs_events = None if no_ecs_events is None else not no_ecs_events
    wanted = cloud.Wanted(port, call.given.region, iam, ecs_events, call.given.stack, docker)
    with interruptible(), narrated("looking for a running embedded cloud") as say:
        started = cloud.up(Checkout.find(), wanted, say)
    if call.given.json:
        print_document(started.document())
    else:
        _show(started)


@app.command()
@with_global_options
def down(call: Call) -> None:
    """Stop everything it started and leave nothing behind."""
    with narrated("stopping the embedded cloud") as say:
        stopped = cloud.down(Checkout.find(), say)
    if call.given.json:
        print_document({"stopped": stopped})
    else:
        print("stopped" if stopped else "no embedded cloud was running")


@app.command()
@with_global_options
def status(call: Call) -> None:
    """Whether it runs, and where."""
    found = cloud.status(Checkout.find())
    if call.given.json:
        print_document(found.document())
    elif found.state == "running" and found.cloud is not None:
        _show(found.cloud)
    else:
        print(cloud.SAID[found.state])


@app.command()
@with_global_options
def env(call: Call) -> None:
    """What a shell needs to talk to it: eval "$(tidegate local env)".

    For the AWS CLI, boto3, SAM and Tidegate the AWS_* variables, for psql and other clients of PostgreSQL PGHOST,
    PGPORT, PGUSER and PGPASSWORD.
    """
    running = cloud.running(Checkout.find())
    exports = environment.exports(running.endpoint_url, running.options.region)
    unset = [*environment.UNSET]
    if running.postgres is not None:
        exports |= running.postgres.variables()
        unset += environment.UNSET_POSTGRES
    if running.options.stack != STACK:
        exports["TIDEGATE_STACK"] = running.options.stack
    if call.given.json:
        print_document(exports)
        return
    print(f"unset {' '.join(unset)}")
    for name, value in exports.items():
        print(f"export {name}={shlex.quote(value)}")


@events.command()
@with_global_options
def put(
    call: Call,
    file: Annotated[str, typer.Argument(help="JSON: an event, or a list of them. - is standard input.")],
) -> None:
    """Put the events of a file on the default bus, aws.* sources included."""
    content = _event_file(file)
    with control.of(cloud.running(Checkout.find())) as controls:
        ids = controls.put_events(content)
    if call.given.json:
        print_document({"ids": ids})
    else:
        print("\n".join(ids))


@app.command()
@with_global_options
def fault(
    call: Call,
    service: Annotated[str, typer.Argument(help="The ECS service's name, or the group of one-off tasks.")],
    mode: Annotated[Literal["crash", "hang", "clear"], typer.Argument(help="What its new tasks do.")],
    every: Annotated[
        bool, typer.Option("--all", help="Not even a return to the last good deployment is spared.")
    ] = False,
    secret: Annotated[
        str | None,
        typer.Option(
            "--secret",
            metavar="SECRET",
            help="Only while this secret has another value than now: they cannot do with a new one.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make new deployments of an ECS service crash or hang until cleared.

    Or tasks that RunTask starts, by their group, which is family:FAMILY where none is named. A service that starts
    again with what it runs, as in a rotation, returns to its last good deployment: that takes --secret or --all.
    """
    if mode == "clear" and (every or secret is not None):
        option = "all" if every else "secret"
        raise UsageError(
            f"--{option} says how to fail; clear takes no option", field=option, hint="leave it out"
        )
    running = cloud.running(Checkout.find())
    unless = None if secret is None else _current(running, secret)
    with control.of(running) as controls:
        if mode == "clear":
            controls.clear_fault(service)
        else:
            controls.set_fault(service, mode, all=every, unless=unless)
        faults = controls.faults()
    if call.given.json:
        print_document(faults)
    elif mode == "clear":
        print(f"new deployments of {service} are healthy")
    else:
        when = "" if secret is None else f" while {secret} has another value"
        print(f"new deployments of {service} {mode}{when}; undo: tidegate local fault {service} clear")


@app.command()
@with_global_options
def image(
    call: Call,
    repository: Annotated[str, typer.Argument(help="The ECR repository, which must be there.")],
    tag: Annotated[str, typer.Argument(help="The tag, for example a commit.")],
    content: Annotated[str, typer.Option(help="What makes it differ from others; default: the tag.")] = "",
) -> None:
    """Publish an image with no more than a manifest, for simulated tasks; prints its digest."""
    ecr = _client(cloud.running(Checkout.find()), "ecr")
    try:
        digest = publish(ecr, repository, tag, content or tag)
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise UsageError(
            f"there is no repository {repository}", field="repository", hint="create it, or deploy its stack"
        ) from error
    except ClientError as error:
        raise UsageError(str(error), field="tag") from error
    if call.given.json:
        print_document({"repository": repository, "tag": tag, "digest": digest})
    else:
        print(digest)


@contextmanager
def interruptible() -> Iterator[None]:
    """A polite kill unwinds like Ctrl-C: what was started is stopped."""

    def end(number: int, _frame: Any) -> None:
        sys.exit(128 + number)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _client(running: Cloud, service: Literal["ecr", "secretsmanager"]) -> Any:
    import boto3  # noqa: PLC0415 -- the other commands of this module start without it

    return boto3.client(
        service,
        region_name=running.options.region,
        endpoint_url=running.endpoint_url,
        aws_access_key_id=environment.ACCESS_KEY_ID,
        aws_secret_access_key=environment.SECRET_ACCESS_KEY,
    )


def _current(running: Cloud, secret: str) -> tuple[str, str]:
    """The secret, and the id of its version that is current."""
    manager = _client(running, "secretsmanager")
    try:
        stages = manager.describe_secret(SecretId=secret).get("VersionIdsToStages", {})
    except manager.exceptions.ResourceNotFoundException as error:
        raise UsageError(
            f"there is no secret {secret}", field="secret", hint="tidegate secrets SYSTEM ENV lists them"
        ) from error
    version = next((version for version, labels in stages.items() if "AWSCURRENT" in labels), None)
    if version is None:
        raise UsageError(f"secret {secret} has no value", field="secret", hint="give it one")
    return secret, version


def _show(shown: Cloud) -> None:
    options = shown.options
    print(f"the embedded cloud runs at {shown.endpoint_url}")
    print(f"  account {ACCOUNT}, region {options.region}, stack {options.stack}")
    print(f"  IAM {'enforced' if options.iam else 'not enforced'}, {cloud.tasks_of(shown)}")
    if shown.postgres is not None:
        print(f"  PostgreSQL at {shown.postgres.host}:{shown.postgres.port}, user {shown.postgres.user}")
    print('  use it:  eval "$(tidegate local env)", or tidegate --local …')
    print("  stop it: tidegate local down")


def _require_region(region: str | None) -> None:
    if region is not None and region not in REGIONS:
        raise UsageError(
            f"{region!r} is not a region that has ECS", field="region", hint="for example eu-west-1"
        )


def _event_file(file: str) -> Any:
    shown = "standard input" if file == "-" else file
    try:
        if file == "-":
            content = sys.stdin.buffer.read(LARGEST_EVENTS + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(LARGEST_EVENTS + 1)
        if len(content) > LARGEST_EVENTS:
            raise UsageError(f"{shown} is larger than 1 MiB", field="file", hint="split it")
        return json.loads(content)
    # ValueError: not JSON, not UTF-8, or a name with a NUL character.
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{shown} cannot be read as JSON: {error}",
            field="file",
            hint='an event is {"source": "...", "detail-type": "...", "detail": {...}}',
        ) from None
