"""What is wrong with a manifest: every problem at once, each with its path, a plain sentence and the mend."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.domain.errors import BadManifestError

Path = tuple[str | int, ...]

_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """`path` leads from the manifest's root to the place: keys as they are written, list items by their index."""

    path: Path
    message: str
    hint: str

    @property
    def field(self) -> str:
        return dotted(self.path)


class ManifestError(BadManifestError):
    """A manifest that cannot be used. `message`, `field` and `hint` are those of the first of `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{first.message}{more}", field=first.field or None, hint=first.hint)
        self.problems = tuple(problems)


def dotted(path: Iterable[str | int]) -> str:
    """`environments.production.freeze[0].from`; a key that would be misread is quoted: `secrets."a.b".kind`."""
    parts: list[str] = []
    for item in path:
        if isinstance(item, int):
            parts.append(f"[{item}]")
            continue
        plain = re.fullmatch(r"[A-Za-z0-9_/+=@-]+", item) and len(item) <= _LONGEST_SHOWN
        parts.append(f"{'.' if parts else ''}{item if plain else shown(item)}")
    return "".join(parts)


def shown(value: object) -> str:
    """A value as a message may quote it: one line, bounded, nothing a terminal would obey."""
    if isinstance(value, str):
        cut = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…"
        return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in f'"{cut}"')
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    # str() of an integer beyond 4300 digits is an error (sys.set_int_max_str_digits).
    if isinstance(value, int) and value.bit_length() > 64:
        return "a very large number"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"a value of type {type(value).__name__}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word a person most likely meant; None when none is near."""
    # Longer than any name: the comparison is quadratic, and no such word is a typing error.
    if len(word) > 2 * _LONGEST_SHOWN:
        return None
    known = tuple(known)
    by_case = {name.lower(): name for name in known}
    if word.lower() in by_case:
        return by_case[word.lower()]
    matches = difflib.get_close_matches(word, known, n=len(known) or 1)
    # Of equally near ones the first known: us-est-1 is rather us-east-1 than us-west-1.
    return min(
        matches,
        key=lambda name: (-difflib.SequenceMatcher(None, name, word).ratio(), known.index(name)),
        default=None,
    )


def suggestion(word: Any, known: Iterable[str], *, otherwise: str) -> str:
    """A hint for a word that is not one of the known ones."""
    near = nearest(word, known) if isinstance(word, str) else None
    return f'did you mean "{near}"?' if near else otherwise


def one_of(words: Iterable[str]) -> str:
    """`none, required or {by: other}`"""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
