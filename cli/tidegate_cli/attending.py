"""Following a deployment on the screen, for every command that waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from tidegate_cli.failures import INTERRUPTED, CommandError
from tidegate_cli.following import Follower
from tidegate_cli.options import Call
from tidegate_cli.rendering.progress import Board, Lines
from tidegate_cli.screen import console
from tidegate_cli.starting import Run

if TYPE_CHECKING:
    from tidegate_cli.connection import Connection


def attend(call: Call, connection: Connection, title: str, run: Run, timeout: float | None) -> dict[str, Any]:
    """The outcome document. Raises CommandError when `timeout` seconds are over, and on Ctrl-C; the deployment goes
    on in both cases."""
    # With --json standard output is the document's alone.
    screen = console(stderr=call.given.json)
    live = screen.is_terminal and not call.given.json
    follow_up = call.given.command("show", run.deployment)
    view = Board(screen, title) if live else Lines(screen)
    if not live:
        screen.print(Text(f"{title}: deployment {run.deployment}", style="bold"))
    try:
        with view:
            return Follower(connection.ports, run, follow_up).follow(
                view.show,
                timeout=timeout,
                pause=call.surroundings.pause,
                monotonic=call.surroundings.monotonic,
            )
    except KeyboardInterrupt:
        raise CommandError(
            f"not following any more: deployment {run.deployment} goes on",
            code="interrupted",
            exit_code=INTERRUPTED,
            hint=follow_up,
            more=run.to_json(),
        ) from None
