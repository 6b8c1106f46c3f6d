"""`tidegate demo`: the main job, shown in the embedded cloud."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any

import boto3
import typer
from rich.console import Console
from rich.text import Text
from tidegate.domain.manifest import to_json
from tidegate_local import pushing, sample, sample_containers, sample_database
from tidegate_local.control import Control
from tidegate_local.lifecycle import cloud
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import UsageError
from tidegate_local.lifecycle.record import Cloud, Docker
from tidegate_local.sample_logins import Logins
from tidegate_local.sample_repository import BRANCH, SampleRepository

from tidegate_cli.connection import Connection, connect
from tidegate_cli.demo_rotation import Rotated, RotationScene
from tidegate_cli.demo_scenario import TABLE, Chapter, Demo
from tidegate_cli.failures import UNEXPECTED
from tidegate_cli.local_commands import interruptible
from tidegate_cli.local_progress import Say, narrated
from tidegate_cli.local_push import build_projects
from tidegate_cli.manifest_file import load_manifest_file
from tidegate_cli.options import Call, Given, with_global_options
from tidegate_cli.rendering.chain import ChainOnScreen
from tidegate_cli.rendering.demo import print_demo, print_next
from tidegate_cli.rendering.secrets import print_statements
from tidegate_cli.screen import console, print_document

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(
    epilog="[bold]Examples[/bold]\n\ntidegate demo\n\ntidegate demo --keep\n\ntidegate demo --docker off\n\n"
    "tidegate demo --json > demo.json"
)
@with_global_options
def demo(
    call: Call,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the embedded cloud running at the end.")
    ] = False,
    docker: Annotated[
        Docker | None,
        typer.Option(
            show_default="auto",
            help="Tasks are containers: auto where a Docker engine answers, require, or off (simulated).",
        ),
    ] = None,
) -> int:
    """Two pushes that are released with their migrations, one that fails and is taken back, a rollback by hand, and a
    new password for the database while somebody logs in all the time.

    The commits are made in a scratch repository. Everything happens in the embedded cloud, with the real template,
    state machines and functions; where a Docker engine answers, images are built and the services are containers. It
    is started if none runs, and stopped at the end if it was started here. Exit code 0 only if all five runs end as
    told and no login failed.
    """
    began = time.monotonic()
    checkout = Checkout.find()
    screen = console(stderr=call.given.json)
    with interruptible(), _embedded_cloud(checkout, keep=keep, docker=docker) as (running, stays):
        chapters, rotated = _told(call, checkout, running, screen)
        seconds = time.monotonic() - began
        as_told = rotated.as_told and all(chapter.as_told for chapter in chapters)
        if not call.given.json:
            print_demo(screen, chapters, rotated, tasks=cloud.tasks_of(running), seconds=seconds)
            failed = next((c.shown["deployment"] for c in chapters if c.shown["failure"]), None)
            print_next(screen, kept=stays, failed=failed)
    if call.given.json:
        print_document(_document(chapters, rotated, running, as_told=as_told, stays=stays, seconds=seconds))
    return 0 if as_told else UNEXPECTED


@contextmanager
def _embedded_cloud(checkout: Checkout, *, keep: bool, docker: Docker | None) -> Iterator[tuple[Cloud, bool]]:
    """The running one, or one of our own; and whether it stays when we have gone."""
    ours = cloud.status(checkout).state in ("stopped", "broken")
    try:
        with narrated("starting") as say:
            port = cloud.free_port() if ours else None
            running = cloud.up(checkout, cloud.Wanted(port=port, docker=docker), say)
        _require_region(running)
        yield running, keep or not ours
    finally:
        if ours and not keep:
            with narrated("stopping the embedded cloud") as say:
                cloud.down(checkout, say)


def _require_region(running: Cloud) -> None:
    if running.options.region != sample.REGION:
        raise UsageError(
            f"the sample system is in {sample.REGION}, the embedded cloud plays {running.options.region}",
            hint="tidegate local down, then again",
        )


def _told(call: Call, checkout: Checkout, running: Cloud, screen: Console) -> tuple[list[Chapter], Rotated]:
    given = replace(call.given, local=True, region=None, profile=None, stack=running.options.stack)
    connection = connect(given)
    session = boto3.Session(region_name=running.options.region)
    with narrated("the sample system: an API and a worker from one image") as say:
        _prepare(connection, checkout, running, session, say)
    view = ChainOnScreen(screen, live=screen.is_terminal and not call.given.json)
    command = Given(local=True).command
    with SampleRepository.begin(checkout) as repository:
        chapters = Demo(
            connection=connection,
            control=Control(running.endpoint_url),
            ecs=session.client("ecs"),
            repository=repository,
            contained=running.engine is not None,
            columns=lambda: sample_database.columns(running, TABLE),
            view=view,
            tell_title=lambda title: _print_title(screen, title),
            command=command,
            pause=_wait,
        ).tell()
    secrets = session.client("secretsmanager")
    return chapters, RotationScene(
        connection=connection,
        logins=lambda: Logins(running, secrets),
        current=lambda: sample_database.current(secrets),
        lets_in=lambda credential: sample_database.lets_in(running, credential),
        view=view.deployment,
        tell_title=lambda title: _print_title(screen, title),
        tell_statements=lambda statements: print_statements(screen, sample_database.SECRET, statements),
        command=command,
        pause=_wait,
    ).tell()


def _prepare(
    connection: Connection, checkout: Checkout, running: Cloud, session: boto3.Session, say: Say
) -> None:
    image = None
    if running.engine is not None:
        say("docker build: what its services run before the first release")
        image = sample_containers.bootstrap(checkout, running, session.client("ecr"))
    say("secretsmanager: the credentials of its database")
    secret = sample_database.prepare(running, session.client("secretsmanager"))
    say(f"cloudformation: stack {sample.STACK}")
    sample.deploy(checkout, session.client("cloudformation"), session.client("ecs"), image, secret)
    say("tidegate apply: its manifest")
    manifest = load_manifest_file(str(sample.folder(checkout) / sample_database.MANIFEST))
    registry = connection.ports.registry
    registry.put_manifest(sample.SYSTEM, sample.ENVIRONMENT, json.loads(to_json(manifest)))
    projects = build_projects(registry, sample.SYSTEM)
    pushing.prepare(checkout, running, sample.SYSTEM, projects, BRANCH, say)


def _print_title(screen: Console, title: str) -> None:
    screen.print()
    screen.print(Text(title, style="bold cyan"))


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def _document(
    chapters: list[Chapter], rotated: Rotated, running: Cloud, *, as_told: bool, stays: bool, seconds: float
) -> dict[str, Any]:
    return {
        "as_expected": as_told,
        "outcomes": [*(chapter.outcome for chapter in chapters), rotated.outcome],
        "runs": [chapter.to_json() for chapter in chapters],
        "rotation": rotated.to_json(),
        "running": rotated.running,
        "docker": running.engine is not None,
        "cloud": running.document() if stays else None,
        "seconds": round(seconds, 1),
    }
