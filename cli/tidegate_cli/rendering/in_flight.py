"""Everything that is in flight: a live table on a terminal, else a line a change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tidegate_cli.rendering.words import ago, clock_time, outcome_text, phase_word, who
from tidegate_cli.screen import plain

Entry = Mapping[str, Any]
Ended = Callable[[dict[str, Any]], dict[str, Any]]
_LAST_ENDED = 5
_NOTHING = "nothing is in flight"
_COMMIT = 12


class _Seen:
    """Tells what has gone since the last look. `ended` says what became of it."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        self._before: dict[str, dict[str, Any]] = {}

    def gone(self, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        now = {identity_of(entry): entry for entry in entries}
        gone = [self._ended(entry) for identity, entry in self._before.items() if identity not in now]
        self._before = now
        return gone


class FlightLines:
    """One line a change, for logs and pipes."""

    def __init__(self, console: Console, ended: Ended) -> None:
        self._console = console
        self._seen = _Seen(ended)
        self._told: dict[str, str] = {}
        self._began = False

    def __enter__(self) -> FlightLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, entries: Sequence[dict[str, Any]], now: datetime) -> None:
        at = Text(f"{clock_time(now.isoformat())}  ", style="dim")
        if not entries and not self._began:
            self._console.print(at + Text(_NOTHING, style="dim"))
        self._began = True
        for entry in self._seen.gone(entries):
            self._told.pop(identity_of(entry), None)
            self._console.print(at + _head(entry) + Text("  ") + _end(entry))
        for entry in entries:
            line = _head(entry) + Text(f"  {phase_word(entry['phase'])}", style="cyan") + _progress(entry)
            if self._told.get(identity_of(entry)) != line.plain:
                self._told[identity_of(entry)] = line.plain
                self._console.print(at + line)
        # A pipe's reader waits for the line, not for the buffer to fill.
        self._console.file.flush()


class FlightBoard:
    """One row for each environment, and the last that have ended; drawn again at each look."""

    def __init__(self, console: Console, ended: Ended) -> None:
        self._seen = _Seen(ended)
        self._last: deque[dict[str, Any]] = deque(maxlen=_LAST_ENDED)
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> FlightBoard:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, entries: Sequence[dict[str, Any]], now: datetime) -> None:
        self._last.extend(self._seen.gone(entries))
        self._live.update(self._drawn(entries, now), refresh=True)

    def _drawn(self, entries: Sequence[dict[str, Any]], now: datetime) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for row in _rows(entries):
            first, behind = row[0], len(row) - 1
            table.add_row(
                _head(first),
                Text(phase_word(first["phase"]), style="cyan"),
                _progress(first),
                Text(who(first["who"])),
                Text(ago(first["started_at"], now).removesuffix(" ago"), style="dim"),
                Text(f"{behind} more behind it" if behind else "", style="dim"),
            )
        parts: list[RenderableType] = [table] if entries else [Text(_NOTHING, style="dim")]
        parts += [_head(entry) + Text("  ") + _end(entry) for entry in self._last]
        return Group(*parts)


def identity_of(entry: Entry) -> str:
    return str(entry.get("deployment") or entry.get("build"))


def _rows(entries: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What is in flight in each environment, in its order; each build for itself."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        rows.setdefault((entry["system"], entry["environment"] or entry["build"]), []).append(entry)
    return list(rows.values())


def _head(entry: Entry) -> Text:
    place = f"{entry['system']}/{entry['environment']}" if entry["environment"] else entry["system"]
    text = Text.assemble((plain(place), "bold"))
    if entry["what"] != "deployment":
        text.append(f"  {entry['what']}")
    name = entry.get("release") or plain(entry["commit"] or "")[:_COMMIT]
    return text.append(f"  {name}", style="bold cyan") if name else text


def _progress(entry: Entry) -> Text:
    states = entry.get("services") or entry.get("images") or {}
    said = ", ".join(f"{plain(key)} {plain(state)}" for key, state in states.items())
    return Text(f"  {said}" if said else "")


def _end(entry: Entry) -> Text:
    return outcome_text(entry["outcome"]) if entry["outcome"] else Text("ended", style="dim")
