"""`tidegate`: the commands, the options that all of them take, and how every call ends."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from tidegate import __version__
from typer.core import TyperGroup

from tidegate_cli.failures import (
    INTERRUPTED,
    Failure,
    failure_of,
    format_traceback,
    make_failure,
    traceback_wanted,
)
from tidegate_cli.lazy import Entry, LazyCommand
from tidegate_cli.options import (
    Given,
    JsonOption,
    LocalOption,
    ProfileOption,
    RegionOption,
    StackOption,
    Surroundings,
    remember,
    surroundings_of,
    wants_json,
)

_MANIFEST, _RELEASE, _ON_CALL, _LOOK, _LOCAL = "Manifest", "Release", "On call", "Look", "On this machine"
_ON_CALL_COMMANDS = "tidegate_cli.oncall_commands"
_NO_LOCAL = "run it from a checkout (make setup), or install tidegate with the extra: tidegate[local]"
COMMANDS = (
    Entry("validate", "Check a manifest, without AWS.", _MANIFEST, "tidegate_cli.manifest_commands"),
    Entry("schema", "Print the manifest's JSON Schema.", _MANIFEST, "tidegate_cli.manifest_commands"),
    Entry("apply", "Register a manifest in an environment.", _MANIFEST, "tidegate_cli.manifest_commands"),
    Entry("build", "Build a commit's images and publish them.", _RELEASE, "tidegate_cli.build_commands"),
    Entry("plan", "Show what a deployment would do.", _RELEASE, "tidegate_cli.release_commands"),
    Entry("deploy", "Put a release into an environment.", _RELEASE, "tidegate_cli.release_commands"),
    Entry(
        "migrate",
        "Run the migrations of a release, and nothing else.",
        _RELEASE,
        "tidegate_cli.release_commands",
    ),
    Entry("rollback", "Take an environment back to a release.", _RELEASE, "tidegate_cli.release_commands"),
    Entry("scale", "Change how many tasks a service runs.", _RELEASE, "tidegate_cli.release_commands"),
    Entry(
        "rotate",
        "Give a secret a new value, and start its consumers with it.",
        _RELEASE,
        "tidegate_cli.secret_commands",
    ),
    Entry("abort", "Take back a deployment that has not ended.", _ON_CALL, _ON_CALL_COMMANDS),
    Entry("approve", "Approve the plan of a deployment that waits for it.", _ON_CALL, _ON_CALL_COMMANDS),
    Entry("reject", "Refuse a deployment that waits for approval.", _ON_CALL, _ON_CALL_COMMANDS),
    Entry("freeze", "Let nothing but rollbacks into an environment.", _ON_CALL, _ON_CALL_COMMANDS),
    Entry("unfreeze", "Lift a freeze that somebody put on.", _ON_CALL, _ON_CALL_COMMANDS),
    Entry(
        "unlock",
        "Break the lock that a deployment left behind when it ended FailedDirty.",
        _ON_CALL,
        _ON_CALL_COMMANDS,
    ),
    Entry("status", "Show what runs where, since when.", _LOOK, "tidegate_cli.inspection_commands"),
    Entry("history", "List deployments, newest first.", _LOOK, "tidegate_cli.inspection_commands"),
    Entry(
        "show", "Show one deployment or build, and why it failed.", _LOOK, "tidegate_cli.inspection_commands"
    ),
    Entry(
        "builds",
        "List builds, newest first: commit, branch, outcome, images, who.",
        _LOOK,
        "tidegate_cli.build_commands",
    ),
    Entry(
        "watch", "Watch a deployment, or everything that is in flight.", _LOOK, "tidegate_cli.watch_command"
    ),
    Entry(
        "changes",
        "List everything that changed, in all systems, newest first.",
        _LOOK,
        "tidegate_cli.changes_command",
    ),
    Entry(
        "secrets",
        "Show the secrets of a system: their age, when they were and will be rotated, who takes them.",
        _LOOK,
        "tidegate_cli.secret_commands",
        app="secrets_app",
        only=True,
    ),
    Entry("doctor", "Look for what is wrong, and say how to mend it.", _LOOK, "tidegate_cli.doctor_command"),
    Entry(
        "local",
        "The embedded cloud: AWS on this machine.",
        _LOCAL,
        "tidegate_cli.local_commands",
        only=True,
        missing=_NO_LOCAL,
    ),
    Entry(
        "demo",
        "The main job, in the embedded cloud, in two minutes.",
        _LOCAL,
        "tidegate_cli.demo_command",
        only=True,
        missing=_NO_LOCAL,
    ),
)


class Root(TyperGroup):
    """The group of all commands: here every call begins, and ends with an exit code of the contract."""

    def __init__(self, **settings: Any) -> None:
        settings["commands"] = {entry.name: LazyCommand(entry) for entry in COMMANDS}
        super().__init__(**settings)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002 - Typer's name for what this method does itself
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run, print what went wrong in the way that was asked for, and exit."""
        words = list(sys.argv[1:] if args is None else args)
        surroundings = extra.setdefault("obj", Surroundings())
        surroundings.words = words
        _print_whatever_comes()
        try:
            result = super().main(
                words,
                prog_name or "tidegate",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except BrokenPipeError:
            # Whoever read our output has gone: there is nobody to tell.
            sys.stdout = None
            sys.exit(1)
        except (KeyboardInterrupt, typer.Abort):
            failure = make_failure(INTERRUPTED, "interrupted", "interrupted")
            _tell(failure, wants_json(surroundings))
            sys.exit(failure.exit_code)
        except Exception as error:  # noqa: BLE001 - the last place: a person never sees a traceback unasked
            if _only_help(error):
                sys.exit(2)
            failure = failure_of(error)
            if traceback_wanted():
                sys.stderr.write(format_traceback(error))
            _tell(failure, wants_json(surroundings))
            sys.exit(failure.exit_code)
        sys.exit(result if isinstance(result, int) else 0)


app = typer.Typer(
    cls=Root,
    name="tidegate",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="[bold]Begin here[/bold]\n\n"
    "tidegate demo\n\n"
    "tidegate validate tidegate.yaml\n\n"
    "tidegate plan arive production --commit 4f2a91c\n\n"
    "tidegate deploy arive production --commit 4f2a91c --wait\n\n"
    "tidegate status",
)


def _version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        # Eager: `--json` may not have been read yet, so the words themselves are looked at.
        as_json = "--json" in surroundings_of(context).words
        sys.stdout.write(f'{{"version": "{__version__}"}}\n' if as_json else f"tidegate {__version__}\n")
        raise typer.Exit


@app.callback()
def tidegate(
    context: typer.Context,
    region: RegionOption = None,
    profile: ProfileOption = None,
    stack: StackOption = None,
    json: JsonOption = False,
    local: LocalOption = False,
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Releases on Amazon ECS that verify themselves, or put everything back.

    Exit codes: 0 Succeeded, Rotated, Built or NoChange, 1 unexpected error, 2 bad usage or bad manifest, 10 FailedClean
    (of a build: Failed), 20 FailedDirty, 30 Refused, 40 Superseded, 124 --timeout ran out.
    """
    remember(context, Given(region, profile, stack, json, local))


def run() -> NoReturn:
    """The console script."""
    app(prog_name="tidegate")
    raise AssertionError("the group of all commands exits")


def _tell(failure: Failure, as_json: bool) -> None:
    with contextlib.suppress(BrokenPipeError):
        if as_json:
            from tidegate_cli.screen import print_document  # noqa: PLC0415 - Rich is loaded when it is needed

            print_document(failure.document)
            sys.stdout.flush()
            return
        from tidegate_cli.screen import say  # noqa: PLC0415 - as above

        first, *rest = failure.lines
        say(f"Error: {first}", style="bold red")
        for line in rest:
            say(f"  {line}")


def _only_help(error: Exception) -> bool:
    """Typer's way to say that the help was printed because nothing was asked for."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _print_whatever_comes() -> None:
    """A character that the terminal's encoding lacks is escaped, never an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
