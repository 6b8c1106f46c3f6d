"""A run while it is followed: a live view on a terminal, else a line an event."""

from __future__ import annotations

from collections import deque
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from tidegate.domain.rollout import Direction

from tidegate_cli.following import Progress
from tidegate_cli.rendering.words import clock_time, line_text, outcome_text, short_arn, span

_LAST_LINES = 8
_OUTCOME_STYLES = {"Rolled": "green", "RolledBack": "red", "Stuck": "red", "Aborted": "yellow"}


def stopped_note(status: str) -> str:
    return (
        f"its execution ended as {status}, without an outcome: the sweep finishes or reverts the deployment, "
        "usually within two minutes"
    )


class Lines:
    """One line an event, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stopped = False

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, progress: Progress) -> None:
        for line in progress.lines:
            self._console.print(line_text(line.to_json()))
        if progress.stopped is not None and not self._stopped:
            self._console.print(Text(stopped_note(progress.stopped), style="yellow"))
        self._stopped = progress.stopped is not None
        # A pipe's reader waits for the line, not for the buffer to fill.
        self._console.file.flush()


class Board:
    """Services and their state, the last lines, the time that has passed; drawn again at each look."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._lines: deque[Text] = deque(maxlen=_LAST_LINES)
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Board:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, progress: Progress) -> None:
        self._lines.extend(line_text(line.to_json()) for line in progress.lines)
        self._live.update(self._drawn(progress), refresh=True)

    def _drawn(self, progress: Progress) -> RenderableType:
        deployment = progress.deployment
        title = Text.assemble((self._title, "bold"))
        if deployment is not None and deployment.release_name:
            title.append(f"  {deployment.release_name}", style="bold cyan")
        if deployment is not None:
            outcome = None if deployment.outcome is None else deployment.outcome.value
            title.append("  ")
            title.append_text(
                outcome_text(outcome) if outcome else Text(deployment.phase.value.lower(), style="cyan")
            )
        title.append(f"  {span(progress.elapsed)}", style="dim")
        parts: list[RenderableType] = [title]
        if deployment is not None and deployment.plan is not None:
            parts.append(_services(progress))
        parts += list(self._lines)
        if progress.stopped is not None:
            parts.append(Text(stopped_note(progress.stopped), style="yellow"))
        return Group(*parts)


def _services(progress: Progress) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    plan = progress.deployment.plan if progress.deployment is not None else None
    newest = {
        rollout.service: rollout for rollout in progress.rollouts if rollout.direction is Direction.ROLL
    }
    reverts = {
        rollout.service: rollout for rollout in progress.rollouts if rollout.direction is Direction.REVERT
    }
    done = {line.service for line in progress.lines}
    for service in plan.services if plan is not None else ():
        rollout = reverts.get(service.key) or newest.get(service.key)
        if not service.changed:
            state = Text("unchanged", style="dim")
        elif rollout is None:
            state = Text("waiting", style="dim")
        elif rollout.outcome is not None:
            state = Text(rollout.outcome, style=_OUTCOME_STYLES.get(rollout.outcome, ""))
        else:
            doing = "reverting" if rollout.direction is Direction.REVERT else "rolling"
            state = Text(f"{doing} since {clock_time(rollout.started_at)}", style="cyan")
        mark = Text("•" if service.key in done else " ")
        revision = short_arn(rollout.task_definition) if rollout is not None else ""
        table.add_row(mark, Text(service.key, style="bold"), f"wave {service.wave}", state, revision)
    return table
