"""A push while it is followed: its build, then its deployments, each as a live view or line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from tidegate_cli.build_following import BuildProgress
from tidegate_cli.build_starting import BuildStarted
from tidegate_cli.following import Progress
from tidegate_cli.rendering.build_progress import BuildBoard, BuildLines
from tidegate_cli.rendering.progress import Board, Lines
from tidegate_cli.starting import Run


@dataclass(frozen=True, slots=True)
class ChainOnScreen:
    """`live` draws on a terminal; otherwise every event is a line."""

    screen: Console
    live: bool

    @contextmanager
    def build(self, run: BuildStarted) -> Iterator[Callable[[BuildProgress], None]]:
        title = f"build {run.system}"
        self._head(title, run.build)
        with BuildBoard(self.screen, title) if self.live else BuildLines(self.screen) as view:
            yield view.show

    @contextmanager
    def deployment(self, run: Run) -> Iterator[Callable[[Progress], None]]:
        title = f"{run.system}/{run.environment}"
        self._head(title, f"deployment {run.deployment}")
        with Board(self.screen, title) if self.live else Lines(self.screen) as view:
            yield view.show

    def _head(self, title: str, identity: str) -> None:
        if not self.live:
            self.screen.print(Text(f"{title}: {identity}", style="bold"))
