"""The options that every command takes, before its name and after it: `tidegate --json show`, `tidegate show --json`.

A command is a function whose first parameter is a `Call`; `with_global_options` gives it the options.
"""

from __future__ import annotations

import functools
import inspect
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tidegate_cli.connection import Connection

DEFAULT_STACK = "tidegate"
STACK_VARIABLE = "TIDEGATE_STACK"
PANEL = "Everywhere"


@dataclass(frozen=True, slots=True)
class Given:
    """The global options. None and False stand for "not given": the environment or the default decides."""

    region: str | None = None
    profile: str | None = None
    stack: str | None = None
    json: bool = False
    local: bool = False

    def over(self, before: Given) -> Given:
        """These, given after the command, where they are given; else those before it."""
        return Given(
            self.region or before.region,
            self.profile or before.profile,
            self.stack or before.stack,
            self.json or before.json,
            self.local or before.local,
        )

    def command(self, *words: str) -> str:
        """A command line for a person to go on with, which reaches the same installation."""
        options = [("--region", self.region), ("--profile", self.profile), ("--stack", self.stack)]
        given = [part for name, value in options if value for part in (name, value)]
        return shlex.join(["tidegate", *(["--local"] if self.local else []), *given, *words])


def _connect(given: Given) -> Connection:
    # The first command that needs AWS pays for boto3; the others never load it.
    from tidegate_cli.connection import connect  # noqa: PLC0415

    return connect(given)


def _somebody_is_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


@dataclass
class Surroundings:
    """What a command reaches beyond its arguments: a test gives its own as Typer's `obj`.

    `pause` waits a number of seconds, `monotonic` is a clock that never goes back, `answers` says whether somebody is
    there who can be asked; `words` are the arguments as
    written, `given` what was understood of them once a command was reached (`parsed`).
    """

    connect: Callable[[Given], Connection] = _connect
    pause: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    answers: Callable[[], bool] = _somebody_is_there
    words: list[str] = field(default_factory=list)
    given: Given = field(default_factory=Given)
    parsed: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command: the global options, and the way out."""

    given: Given
    surroundings: Surroundings

    def connect(self) -> Connection:
        """The installation, with the caller's own credentials. Raises TidegateError."""
        return self.surroundings.connect(self.given)


RegionOption = Annotated[
    str | None,
    typer.Option("--region", metavar="REGION", help="AWS region.", rich_help_panel=PANEL, show_default=False),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="PROFILE", help="AWS profile.", rich_help_panel=PANEL, show_default=False
    ),
]
StackOption = Annotated[
    str | None,
    typer.Option(
        "--stack",
        metavar="STACK",
        help=f"Stack that Tidegate is installed as (default: {STACK_VARIABLE}, else {DEFAULT_STACK}).",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output.", rich_help_panel=PANEL)
]
LocalOption = Annotated[
    bool, typer.Option("--local", help="Use this checkout's embedded cloud.", rich_help_panel=PANEL)
]

_SHARED: dict[str, tuple[Any, Any]] = {
    "region": (RegionOption, None),
    "profile": (ProfileOption, None),
    "stack": (StackOption, None),
    "json": (JsonOption, False),
    "local": (LocalOption, False),
}
_PREFIX = "given_"


def surroundings_of(context: typer.Context) -> Surroundings:
    """Those of the whole command line."""
    root = context.find_root()
    if not isinstance(root.obj, Surroundings):
        root.obj = Surroundings()
    return root.obj


def wants_json(surroundings: Surroundings) -> bool:
    """As parsed; before that is done, as written: a usage error is told to a program as well."""
    if surroundings.parsed:
        return surroundings.given.json
    words = surroundings.words
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def with_global_options(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """A command that takes the global options besides its own; `function` gets a Call first."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    shared = [
        inspect.Parameter(
            f"{_PREFIX}{name}", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
        )
        for name, (kind, default) in _SHARED.items()
    ]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)

    @functools.wraps(function)
    def command(context: typer.Context, **values: Any) -> int | None:
        after = Given(**{name: values.pop(f"{_PREFIX}{name}") for name in _SHARED})
        surroundings = surroundings_of(context)
        surroundings.given = after.over(surroundings.given)
        surroundings.parsed = True
        return function(Call(surroundings.given, surroundings), **values)

    parameters = [context, *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own)]
    # What Typer reads: the signature for order and defaults, the annotations for the types.
    command.__signature__ = inspect.Signature([*parameters, *shared])  # type: ignore[attr-defined]
    command.__annotations__ = {entry.name: entry.annotation for entry in [*parameters, *shared]}
    del command.__wrapped__
    return command


def remember(context: typer.Context, given: Given) -> None:
    """The options that were given before the command."""
    surroundings = surroundings_of(context)
    surroundings.given = replace(given)
