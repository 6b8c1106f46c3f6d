"""A run while it is followed: a live view on a terminal, else a line an event."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from tidegate.domain.deployment import Deployment, Line, Rollout
from tidegate.domain.plan import Plan, ServicePlan
from tidegate.domain.rollout import Direction
from tidegate.steps.resuming import COMPLETED, FAILED

from tidegate_cli.following import Progress
from tidegate_cli.rendering.words import clock_time, line_text, outcome_text, phase_word, short_arn, span

_LAST_LINES = 8
# How the timeline tells what ECS made of a rollout.
_VERDICTS = {COMPLETED: "Rolled", FAILED: "RolledBack"}
# How the timeline tells where the migration stands, which goes before every service.
_MIGRATION = {"migrating": "cyan", "migrated": "green", "migration failed": "red"}
_STATE_STYLES = {
    "Rolled": "green",
    "Reverted": "yellow",
    "RolledBack": "red",
    "Stuck": "bold red",
    "NotReverted": "bold red",
    "Unknown": "bold red",
    "Aborted": "yellow",
}


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
        # The newest verdict of ECS by service, and when it was told: the ledger's rollout keeps failures only.
        self._verdicts: dict[str, tuple[str, str]] = {}
        self._migration: Line | None = None
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Board:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, progress: Progress) -> None:
        for line in progress.lines:
            self._lines.append(line_text(line.to_json()))
            if line.what in _MIGRATION:
                self._migration = line
            verdict = _VERDICTS.get(line.what)
            if line.service is not None and verdict is not None:
                self._verdicts[line.service] = line.at, verdict
        self._live.update(self._drawn(progress), refresh=True)

    def _drawn(self, progress: Progress) -> RenderableType:
        deployment = progress.deployment
        title = Text.assemble((self._title, "bold"))
        if deployment is not None and deployment.release_name:
            title.append(f"  {deployment.release_name}", style="bold cyan")
        if deployment is not None and deployment.outcome is not None:
            title.append("  ").append_text(outcome_text(deployment.outcome.value))
        elif deployment is not None:
            title.append(f"  {phase_word(deployment.phase.value)}", style="cyan")
        title.append(f"  {span(progress.elapsed)}", style="dim")
        parts: list[RenderableType] = [title]
        if deployment is not None and deployment.plan is not None:
            parts.append(self._services(deployment, deployment.plan, progress.rollouts))
        parts += list(self._lines)
        if progress.stopped is not None:
            parts.append(Text(stopped_note(progress.stopped), style="yellow"))
        return Group(*parts)

    def _services(self, deployment: Deployment, plan: Plan, rollouts: Sequence[Rollout]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
        newest: dict[str, Rollout] = {}
        for rollout in sorted(rollouts, key=lambda entry: entry.started_at):
            newest[rollout.service] = rollout
        if plan.migration is not None:
            table.add_row(Text("migrations", style="bold"), "first", self._migrated(), "")
        for service in plan.services:
            rollout_ = newest.get(service.key)
            ended = deployment.services.get(service.key, {}).get("outcome")
            state = self._state(service, rollout_, ended)
            revision = short_arn(rollout_.task_definition) if rollout_ is not None else ""
            table.add_row(Text(service.key, style="bold"), f"wave {service.wave}", state, revision)
        return table

    def _migrated(self) -> Text:
        told = self._migration
        if told is None:
            return Text("waiting", style="dim")
        since = f" since {clock_time(told.at)}" if told.what == "migrating" else ""
        return Text(f"{told.what}{since}", style=_MIGRATION[told.what])

    def _state(self, service: ServicePlan, rollout: Rollout | None, ended: str | None) -> Text:
        if not service.changed:
            return Text("unchanged", style="dim")
        if rollout is None:
            return Text("waiting", style="dim")
        told_at, verdict = self._verdicts.get(service.key, ("", None))
        known = ended or rollout.outcome or (verdict if told_at >= rollout.started_at else None)
        reverting = rollout.direction is Direction.REVERT
        if known is None:
            doing = "reverting" if reverting else "rolling"
            return Text(f"{doing} since {clock_time(rollout.started_at)}", style="cyan")
        word = "Reverted" if reverting and known == "Rolled" else known
        return Text(word, style=_STATE_STYLES.get(word, ""))
