"""`docs/cli.md`, written from the commands themselves: `python -m tidegate_cli.reference > docs/cli.md`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import typer

from tidegate_cli.main import COMMANDS, app
from tidegate_cli.options import PANEL

_MARKUP = re.compile(r"\[/?[a-z]+\]")
_INTRODUCTION = """\
# The command line

`tidegate [--region R] [--profile P] [--stack tidegate] [--json] [--local] COMMAND`

The options of every command may stand before its name or after it; the later one counts. Without `--region` the
region is that of `AWS_REGION`, then of the profile. `--stack` is the name that Tidegate is installed under
(`TIDEGATE_STACK`, else `tidegate`). `--local` means this checkout's embedded cloud; without it, or the environment
that `tidegate local env` prints, no command ever talks to one.

**Output.** A result is for a person on standard output, progress and errors on standard error; colour only on a
terminal and without `NO_COLOR`. With `--json` standard output is exactly one JSON document, an error included:
`{"error": {"code", "message", "field"?, "hint"?}}`. What deploy, migrate, rollback, scale, rotate, build, builds,
history, status, show, secrets, plan, watch, changes, doctor and the commands of "On call" print is part of the contract
and only ever grows.

**Exit codes**

| code | means |
|---|---|
| 0 | Succeeded, Rotated, Built, NoChange, or the command did what it says |
| 1 | an unexpected error: no credentials, no installation (`TIDEGATE_DEBUG=1` shows where); an error in `doctor` |
| 2 | bad usage, a bad manifest, or a name that does not exist |
| 10 | FailedClean: the previous state is back, migrations apart. Failed, of a build: nothing was released |
| 20 | FailedDirty: a person is needed, the lock stays |
| 30 | Refused: a gate said no, nothing was changed |
| 40 | Superseded: a newer release took its place |
| 124 | `--timeout` ran out; the deployment or build goes on |
| 130 | Ctrl-C; with `--wait` the deployment or build goes on (of `watch` on a terminal: 0) |

`abort --wait` ends with 0 when the deployment was taken back, which is what was asked for, and with 20 when it was not.

**On call.** What these commands ask for is carried out by the function `<stack>-control`, which records who asked: the
command line signs the request with your own credentials, and your role needs `lambda:GetFunctionUrlConfig`,
`lambda:InvokeFunctionUrl` and `lambda:InvokeFunction` on that function. They print what was done:
`{"command", "by", "at", "did", …}`.

This page is written from the commands (`python -m tidegate_cli.reference`) and a test keeps it so.
"""


def reference() -> str:
    """The whole page, in Markdown."""
    root: Any = typer.main.get_command(app)
    parts = [_INTRODUCTION]
    panel = ""
    for entry in COMMANDS:
        if entry.panel != panel:
            panel = entry.panel
            parts.append(f"## {panel}\n")
        parts += _sections(f"tidegate {entry.name}", root.commands[entry.name].load(), "###")
    return "\n".join(parts)


def _sections(path: str, command: Any, level: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield _section(path, command, level)
        return
    itself = getattr(command, "itself", None)
    if itself is None:
        yield f"{level} {path} …\n\n{_text(command.help)}\n"
    else:
        yield _section(path, itself, level)
    for name, below in inner.items():
        yield from _sections(f"{path} {name}", below, f"{level}#")


def _section(path: str, command: Any, level: str) -> str:
    own = [parameter for parameter in command.params if getattr(parameter, "rich_help_panel", None) != PANEL]
    arguments = [entry for entry in own if entry.param_type_name == "argument"]
    usage = " ".join([path, *(_argument(entry) for entry in arguments)])
    options = [entry for entry in own if entry.param_type_name == "option"]
    lines = [
        f"{level} {path}",
        "",
        f"`{usage}{' [OPTIONS]' if options else ''}`",
        "",
        _text(command.help),
        "",
    ]
    if own:
        lines += ["| | |", "|---|---|"]
        lines += [f"| `{_name(entry)}` | {_meaning(entry)} |" for entry in [*arguments, *options]]
        lines.append("")
    examples = [line for line in _text(command.epilog).splitlines() if line.startswith(("tidegate", "git "))]
    if examples:
        lines += ["```sh", *examples, "```", ""]
    return "\n".join(lines)


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name.upper())
    return name if parameter.required or name.startswith("[") else f"[{name}]"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _argument(parameter)
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return f"{names} {parameter.metavar}" if parameter.metavar else names


def _meaning(parameter: Any) -> str:
    text = _text(parameter.help).replace("|", r"\|")
    notes = ["required"] if parameter.required and parameter.param_type_name == "option" else []
    default = parameter.default
    if default not in (None, False, "", [], ()) and not callable(default):
        notes.append(f"default {default}")
    return f"{text} ({', '.join(notes)})" if notes else text


def _text(help_: str | None) -> str:
    return _MARKUP.sub("", help_ or "").strip()


if __name__ == "__main__":
    sys.stdout.write(reference())
