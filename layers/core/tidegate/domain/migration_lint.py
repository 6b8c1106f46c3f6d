"""What a linter said of the migrations when their image was built, as the image's labels tell it.

infrastructure/buildspec.yml writes them: `tidegate.migrations.linter` is who looked (`squawk 2.70.0`), or `none: ` and
why nobody did; `tidegate.migrations.lint` is `{"findings": [{"file", "line", "rule", "level", "message"}], "left_out":
{file: count}}` in at most 4 KiB, newest files first. Whoever may push an image may write anything there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LINT, LINTER = "tidegate.migrations.lint", "tidegate.migrations.linter"
LEFT_OUT = "left-out"
_MESSAGE, _NAME, _FINDINGS = 300, 200, 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """`file` is a name within the folder, `line` counts from 1, `level` is the linter's (`Warning`, `Error`).

    The rule LEFT_OUT stands for findings that the label had no room for; its line is 0.
    """

    file: str
    line: int
    rule: str
    level: str
    message: str

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "line": self.line,
            "rule": self.rule,
            "level": self.level,
            "message": self.message,
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Finding:
        return cls(item["file"], item["line"], item["rule"], item["level"], item["message"])


def linter_of(labels: Mapping[str, str]) -> str | None:
    """Who looked at the migrations, or `none: ` and why nobody did; None where the build did not ask."""
    return labels.get(LINTER, "").strip()[:_NAME] or None


def lint_of(labels: Mapping[str, str]) -> tuple[Finding, ...] | None:
    """The findings by file and line; None where nobody looked, or what the label has cannot be read."""
    if LINT not in labels:
        return None
    try:
        document = json.loads(labels[LINT])
        found = [_finding(entry) for entry in document["findings"][:_FINDINGS]]
        left_out = [_left_out(file, count) for file, count in document["left_out"].items()]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return tuple(sorted([*found, *left_out[:_FINDINGS]], key=lambda one: (one.file, one.line == 0, one.line)))


def _finding(entry: Mapping[str, Any]) -> Finding:
    line = entry["line"]
    if not isinstance(line, int) or isinstance(line, bool):
        raise TypeError
    file, rule, level, message = (_text(entry[name]) for name in ("file", "rule", "level", "message"))
    return Finding(file[:_NAME], line, rule[:_NAME], level[:_NAME], message[:_MESSAGE])


def _left_out(file: str, count: object) -> Finding:
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError
    more = "1 more finding was" if count == 1 else f"{count} more findings were"
    return Finding(file[:_NAME], 0, LEFT_OUT, "Warning", f"{more} left out of the image's label")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
