"""The end of the demo: what happened, why the third release failed, what runs, where to go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate_cli.demo_rotation import TITLE, Rotated
from tidegate_cli.demo_scenario import Chapter
from tidegate_cli.rendering.words import outcome_text, short_arn, short_digest, span
from tidegate_cli.screen import plain


def print_demo(
    console: Console, chapters: Sequence[Chapter], rotated: Rotated, *, tasks: str, seconds: float
) -> None:
    """`tasks` says what the tasks were; `seconds` is what the whole demo took, the embedded cloud included."""
    console.print()
    table = Table(title="What happened", title_justify="left", title_style="bold", header_style="dim")
    for name in (
        "",
        "release",
        "commit",
        "outcome",
        "took",
        "ran afterwards",
        "version of the API",
        "table visits",
    ):
        table.add_column(name)
    for number, chapter in enumerate(chapters, start=1):
        table.add_row(
            f"{number}. {chapter.title}",
            chapter.shown["release"] or "-",
            (chapter.shown["commit"] or "-")[:7],
            _outcome(chapter.outcome, chapter.expected, as_told=chapter.as_told),
            span(chapter.seconds),
            _digests(chapter.running),
            _version(chapter),
            ", ".join(chapter.columns),
        )
    table.add_row(
        f"{len(chapters) + 1}. {TITLE}",
        "-",
        "-",
        _outcome(rotated.outcome, "Rotated", as_told=rotated.as_told),
        span(rotated.seconds),
        _digests(rotated.running),
        "-",
        "-",
    )
    console.print(table)
    for chapter in chapters:
        if chapter.shown["failure"]:
            _print_failure(console, chapter)
    _print_rotated(console, rotated)
    _print_running(console, rotated.running)
    console.print()
    console.print(Text(f"All of it took {span(seconds)}; {tasks}."))
    console.print(
        Text(
            "Each commit was built, published, migrated and released by its git push; the rollback and the"
            " rotation were asked for. The rollback took the code back, not the schema."
        )
    )


def print_next(console: Console, *, kept: bool, failed: str | None) -> None:
    """How to go on; `failed` is the deployment worth reading about."""
    console.print()
    console.print(Text("Go on", style="bold"))
    for command, purpose in _commands(kept, failed):
        console.print(Text.assemble(f"  {command}", (f"  # {purpose}", "dim")), soft_wrap=True)


def _commands(kept: bool, failed: str | None) -> list[tuple[str, str]]:
    if not kept:
        return [
            ("tidegate demo --keep", "the same, and it stays"),
            ("tidegate local up", "the embedded cloud alone; systems/sample/README.md goes on from there"),
        ]
    why = [(f"tidegate --local show {failed}", "why the third release failed")] if failed else []
    return [
        ("tidegate --local history sample production", "what happened here"),
        *why,
        ("tidegate --local builds sample", "what was built of which commit"),
        (
            "tidegate local push sample DIR",
            "push a repository of your own, with the folder app of systems/sample",
        ),
        ("tidegate --local status", "what runs where"),
        ("tidegate local fault sample-api hang", "make the next release fail in another way"),
        ('eval "$(tidegate local env)"', "for the AWS CLI, boto3 and SAM"),
        ("tidegate local down", "stop it"),
    ]


def _print_failure(console: Console, chapter: Chapter) -> None:
    failure = chapter.shown["failure"]
    console.print()
    console.print(Text(f"Why {chapter.shown['release']} failed", style="bold"))
    console.print(Text(f"  {plain(failure['service'])}: {plain(failure.get('reason') or '')}"))
    task: dict[str, Any] = next(iter(failure["tasks"]), {})
    exit_code = "no exit code" if task.get("exit_code") is None else f"exit code {task['exit_code']}"
    console.print(
        Text.assemble(
            f"  container {plain(task.get('container') or '?')}: ",
            (exit_code, "red"),
            f", {plain(task.get('reason') or '')}",
        )
    )
    lines: list[str] = next((task["logs"] for task in failure["tasks"] if task["logs"]), [])
    if lines:
        console.print(Text.assemble("  last log line: ", (plain(lines[-1]), "italic")))


def _print_rotated(console: Console, rotated: Rotated) -> None:
    console.print()
    console.print(Text("The secret's new value", style="bold"))
    first, *rest = rotated.rolled or ["nothing"]
    then = f", then {', '.join(rest)}" if rest else ""
    console.print(Text(f"  {rotated.outcome} in {span(rotated.seconds)}: the canary {first} first{then}"))
    by_user = ", ".join(f"{count} as {plain(user)}" for user, count in rotated.logins.items())
    failed = (f"{len(rotated.failed)} failed", "bold red" if rotated.failed else "bold green")
    console.print(Text.assemble(f"  {sum(rotated.logins.values())} logins meanwhile ({by_user}), ", failed))
    for why in sorted(set(rotated.failed)):
        console.print(Text(f"    {plain(why)}", style="red"))
    old = f"  {plain(rotated.before)}, with the password before, "
    console.print(
        Text(f"{old}cannot log in any more")
        if rotated.old_is_out
        else Text(f"{old}can still log in", style="bold red")
    )


def _outcome(outcome: str, expected: str, *, as_told: bool) -> Text:
    text = outcome_text(outcome)
    if not as_told:
        text.append(f"  expected {expected}", style="bold red")
    return text


def _print_running(console: Console, running: dict[str, Any]) -> None:
    console.print()
    console.print(Text(f"Runs now: {running['release']}", style="bold"))
    for key, service in running["services"].items():
        tasks = f"{service['running']}/{service['desired']} tasks"
        what = f"{short_arn(service['task_definition'])}  {short_digest(service['digest'])}  {tasks}"
        console.print(Text.assemble("  ", (f"{key:<12}", "bold"), what))


def _version(chapter: Chapter) -> str:
    """As its containers answer over HTTP; simulated ones say nothing."""
    if chapter.answers is None:
        return f"{chapter.wanted.name} (simulated)"
    said = sorted({plain(answer) or "nothing" for answer in chapter.answers})
    return f"{', '.join(said) or 'nothing'} ({len(chapter.answers)} containers)"


def _digests(running: dict[str, Any]) -> str:
    release = running["release"] or "-"
    digests = {short_digest(service["digest"])[7:] for service in running["services"].values()}
    return f"{release} on {len(running['services'])} services ({', '.join(sorted(digests))})"
