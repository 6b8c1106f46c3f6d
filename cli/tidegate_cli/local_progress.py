"""Progress on standard error: a spinner for people, plain lines for logs."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

Say = Callable[[str], None]


@contextmanager
def narrated(first: str) -> Iterator[Say]:
    """Gives `say(line)`. On a terminal a line ends with its time when the next one comes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda line: print(line, file=sys.stderr, flush=True)
        return
    current, since = first, time.monotonic()

    def finish() -> None:
        console.print(f"[green]✓[/] {current} [dim]{time.monotonic() - since:.1f} s[/]", highlight=False)

    with console.status(first) as spinner:

        def say(line: str) -> None:
            nonlocal current, since
            finish()
            current, since = line, time.monotonic()
            spinner.update(line)

        yield say
    finish()
