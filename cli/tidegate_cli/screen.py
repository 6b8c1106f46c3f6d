"""Where output goes: the one JSON document to standard output, words for people to either stream."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

# A table that is written to a file or a pipe is not squeezed into a terminal's 80 columns.
_WIDTH_OF_A_FILE = 160


def print_document(document: object) -> None:
    """The document of `--json`. ASCII only: it survives any encoding of standard output."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def console(*, stderr: bool = False) -> Console:
    """Rich on one of the streams; without colour where it is not a terminal or NO_COLOR is set."""
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream.isatty()
    return Console(
        file=stream,
        width=None if terminal else _WIDTH_OF_A_FILE,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not terminal,
    )


def say(text: str, style: str = "") -> None:
    """A line for the person who watches, beside the result."""
    console(stderr=True).print(Text(text, style=style))


def plain(value: Any) -> str:
    """Text from outside on one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in str(value))
