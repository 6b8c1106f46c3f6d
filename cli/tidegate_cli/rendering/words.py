"""Moments, outcomes and names as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.text import Text

from tidegate_cli.screen import plain

_STYLES = {
    "Succeeded": "bold green",
    "Rotated": "bold green",
    "NoChange": "green",
    "Built": "bold green",
    "Failed": "bold red",
    "Refused": "bold yellow",
    "Superseded": "yellow",
    "FailedClean": "bold red",
    "FailedDirty": "bold white on red",
    "migrated": "green",
    "migration failed": "bold red",
}
_MEANINGS = {
    "Succeeded": "",
    "Rotated": "the secret has another value, and its consumers run with it",
    "NoChange": "nothing had to change",
    "Refused": "nothing was changed",
    "Superseded": "a newer release took its place",
    "FailedClean": "the previous state is back",
    "FailedDirty": "a person is needed: not everything is back, and the lock stays",
}
# Phases whose names are not a word.
_PHASES = {"AwaitingApproval": "awaiting approval"}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def outcome_text(outcome: str | None) -> Text:
    """An outcome's word in its colour; a run without one is under way."""
    return Text("running", style="cyan") if outcome is None else Text(outcome, style=_STYLES.get(outcome, ""))


def meaning_of(outcome: str) -> str:
    return _MEANINGS.get(outcome, "")


def phase_word(phase: str) -> str:
    """Where a run stands: `rolling`, `awaiting approval`."""
    return _PHASES.get(phase, phase.lower())


def span(seconds: float) -> str:
    """A span of time in its largest unit and the one below: `4 s`, `3 min 20 s`, `2 d 4 h`."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def moment(iso: str) -> datetime | None:
    try:
        return datetime.fromisoformat(iso)
    except ValueError:
        return None


def when(iso: str | None) -> str:
    """A moment of the ledger in this machine's time zone, to the second."""
    at = moment(iso or "")
    return plain(iso or "") if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock_time(iso: str) -> str:
    at = moment(iso)
    return plain(iso) if at is None else at.astimezone().strftime("%H:%M:%S")


def ago(iso: str | None, now: datetime) -> str:
    at = moment(iso or "")
    return "" if at is None else f"{span((now - at).total_seconds())} ago"


def took(started_at: str | None, finished_at: str | None) -> str:
    start, end = moment(started_at or ""), moment(finished_at or "")
    return "" if start is None or end is None else span((end - start).total_seconds())


def short_arn(arn: str | None) -> str:
    """`arive-api:14` of a task definition's ARN."""
    return plain(arn or "-").rsplit("/", 1)[-1]


def short_digest(digest: str | None) -> str:
    return plain(digest or "-")[:19]


def who(actor: str) -> str:
    """The name in an identity's ARN: `assumed-role/on-call/ada` is `on-call/ada`."""
    if not actor.startswith("arn:"):
        return plain(actor) or "-"
    return plain(actor.split(":", 5)[-1].removeprefix("assumed-role/").removeprefix("user/"))


def line_text(line: Mapping[str, Any]) -> Text:
    """One line of a timeline: when, which service, what, and the detail dimmed."""
    # Not the text's own style, which everything that is appended would inherit.
    text = Text.assemble((f"{clock_time(line['at'])}  ", "dim"))
    service = line.get("service")
    if service:
        text.append(f"{plain(service)}: ", style="bold cyan")
    what = plain(line["what"])
    text.append(what, style=_STYLES.get(what, ""))
    if line.get("detail"):
        text.append(f"  {plain(line['detail'])}", style="dim")
    return text
