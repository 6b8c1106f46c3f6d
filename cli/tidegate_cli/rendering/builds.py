"""Builds for a person: the list, one with its failure, and the end of one that was followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate_cli.options import Given
from tidegate_cli.rendering.words import line_text, outcome_text, short_digest, took, when, who
from tidegate_cli.screen import plain

_LOG_LINES = 10
_COMMIT = 12
_IMAGE_STYLES = {"Built": "green", "Reused": "green", "Failed": "bold red", "Building": "cyan"}
_MEANINGS = {
    "NoChange": "nothing had to be built",
    "Refused": "nothing was released",
    "Superseded": "a newer commit took its place",
    "Failed": "nothing was released",
}


def image_text(status: str) -> Text:
    return Text(status, style=_IMAGE_STYLES.get(status, "dim"))


def short_commit(commit: str | None) -> str:
    return plain(commit or "-")[:_COMMIT]


def short_ref(ref: str | None) -> str:
    """`main` of `refs/heads/main`; other refs as they are."""
    return plain(ref or "-").removeprefix("refs/heads/")


def print_builds(console: Console, entries: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("started", "build", "commit", "ref", "outcome", "images", "took", "by"):
        table.add_column(title, overflow="fold" if title in ("build", "images") else "ellipsis")
    for entry in entries:
        images = Text(", ").join(
            Text(f"{key} ") + image_text(image["status"]) for key, image in entry["images"].items()
        )
        table.add_row(
            when(entry["started_at"]),
            entry["build"],
            short_commit(entry["commit"]),
            short_ref(entry["ref"]),
            outcome_text(entry["outcome"]),
            images if entry["images"] else Text("-"),
            took(entry["started_at"], entry["finished_at"]),
            who(entry["actor"]),
        )
    console.print(table)


def print_build(console: Console, document: Mapping[str, Any], given: Given) -> None:
    """`document` is that of `show`."""
    outcome = document["outcome"]
    head = Text.assemble((document["system"], "bold"), f"  build of {short_commit(document['commit'])}  ")
    console.print(head + outcome_text(outcome))
    if _MEANINGS.get(outcome):
        console.print(Text(f"  {_MEANINGS[outcome]}"))
    if document["explanation"]:
        console.print(Text(f"  {plain(document['explanation'])}", style="bold"))
    rows = [
        ("build", document["build"]),
        ("commit", document["commit"] or "-"),
        ("ref", document["ref"] or "-"),
        ("by", who(document["actor"])),
        ("reason", document["reason"] or "-"),
        ("started", when(document["started_at"])),
        ("took", took(document["started_at"], document["finished_at"]) or "-"),
    ]
    for name, value in rows:
        console.print(Text.assemble((f"  {name:<11}", "dim"), plain(value)))
    for failed in (document["failure"] or {"images": []})["images"]:
        _print_failure(console, failed)
    if document["images"]:
        _title(console, "Images")
        _print_images(console, document["images"])
    _title(console, "Timeline")
    for line in document["timeline"]:
        console.print(Text("  ") + line_text(line))
    if document["releases"]:
        _title(console, "Released")
    for environment, entry in document["releases"].items():
        console.print(_released(environment, entry, document["system"], given))
    _title(console, "Next")
    for command, purpose in _next_commands(document, given):
        console.print(Text.assemble(f"  {command}", (f"  # {purpose}", "dim")))


def print_build_outcome(
    console: Console, document: Mapping[str, Any], shown: Mapping[str, Any] | None, given: Given
) -> None:
    """The end of a build that was followed: its outcome document; `shown` is that of `show`, where it is recorded."""
    head = Text().append_text(outcome_text(document["outcome"]))
    if document["commit"]:
        head.append(f"  {short_commit(document['commit'])}", style="bold cyan")
    if _MEANINGS.get(document["outcome"]):
        head.append(f"  {_MEANINGS[document['outcome']]}")
    console.print(head)
    if document["reason"]:
        console.print(Text(f"  {plain(document['reason'])}"))
    if shown is None:
        return
    _print_images(console, shown["images"])
    for environment, entry in shown["releases"].items():
        console.print(_released(environment, entry, shown["system"], given))
    if document["outcome"] == "Failed":
        console.print(Text(f"why: {given.command('show', document['build'])}", style="dim"))


def print_failed_image(console: Console, failed: Mapping[str, Any]) -> None:
    """Where it failed, why, and the last lines of its log."""
    phase = f"in phase {plain(failed['phase'])}"
    # CodeBuild's own word on it names the phase already.
    where = f" failed {phase}" if failed["phase"] and phase not in failed["reason"] else ""
    image = Text.assemble("  ", (plain(failed["image"]), "bold"), (where, "red"), ": ")
    console.print(image.append(plain(failed["reason"]), style="red"))
    logs: Sequence[str] = failed["logs"]
    if logs:
        console.print(Text("  its last lines:", style="dim"))
        for line in logs[-_LOG_LINES:]:
            console.print(Text(f"    {plain(line)}"))


def _print_failure(console: Console, failed: Mapping[str, Any]) -> None:
    _title(console, f"Why {failed['image']} failed")
    print_failed_image(console, failed)


def _print_images(console: Console, images: Mapping[str, Mapping[str, Any]]) -> None:
    for key, image in images.items():
        text = Text.assemble("  ", (f"{key:<12}", "bold")) + image_text(image["status"])
        if image["digest"]:
            text.append(f"  {short_digest(image['digest'])}")
        if image.get("codebuild"):
            text.append(f"  {plain(image['codebuild'])}", style="dim")
        console.print(text)


def _released(environment: str, entry: Mapping[str, Any], system: str, given: Given) -> Text:
    text = Text.assemble("  ", (f"{environment:<12}", "bold"))
    if entry["deployment"] is None:
        text.append("started", style="cyan")
        return text.append(f"  {given.command('history', system, environment)}", style="dim")
    if entry["release"]:
        text.append(f"{entry['release']}  ", style="bold cyan")
    text.append_text(outcome_text(entry["outcome"]))
    return text.append(f"  {given.command('show', entry['deployment'])}", style="dim")


def _next_commands(document: Mapping[str, Any], given: Given) -> list[tuple[str, str]]:
    system, outcome = document["system"], document["outcome"]
    others = (given.command("builds", system), "the other builds")
    if outcome is None:
        return [(given.command("show", document["build"]), "look again"), others]
    if outcome in ("Failed", "Refused") and document["commit"]:
        ref = ["--ref", document["ref"]] if document["ref"] else []
        again = given.command("build", system, "--commit", document["commit"], *ref, "--wait")
        return [(again, "try this commit again"), others]
    return [others]


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))
