"""Does a statement only add to the schema (expand), or may the code that runs now break on it (contract)?

Code of the release before runs on while the new one is rolled out, and again after a rollback. What takes away,
renames or retypes something that it may read is a contract; so is what refuses a row that it may write: NOT NULL, a
unique index, any constraint (NOT VALID spares the rows that are there, not those that are written from then on). What
loosens is an expand: DROP INDEX, DROP CONSTRAINT, DROP NOT NULL. A table made in the same script is nobody's yet.

A statement whose effect cannot be read (DO, CALL, or a kind that is not known here) is taken for a contract: the gate
asks a person, who can say otherwise in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from tidegate.domain.sql_statements import Statement, name_at

Tokens = Sequence[str]

_HARMLESS: Final = frozenset(
    {
        "analyze",
        "analyse",
        "checkpoint",
        "close",
        "cluster",
        "comment",
        "copy",
        "deallocate",
        "declare",
        "discard",
        "explain",
        "fetch",
        "grant",
        "import",
        "insert",
        "listen",
        "load",
        "lock",
        "merge",
        "notify",
        "prepare",
        "refresh",
        "reindex",
        "release",
        "reset",
        "rollback",
        "savepoint",
        "security",
        "select",
        "set",
        "show",
        "table",
        "unlisten",
        "update",
        "vacuum",
        "values",
        "with",
        "(",
        "\\",
    }
)
_MODIFIERS: Final = frozenset(
    {"global", "local", "temp", "temporary", "unlogged", "materialized", "foreign", "event"}
)
# What no code names.
_DROPPED_AT_WILL: Final = frozenset({"index", "statistics"})
_ALTERED_AT_WILL: Final = frozenset(
    {"index", "statistics", "extension", "default", "collation", "trigger", "publication"}
)
_TABLES: Final = frozenset({"table", "view", "sequence"})
_NO_COLUMN: Final = frozenset({"constraint", "primary", "unique", "foreign", "check", "exclude", "not"})
# Numbers by themselves: they are NOT NULL with a default.
_SERIAL: Final = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})
_HARMLESS_CHANGE: Final = frozenset(
    {
        "attach",
        "cache",
        "cluster",
        "disable",
        "inherit",
        "increment",
        "maxvalue",
        "minvalue",
        "no",
        "options",
        "replica",
        "reset",
        "restart",
        "set",
        "start",
        "validate",
        "owned",
    }
)


def contracts(statements: Iterable[Statement]) -> tuple[str, ...]:
    """What of a script is a contract, in words such as `drops column orders.total`, each once; none: it expands."""
    made: set[str] = set()
    found: dict[str, None] = {}
    for statement in statements:
        tokens = statement.tokens[:-1] if statement.tokens[-1] == ";" else statement.tokens
        for reason in _reasons(tokens, made):
            found.setdefault(reason)
        table = _table_made(tokens)
        if table is not None:
            made.add(table)
    return tuple(found)


def _reasons(tokens: Tokens, made: set[str]) -> Iterator[str]:
    match tokens[0]:
        case "create":
            yield from _created(tokens, made)
        case "drop":
            yield from _dropped(tokens, made)
        case "alter":
            yield from _altered(tokens, made)
        case "truncate" | "delete":
            yield from _emptied(tokens, made)
        case "revoke":
            yield "takes privileges away"
        case first if first not in _HARMLESS:
            yield f"runs {first.upper()}, whose effect cannot be read"
        case "with" | "merge" if "delete" in tokens:
            yield "deletes rows"
        case _:
            pass


def _emptied(tokens: Tokens, made: set[str]) -> Iterator[str]:
    names = [name for name in _names(_after(tokens[1:], "table", "from", "only")) if name not in made]
    if names and tokens[0] == "truncate":
        yield f"empties {', '.join(names)}"
    elif names:
        yield f"deletes rows of {names[0]}"


def _created(tokens: Tokens, made: set[str]) -> Iterator[str]:
    if tokens[1:3] != ("unique", "index") or "on" not in tokens:
        return
    table = name_at(_after(tokens[tokens.index("on") + 1 :], "only"), 0)
    if table not in made:
        yield f"allows no duplicates in {table} (unique index)"


def _dropped(tokens: Tokens, made: set[str]) -> Iterator[str]:
    kind, rest = _kind(tokens[1:])
    if kind in _DROPPED_AT_WILL:
        return
    names = [name for name in _names(_after(rest, "concurrently", "if", "exists")) if name not in made]
    if names:
        yield f"drops {kind} {', '.join(names)}"


def _altered(tokens: Tokens, made: set[str]) -> Iterator[str]:
    kind, rest = _kind(tokens[1:])
    if kind in _ALTERED_AT_WILL:
        return
    rest = _after(rest, "if", "exists", "only")
    name = name_at(rest, 0)
    changes = list(rest[len(_name_tokens(rest)) :])
    if changes[:1] == ["("]:
        # A function's arguments.
        del changes[: changes.index(")") + 1 if ")" in changes else len(changes)]
    if changes[:1] == ["*"]:
        del changes[0]
    if kind in _TABLES and name in made:
        return
    for change in _apart(changes):
        reason = _changed(kind, name, change)
        if reason is not None:
            yield reason


def _changed(kind: str, name: str, change: Tokens) -> str | None:
    """Why one action of an ALTER is a contract."""
    match list(change):
        case ["rename", *more]:
            return _renamed(kind, name, more)
        case ["set", "schema", *_]:
            return f"moves {kind} {name} to another schema"
        case ["owner", "to", *_]:
            return f"gives {kind} {name} to another role"
        case ["no", "inherit", *_] | ["detach", *_]:
            return f"takes {name} apart from its other parts"
        case ["enable" | "force", "row", *_]:
            return f"hides rows of {name} (row level security)"
    if kind == "type":
        return _type_changed(name, change)
    if kind in ("table", "view", "domain"):
        return _table_changed(kind, name, change)
    if kind == "sequence" and change[:1] and change[0] in _HARMLESS_CHANGE | {"as", "cycle"}:
        return None
    return f"changes {kind} {name} in a way that is not known here"


def _renamed(kind: str, name: str, more: Sequence[str]) -> str:
    match list(more):
        case ["to", new, *_]:
            return f"renames {kind} {name} to {new}"
        case ["value", *_]:
            return f"renames a value of type {name}"
        case ["constraint" | "attribute" as part, old, *_]:
            return f"renames {part} {old} of {name}"
        case _:
            return f"renames column {name}.{name_at(_after(more, 'column'), 0)}"


def _type_changed(name: str, change: Tokens) -> str | None:
    if change[:1] == ["add"]:
        return None
    return f"changes type {name}"


def _table_changed(kind: str, name: str, change: Tokens) -> str | None:
    match list(change):
        case ["add", *more]:
            return _added(kind, name, more)
        case ["drop", "constraint" | "not", *_]:
            return None
        case ["drop", "default"]:
            return f"drops the default of {name}"
        case ["set", "not", *_]:
            return f"makes {name} NOT NULL"
        case ["drop", *more]:
            return f"drops column {name}.{name_at(_after(more, 'column', 'if', 'exists'), 0)}"
        case ["alter", "constraint", *_]:
            return None
        case ["alter", *more]:
            rest = _after(more, "column")
            return _column_altered(f"{name}.{rest[0] if rest else ''}", rest[1:])
        case ["force" | "of" | "enable", *_] | ["not", "of"]:
            return None
        case [first, *_] if first in _HARMLESS_CHANGE:
            return None
        case _:
            return f"changes {kind} {name} in a way that is not known here"


def _added(kind: str, name: str, more: Sequence[str]) -> str | None:
    if kind == "domain" or (more[:1] and more[0] in _NO_COLUMN):
        shown = next(
            (word for word in more if word in ("primary", "unique", "foreign", "check", "exclude", "not")), ""
        )
        words = {"primary": "primary key", "foreign": "foreign key", "not": "NOT NULL"}
        return f"adds a constraint to {name} ({words.get(shown, shown or 'of an unknown kind')})"
    rest = _after(more, "column", "if", "not", "exists")
    column, shape = (rest[0] if rest else ""), rest[1:]
    refuses = _within(shape, "not", "null") or _within(shape, "primary", "key")
    fills = "default" in shape or "generated" in shape or bool(shape[:1] and shape[0] in _SERIAL)
    if refuses and not fills:
        return f"adds column {name}.{column} NOT NULL without a default"
    return None


def _column_altered(column: str, change: Tokens) -> str | None:
    match list(change):
        case ["type", *_] | ["set", "data", *_]:
            return f"changes the type of {column}"
        case ["set", "not", *_]:
            return f"makes {column} NOT NULL"
        case ["drop", "default" | "identity", *_]:
            return f"drops the default of {column}"
        case ["set", "expression", *_]:
            return f"changes what {column} is made of"
        case ["set" | "reset" | "restart" | "add", *_] | ["drop", "not" | "expression", *_]:
            return None
        case _:
            return f"changes {column} in a way that is not known here"


def _table_made(tokens: Tokens) -> str | None:
    """The table that a statement makes for certain: with IF NOT EXISTS it may have been there."""
    if tokens[0] != "create":
        return None
    kind, rest = _kind(tokens[1:])
    if kind != "table" or rest[:1] == ("if",):
        return None
    return name_at(rest, 0)


def _kind(tokens: Tokens) -> tuple[str, Tokens]:
    """What it is about ("table", "view"), and what follows."""
    rest = _after(tokens, *_MODIFIERS)
    return (rest[0] if rest else "", rest[1:])


def _after(tokens: Tokens, *words: str) -> Tokens:
    """Without the words it begins with."""
    here = 0
    while here < len(tokens) and tokens[here] in words:
        here += 1
    return tokens[here:]


def _name_tokens(tokens: Tokens) -> Tokens:
    here = 1
    while here + 1 < len(tokens) and tokens[here] == ".":
        here += 2
    return tokens[:here]


def _names(tokens: Tokens) -> list[str]:
    """The names of a list; what follows the last of them (CASCADE) is left out."""
    return [name_at(part, 0) for part in _apart(tokens)]


def _apart(tokens: Tokens) -> list[list[str]]:
    """At the commas outside of parentheses."""
    parts: list[list[str]] = [[]]
    depth = 0
    for part in tokens:
        depth += {"(": 1, ")": -1}.get(part, 0)
        if part == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(part)
    return [part for part in parts if part]


def _within(tokens: Tokens, first: str, second: str) -> bool:
    return any(pair == (first, second) for pair in pairwise(tokens))
