"""A build while it is followed: a live view on a terminal, else a line an event."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from tidegate.domain.build import BuildOutcome, ImageBuild, ImageStatus
from tidegate.domain.deployment import Line

from tidegate_cli.build_following import BuildProgress
from tidegate_cli.build_views import failure_of
from tidegate_cli.rendering.builds import image_text, print_failed_image
from tidegate_cli.rendering.words import line_text, outcome_text, short_digest, span
from tidegate_cli.screen import plain

_OUTCOMES = frozenset(outcome.value for outcome in BuildOutcome)


def stopped_note(status: str) -> str:
    return (
        f"its execution ended as {status}, without an outcome: the sweep ends the build as Failed, "
        "usually within two minutes"
    )


class BuildLines:
    """One line an event, for logs and pipes: what each image has become, and what happened to the whole."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[str, tuple[ImageStatus, str | None]] = {}
        self._stopped = False

    def __enter__(self) -> BuildLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, progress: BuildProgress) -> None:
        # What is told of one image is told by its state; the outcome comes after the states that made it.
        whole = [line for line in progress.lines if line.service is None]
        self._print([line for line in whole if line.what not in _OUTCOMES])
        for image in progress.images:
            state = (image.status, image.build_id)
            if self._states.get(image.image) != state:
                self._states[image.image] = state
                self._tell(image)
        self._print([line for line in whole if line.what in _OUTCOMES])
        if progress.stopped is not None and not self._stopped:
            self._console.print(Text(stopped_note(progress.stopped), style="yellow"))
        self._stopped = progress.stopped is not None
        # A pipe's reader waits for the line, not for the buffer to fill.
        self._console.file.flush()

    def _print(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self._console.print(line_text(line.to_json()))

    def _tell(self, image: ImageBuild) -> None:
        if image.status is ImageStatus.FAILED:
            print_failed_image(self._console, failure_of(image))
        else:
            self._console.print(Text.assemble("  ", (image.image, "bold"), ": ") + _state(image))


class BuildBoard:
    """Images and their state, the time that has passed; drawn again at each look."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._last: BuildProgress | None = None
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> BuildBoard:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
        for image in self._last.images if self._last is not None else ():
            if image.status is ImageStatus.FAILED:
                print_failed_image(self._console, failure_of(image))

    def show(self, progress: BuildProgress) -> None:
        self._last = progress
        self._live.update(self._drawn(progress), refresh=True)

    def _drawn(self, progress: BuildProgress) -> RenderableType:
        title = Text.assemble((self._title, "bold"))
        if progress.build is not None and progress.build.outcome is not None:
            title.append("  ").append_text(outcome_text(progress.build.outcome.value))
        title.append(f"  {span(progress.elapsed)}", style="dim")
        parts: list[RenderableType] = [title]
        if progress.images:
            table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
            for image in progress.images:
                table.add_row(Text(image.image, style="bold"), _state(image))
            parts.append(table)
        if progress.stopped is not None:
            parts.append(Text(stopped_note(progress.stopped), style="yellow"))
        return Group(*parts)


def _state(image: ImageBuild) -> Text:
    text = image_text(image.status.value)
    if image.status is ImageStatus.BUILDING and image.build_id:
        text.append(f" {plain(image.build_id)}", style="dim")
    elif image.status is ImageStatus.FAILED and image.phase:
        text.append(f" in phase {plain(image.phase)}", style="red")
    elif image.digest:
        text.append(f" {short_digest(image.digest)}", style="dim")
    return text
