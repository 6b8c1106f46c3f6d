"""Commands that are loaded when they are called: `tidegate --help` and a mistyped option wait for nothing."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand

from tidegate_cli.failures import UNEXPECTED, CommandError
from tidegate_cli.options import surroundings_of, wants_json


@dataclass(frozen=True, slots=True)
class Entry:
    """A command and where it is. `app` is a Typer app of `module`; `only` says that the app itself is the command."""

    name: str
    summary: str
    panel: str
    module: str
    app: str = "app"
    only: bool = False
    missing: str = ""


class LazyCommand(TyperCommand):
    """Stands in the list of commands for one that is not loaded yet."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(name=entry.name, help=entry.summary, rich_help_panel=entry.panel)
        self.entry = entry

    def load(self) -> Any:
        """The command itself. Raises CommandError where its package is not installed."""
        try:
            module = importlib.import_module(self.entry.module)
        except ModuleNotFoundError as error:
            if not self.entry.missing:
                raise
            raise CommandError(
                f"tidegate {self.entry.name} is not available here: there is no {error.name}",
                code="not_available",
                exit_code=UNEXPECTED,
                hint=self.entry.missing,
            ) from error
        # The group, not `get_command`: the options that install completion are the root's alone.
        group = typer.main.get_group(getattr(module, self.entry.app))
        if not self.entry.only:
            command: Any = group.commands[self.entry.name]
        else:
            alone = len(group.commands) == 1 and not hasattr(group, "itself")
            command = next(iter(group.commands.values())) if alone else group
        command.name = self.entry.name
        return command

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Typer goes on with the command of the context that it is given: the loaded one."""
        command = self.load()
        if parent is not None and wants_json(surroundings_of(parent)):
            _refuse_instead_of_helping(command)
        return command.make_context(info_name, args, parent=parent, **extra)


def _refuse_instead_of_helping(command: Any) -> None:
    """The help is no document: a program that names no command below a group is told so."""
    command.no_args_is_help = False
    for below in getattr(command, "commands", {}).values():
        _refuse_instead_of_helping(below)
