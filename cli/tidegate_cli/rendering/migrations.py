"""Migrations that a release would run, for a person: what cannot be undone stands out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text
from tidegate.domain.migration import CONTRACT

from tidegate_cli.rendering.words import short_digest, span, took, when
from tidegate_cli.screen import plain

_WARNING = "bold yellow"


def print_migrations(console: Console, migrations: Sequence[Mapping[str, Any]]) -> None:
    """`migrations` are those of `migration_views.planned_migrations`."""
    for migration in migrations:
        console.print(
            Text.assemble(("migrations", "bold cyan"), f"  before the first wave: {_what(migration)}")
        )
        for line in _how(migration):
            console.print(Text(f"  {line}", style="dim"))
        for file in migration["files"]:
            _print_file(console, file)


def print_consent(console: Console, migrations: Sequence[Mapping[str, Any]], running: str | None) -> None:
    """What approving means where something is taken away; `running` is the release that runs now."""
    steps = [file for migration in migrations for file in migration["files"] if file["kind"] == CONTRACT]
    if not steps:
        return
    named = ", ".join(plain(file["name"]) for file in steps)
    uses = (
        f"that {running}, which runs now, no longer uses" if running else "that nothing which runs now uses"
    )
    said = f"  Approving this means: you confirm {uses} what {named} takes away. It cannot be undone."
    console.print(Text(said, style=_WARNING))


def migration_rows(migration: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What `show` says of a migration that was begun: (name, value)."""
    if migration is None:
        return []
    if migration["outcome"] is None:
        told = f"under way since {when(migration['started_at'])}"
    else:
        took_ = took(migration["started_at"], migration["finished_at"])
        told = migration["outcome"].lower() + (f" in {took_}" if took_ else "")
    rows = [("migration", told)]
    before, head = migration["head_before"], migration["head"]
    if head is not None:
        moved = before is not None and before != head
        rows.append(("schema", f"{before} → {head}" if moved else head))
    if migration["snapshot"]:
        rows.append(("snapshot", migration["snapshot"]))
    return rows


def _what(migration: Mapping[str, Any]) -> str:
    if migration.get("command"):
        return f"{plain(shlex.join(migration['command']))}, as a task"
    count = len(migration["files"])
    return f"{count} SQL file{'' if count == 1 else 's'} of {plain(migration['directory'])}"


def _how(migration: Mapping[str, Any]) -> list[str]:
    limits = (
        f"within {span(migration['timeout'])}, waiting {span(migration['lock_timeout'])} at most for a lock"
    )
    lines = [f"image {migration['image']} {short_digest(migration['digest'])}…, {limits}"]
    if migration["snapshot"]:
        lines.append("after a snapshot of the database")
    if migration["verify"]:
        lines.append(f"then verified: {plain(shlex.join(migration['verify']))}")
    if migration["secret"]:
        lines.append(f"logs in to the database with secret {plain(migration['secret'])}")
    linter = migration["linter"]
    if linter:
        nobody = linter.removeprefix("none: ")
        lines.append(
            f"no linter looked at them: {plain(nobody)}"
            if nobody != linter
            else f"looked at by {plain(linter)}"
        )
    return lines


def _print_file(console: Console, file: Mapping[str, Any]) -> None:
    contract = file["kind"] == CONTRACT
    line = Text.assemble("  ", (f"{file['kind']:<9}", _WARNING if contract else "green"), plain(file["name"]))
    if file["reasons"]:
        line.append(
            f"  {'; '.join(plain(reason) for reason in file['reasons'])}", _WARNING if contract else "dim"
        )
    console.print(line)
    for finding in file["findings"]:
        where = f"line {finding['line']}, " if finding["line"] else ""
        said = f"    {where}{plain(finding['rule'])}: {plain(finding['message'])}"
        console.print(Text(said, style="red" if finding["level"] == "Error" else "yellow"))
