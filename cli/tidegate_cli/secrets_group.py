"""`tidegate secrets SYSTEM ENV`, and below it `tidegate secrets adopt SYSTEM ENV SECRET`.

A system may be called like the command below. The number of words tells them apart: the view takes two, so
`tidegate secrets adopt production` shows the system `adopt`, and `tidegate secrets adopt adopt production NAME` adopts
one of its secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from typer.core import TyperGroup

VIEW: Final = "secrets"
_HELP: Final = frozenset({"--help", "-h"})
_WORDS_OF_VIEW: Final = 2


class SecretsGroup(TyperGroup):
    """A group whose first command is what it does itself."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.itself: Any = self.commands.pop(VIEW)
        self.help = self.itself.help
        self.no_args_is_help = False

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """That of the command which is meant; the caller goes on with its command."""
        words = list(self._words(args))
        chosen = args[words[0]] if words else ""
        if chosen not in self.commands or (len(words) == _WORDS_OF_VIEW and not _HELP & {*args}):
            return self.itself.make_context(info_name, args, parent=parent, **extra)
        below: Any = self.commands[chosen]
        rest = [word for number, word in enumerate(args) if number != words[0]]
        return below.make_context(f"{info_name} {chosen}", rest, parent=parent, **extra)

    def _words(self, args: Sequence[str]) -> Iterator[int]:
        """Where the arguments stand that are neither options nor values of options."""
        valued = set(self._valued())
        skip = False
        for number, word in enumerate(args):
            if skip:
                skip = False
            elif word == "--":
                yield from range(number + 1, len(args))
                return
            elif word.startswith("-") and word != "-":
                skip = word in valued
            else:
                yield number

    def _valued(self) -> Iterator[str]:
        for command in (self.itself, *self.commands.values()):
            for parameter in command.params:
                if parameter.param_type_name == "option" and not parameter.is_flag:
                    yield from parameter.opts
