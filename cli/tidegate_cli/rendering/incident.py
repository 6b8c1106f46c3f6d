"""`show`, and the end of a run that was followed: read at 3 a.m., so the answer first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text
from tidegate.domain.deployment import Phase
from tidegate.domain.rollout import Direction

from tidegate_cli.in_flight import named
from tidegate_cli.options import Given
from tidegate_cli.rendering.migrations import migration_rows
from tidegate_cli.rendering.words import (
    line_text,
    meaning_of,
    outcome_text,
    phase_word,
    short_arn,
    short_digest,
    took,
    when,
    who,
)
from tidegate_cli.screen import plain

_LOG_LINES = 10
_HEADS = {
    "rollback": "rollback to",
    "restart": "restart of",
    "migrations": "migrations of",
    "rotation": "rotation of",
    "adoption": "adoption of",
    "scaling": "scaling to",
}


def print_deployment(
    console: Console, document: Mapping[str, Any], now_running: Mapping[str, Any], given: Given
) -> None:
    """`document` is that of `show`; `now_running` the entry of `status`, its environment's."""
    _print_head(console, document)
    for failure in document.get("failures") or [document["failure"]] if document["failure"] else []:
        _print_failure(console, failure)
    _title(console, "Timeline")
    for line in document["timeline"]:
        console.print(Text("  ") + line_text(line))
    _print_now(console, now_running)
    _print_next(console, next_commands(document, given))


def print_outcome(console: Console, document: Mapping[str, Any], given: Given) -> None:
    """The end of a run: its outcome document."""
    outcome = document["outcome"]
    head = Text().append_text(outcome_text(outcome))
    if document.get("release"):
        head.append(f"  {document['release']}", style="bold cyan")
    if meaning_of(outcome):
        head.append(f"  {meaning_of(outcome)}")
    console.print(head)
    if document.get("reason"):
        console.print(Text(f"  {plain(document['reason'])}"))
    for key, service in document.get("services", {}).items():
        console.print(
            Text(f"  {key}: {plain(service.get('outcome', ''))} {short_arn(service.get('task_definition'))}")
        )
    if outcome in ("FailedClean", "FailedDirty"):
        console.print(Text(f"why: {given.command('show', document['deployment'])}", style="dim"))


def next_commands(document: Mapping[str, Any], given: Given) -> list[tuple[str, str]]:
    """What a person may want to do after reading this: (command, what for)."""
    place = document["system"], document["environment"]
    history = (given.command("history", *place), "what else changed here")
    outcome = document["outcome"]
    if outcome is None:
        return [*_while_it_runs(document, given), history]
    if outcome == "Succeeded" and document["what"] == "deployment":
        back = given.command("rollback", *place, "--reason", "…", "--wait")
        return [(back, "back to the release before"), history]
    if outcome == "FailedDirty" and document["what"] == "rotation":
        return [
            (given.command("secrets", *place), "how its secrets stand"),
            (given.command("status", *place), "what runs now"),
            (given.command("unlock", *place, "--reason", "…"), "let others go on, once it is put right"),
            history,
        ]
    if outcome == "FailedDirty":
        return [(given.command("status", *place), "what runs now"), history]
    if outcome == "FailedClean" and document["what"] == "rotation":
        return [(given.command("secrets", *place), "how its secrets stand"), history]
    if document["what"] == "scaling":
        return [(given.command("status", *place), "what runs now"), history]
    if outcome == "FailedClean" and document["release"]:
        command = "migrate" if document["what"] == "migrations" else "deploy"
        again = given.command(command, *place, "--release", document["release"], "--wait")
        return [(again, "try this release again"), history]
    return [history]


def _while_it_runs(document: Mapping[str, Any], given: Given) -> list[tuple[str, str]]:
    identity = document["deployment"]
    follow = given.command("watch", identity), "follow it"
    # A rotation that retires goes forward only.
    if document.get("abort") is not None or document["phase"] == Phase.RETIRING.value:
        return [follow]
    back = given.command("abort", identity, "--reason", "…", "--wait"), "take it back"
    if document["phase"] != "AwaitingApproval":
        return [follow, back]
    return [
        (given.command("approve", identity), "let it go on"),
        (given.command("reject", identity, "--reason", "…"), "refuse it"),
        follow,
    ]


