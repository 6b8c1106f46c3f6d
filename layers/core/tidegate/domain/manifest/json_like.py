"""Is it what JSON can say, and of a sane size? Asked before anything else looks at a manifest."""

from __future__ import annotations

from typing import Final

from tidegate.domain.manifest.problems import Path, Problem, shown

# The deepest place of the schema is environments.<env>.services.<svc>.smoke.url, depth 6.
DEEPEST: Final = 20
# A table item is 400 KB; a manifest of a thousand services with five fields each has some ten thousand values.
MOST_VALUES: Final = 50_000
LONGEST_TEXT: Final = 4_096


def unreadable(data: object) -> list[Problem]:
    """Problems after which the rest cannot be judged: foreign types, keys that are no text, no end of nesting.

    Walks without recursion, so that no depth of nesting (or a list that holds itself) can exhaust the stack.
    """
    problems: list[Problem] = []
    pending: list[tuple[Path, object]] = [((), data)]
    seen = 0
    while pending:
        path, value = pending.pop()
        seen += 1
        if seen > MOST_VALUES:
            return [Problem((), f"the manifest holds more than {MOST_VALUES} values", "split the system")]
        if len(path) > DEEPEST:
            return [
                Problem(path, f"is nested deeper than {DEEPEST} levels", "see the reference for the shape")
            ]
        problems += _own_problems(path, value)
        if isinstance(value, dict):
            pending.extend(((*path, key), inner) for key, inner in value.items() if isinstance(key, str))
        elif isinstance(value, list):
            pending.extend(((*path, index), inner) for index, inner in enumerate(value))
    return problems


def empty_values(data: object, path: Path = ()) -> list[Problem]:
    """Keys without a value. A key that is left out has a default; one that is left empty is a slip of the hand."""
    inner: list[tuple[str | int, object]] = []
    if data is None and path:
        return [Problem(path, f"{name_of(path)} has no value", "give it one, or remove the key")]
    if isinstance(data, dict):
        inner = list(data.items())
    elif isinstance(data, list):
        inner = list(enumerate(data))
    return [problem for key, value in inner for problem in empty_values(value, (*path, key))]


def name_of(path: Path) -> str:
    """How a message calls a place: its key, quoted; for an item of a list, the list's key and its number."""
    if not path:
        return "the manifest"
    if isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {name_of(path[:-1])}"
    return shown(path[-1])


def _own_problems(path: Path, value: object) -> list[Problem]:
    """Problems of a value itself and of its keys, not of what is inside."""
    name, mend = name_of(path), "shorten it or write it anew"
    if isinstance(value, dict):
        faults = ((key, _text_fault(key)) for key in value)
        return [Problem(path, f"{name} has a key that {fault}", mend) for _, fault in faults if fault]
    if isinstance(value, str):
        fault = _text_fault(value)
        return [Problem(path, f"{name} {fault}", mend)] if fault else []
    if value is None or isinstance(value, list | bool | int | float):
        return []
    said = f"{name} must be something that JSON can say, not {shown(value)}"
    return [Problem(path, said, "use text, whole numbers, lists and mappings")]


def _text_fault(text: object) -> str | None:
    if not isinstance(text, str):
        return f"is not text: {shown(text)}"
    if len(text) > LONGEST_TEXT:
        return f"is longer than {LONGEST_TEXT} characters"
    # Half a surrogate pair: legal in a JSON escape, but no UTF-8 can carry it to the parameter store.
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "holds half of a character (a lone surrogate)"
    return None
