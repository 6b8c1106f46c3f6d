"""`doctor` for a person: a line a check, with the mend below."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from tidegate_cli.doctor.findings import Finding, Status
from tidegate_cli.screen import plain

_MARKS = {
    Status.OK: ("✓", "green"),
    Status.WARNING: ("!", "yellow"),
    Status.ERROR: ("✗", "bold red"),
    Status.SKIPPED: ("-", "dim"),
}


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    for finding in findings:
        console.print(
            Text.assemble(_MARKS[finding.status], f" {plain(finding.name)}: {plain(finding.message)}")
        )
        if finding.hint:
            console.print(Text(f"    mend: {plain(finding.hint)}", style="dim"))
    console.print()
    console.print(_summary(findings))


def _summary(findings: Sequence[Finding]) -> Text:
    counts = [
        (sum(finding.status is status for finding in findings), word, style)
        for status, word, style in (
            (Status.ERROR, "error", "bold red"),
            (Status.WARNING, "warning", "yellow"),
            (Status.SKIPPED, "skipped", "dim"),
        )
    ]
    told = [
        Text(f"{count} {word}{'' if count == 1 or word == 'skipped' else 's'}", style=style)
        for count, word, style in counts
        if count
    ]
    return Text(", ").join(told) if told else Text("nothing is wrong", style="green")