def _print_head(console: Console, document: Mapping[str, Any]) -> None:
    what = _HEADS.get(document["what"], "deployment of")
    unmade = "what runs" if document["what"] == "restart" else "a release that was not made"
    release = named(document) or unmade
    console.print(
        Text.assemble((f"{document['system']}/{document['environment']}", "bold"), f"  {what} {release}  ")
        + outcome_text(document["outcome"])
    )
    outcome = document["outcome"]
    meaning = "" if outcome is None else meaning_of(outcome)
    if outcome == "FailedClean" and document.get("migration") is not None:
        # Code goes back, the schema does not: the explanation says how far it is.
        meaning = "the services are as they were before"
    if meaning:
        console.print(Text(f"  {meaning}"))
    if document["explanation"] and document["explanation"] != document["reason"]:
        console.print(Text(f"  {plain(document['explanation'])}", style="bold"))
    rows = [
        ("deployment", document["deployment"]),
        ("commit", document["commit"] or "-"),
        ("by", who(document["actor"])),
        ("reason", document["reason"] or "-"),
        ("started", when(document["started_at"])),
        ("took", took(document["started_at"], document["finished_at"]) or phase_word(document["phase"])),
        *migration_rows(document.get("migration")),
        *_asked(document),
    ]
    for name, value in rows:
        console.print(Text.assemble((f"  {name:<11}", "dim"), plain(value)))


def _asked(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What people were asked for, and what they asked for."""
    rows = []
    approval, abort = document.get("approval"), document.get("abort")
    if approval is not None and approval["decision"] is not None:
        why = f": {approval['reason']}" if approval["reason"] else ""
        said = f"{approval['decision'].lower()} by {who(approval['by'])}, {when(approval['decided_at'])}{why}"
        rows.append(("approval", said))
    elif approval is not None:
        by = "somebody other than its author" if approval["other"] else "a person"
        waits = document["outcome"] is None
        rows.append(("approval", f"waits for {by}" if waits else f"was to be given by {by}"))
    if abort is not None:
        rows.append(("abort", f"asked for by {who(abort['by'])}, {when(abort['at'])}: {abort['reason']}"))
    return rows


def _print_failure(console: Console, failure: Mapping[str, Any]) -> None:
    reverting = failure.get("direction") == Direction.REVERT.value
    _title(console, f"Why {failure['service']} {'could not be taken back' if reverting else 'failed'}")
    if failure["reason"]:
        console.print(Text(f"  {plain(failure['reason'])}"))
    logs: Sequence[str] = ()
    for task in failure["tasks"]:
        exited = "" if task.get("exit_code") is None else f" exited with code {task['exit_code']}"
        container = (
            f"container {plain(task.get('container') or '?')}{exited}: "
            if exited or task.get("container")
            else ""
        )
        named = f"task {plain(task['task'])[:8]}  " if task.get("task") else ""
        console.print(
            Text.assemble("  ", (named, "dim"), (container, "red"), plain(task.get("reason") or ""))
        )
        # Tasks of one service die alike: the newest that wrote anything speaks for all.
        logs = logs or task["logs"]
    if logs:
        console.print(Text("  its last lines:", style="dim"))
        for line in logs[-_LOG_LINES:]:
            console.print(Text(f"    {plain(line)}"))
    for alarm in failure["alarms"]:
        console.print(Text(f"  alarm {plain(alarm)} is in ALARM", style="red"))
    for event in failure["events"][:3]:
        console.print(Text(f"  ECS: {plain(event)}", style="dim"))


def _print_now(console: Console, entry: Mapping[str, Any]) -> None:
    _title(console, f"Runs now: {entry['release'] or 'what ran before Tidegate'}")
    for key, service in entry["services"].items():
        tasks = f"{service['running']}/{service['desired']} tasks"
        described = f"{short_arn(service['task_definition'])}  {short_digest(service['digest'])}  {tasks}"
        console.print(Text.assemble("  ", (f"{key:<12}", "bold"), described))


def _print_next(console: Console, commands: Sequence[tuple[str, str]]) -> None:
    _title(console, "Next")
    for command, purpose in commands:
        console.print(Text.assemble(f"  {command}", (f"  # {purpose}", "dim")))


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))
