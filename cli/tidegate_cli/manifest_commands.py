"""`tidegate validate`, `schema` and `apply`: the manifest, from the file to the environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from tidegate.domain.errors import (
    BadInputError,
    BadManifestError,
    NotFoundError,
    OutsideError,
    RefusalError,
    TransientError,
)
from tidegate.domain.manifest import EnvironmentView, Manifest, parse_manifest, to_json
from tidegate.domain.manifest.schema import json_schema
from tidegate.ports import Registry

from tidegate_cli.failures import UNEXPECTED, CommandError
from tidegate_cli.manifest_file import load_manifest_file
from tidegate_cli.options import Call, with_global_options
from tidegate_cli.rendering.words import when
from tidegate_cli.scheduling import keep_schedules, schedules_anything
from tidegate_cli.screen import console, plain, print_document

if TYPE_CHECKING:
    from tidegate_cli.connection import Connection

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

FileArgument = Annotated[
    str, typer.Argument(metavar="[FILE]", help="The manifest; - for standard input.", show_default=True)
]


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate validate\n\n"
    "tidegate validate systems/sample/tidegate.yaml --json\n\n"
    "git show main:tidegate.yaml | tidegate validate -"
)
@with_global_options
def validate(call: Call, file: FileArgument = "tidegate.yaml") -> None:
    """Check a manifest, without AWS.

    Every problem is named at once, with its line and its mend. Exit code 2 when there is one.
    """
    manifest = _load(file)
    document = {
        "valid": True,
        "system": manifest.system,
        "images": sorted(manifest.images),
        "services": sorted(manifest.services),
        "environments": sorted(manifest.environments),
    }
    if call.given.json:
        print_document(document)
        return
    counted = f"{_count(manifest.services, 'service')} in {_count(manifest.environments, 'environment')}"
    console().print(Text.assemble(("valid", "bold green"), f": system {manifest.system}, {counted}"))


@app.command(epilog="[bold]Examples[/bold]\n\ntidegate schema\n\ntidegate schema > tidegate.schema.json")
@with_global_options
def schema(call: Call) -> None:  # noqa: ARG001 - it is JSON with and without --json
    """Print the manifest's JSON Schema.

    Draft 2020-12, for editors and other tools.
    """
    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=True) + "\n")


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "tidegate apply --environment production\n\n"
    "tidegate apply systems/sample/tidegate.yaml --environment production --region us-east-1"
)
@with_global_options
def apply(
    call: Call,
    environment: Annotated[
        str, typer.Option("--environment", "-e", metavar="E", help="An environment of the manifest.")
    ],
    file: FileArgument = "tidegate.yaml",
) -> None:
    """Register a manifest in an environment, and keep the schedules of its rotations.

    The manifest is stored in SSM Parameter Store, where any IaC tool may put it as well. Secrets with every get a
    schedule in EventBridge Scheduler; that of a secret which the manifest dropped is removed.
    """
    manifest = _load(file)
    view = manifest.for_environment(environment)
    connection = call.connect()
    if view.region != connection.region:
        raise BadInputError(
            f"environment {environment} is in {view.region}, and the region in use is {connection.region}",
            field="--region",
            hint=f"--region {view.region}, or correct environments.{environment}.region",
        )
    data: object = json.loads(to_json(manifest))
    before = _registered(connection.ports.registry, manifest.system, environment)
    changed = before != data
    if changed:
        connection.ports.registry.put_manifest(manifest.system, environment, data)
    document: dict[str, Any] = {
        "system": manifest.system,
        "environment": environment,
        "parameter": f"/tidegate/{manifest.system}/{environment}",
        "changed": changed,
    }
    document["schedules"] = _schedules(connection, view, _scheduled(before, environment), document)
    if call.given.json:
        print_document(document)
        return
    what = ("registered", "bold green") if changed else ("unchanged", "bold")
    console().print(Text.assemble(what, f": {manifest.system} in {environment} ({document['parameter']})"))
    for entry in document["schedules"]:
        console().print(_schedule_line(entry))
    if changed:
        follow_up = call.given.command("plan", manifest.system, environment)
        console().print(Text(f"next: {follow_up} --commit …", style="dim"))


def _load(file: str) -> Manifest:
    return load_manifest_file(file, standard_input=getattr(sys.stdin, "buffer", None))


def _registered(registry: Registry, system: str, environment: str) -> object:
    """What is registered now; a manifest that cannot be read is replaced."""
    try:
        return registry.manifest(system, environment)
    except BadManifestError:
        return None


def _scheduled(before: object, environment: str) -> bool:
    """Whether the manifest that was registered before asked for a schedule."""
    try:
        return schedules_anything(parse_manifest(before).for_environment(environment))
    except RefusalError:
        return False


def _schedules(
    connection: Connection, view: EnvironmentView, scheduled: bool, document: dict[str, Any]
) -> list[dict[str, Any]]:
    """What was done with each. Raises CommandError: by then the manifest is registered, which is to be said."""
    try:
        return keep_schedules(connection.ports, view)
    except (NotFoundError, OutsideError, TransientError) as error:
        if not scheduled and not schedules_anything(view) and not isinstance(error, TransientError):
            # Who rotates nothing needs neither the group nor the permission to look into it.
            return []
        hint = error.hint
        if (hint or "").startswith("allow "):
            hint = (
                "who applies a manifest with secrets needs scheduler:ListSchedules, GetSchedule, CreateSchedule,"
                f" UpdateSchedule and DeleteSchedule in the group {connection.stack}, cloudformation:DescribeStacks on"
                f" the stack {connection.stack}, and iam:PassRole on its output RotationScheduleRoleArn; then apply it"
                " again"
            )
        state = "is registered" if document["changed"] else "was registered already"
        raise CommandError(
            f"the manifest {state}, but its rotations are not all scheduled: {error.message}",
            code=error.code,
            exit_code=UNEXPECTED,
            hint=hint or "apply it again: what is done already is left as it is",
            more=document,
        ) from error


def _schedule_line(entry: Mapping[str, Any]) -> Text:
    said = f"  rotation of {plain(entry['secret'])} {entry['did']}"
    if entry["next"] is None:
        return Text(said)
    return Text(f"{said}: every {entry['every']}, next {when(entry['next'])}")


def _count(things: Any, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"
