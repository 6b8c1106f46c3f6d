"""The SQL files of a release: their names and order, their directives, and what a database has of them.

`0007_add_total.sql`: a number, `_` or `-`, and a name. They run in the order of their numbers; the last one's name is
the head. Directives are comment lines before the first statement:

    -- tidegate: no-transaction
    -- tidegate: contract the code of r41 still reads it
    -- tidegate: expand nobody reads this column since r39
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tidegate.domain.errors import BadInputError
from tidegate.domain.sql_effects import contracts
from tidegate.domain.sql_statements import Statement, comments, concurrent_index, split

FIELD: Final = "migrations.directory"
Kind = Literal["expand", "contract"]

_NAME = re.compile(r"([0-9]{1,18})[_-][A-Za-z0-9][A-Za-z0-9_.-]{0,150}\.sql")
_DIRECTIVE = re.compile(r"tidegate:\s*(?P<word>[\w-]*)\s*(?P<reason>.*)", re.IGNORECASE)
_NO_TRANSACTION, _EXPAND, _CONTRACT = "no-transaction", "expand", "contract"
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """`checksum` is the SHA-256 of its bytes, with LF for each CRLF: git may give a file either. `kind` is what its
    statements are, or its directive says, for these `reasons`."""

    name: str
    checksum: str
    text: str
    transactional: bool
    kind: Kind
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`pending` names are in the order they have to run. Where there is a `refusal`, nothing may; `hint` mends it."""

    pending: tuple[str, ...]
    refusal: str | None = None
    hint: str | None = None


def read_files(files: Mapping[str, bytes]) -> tuple[MigrationFile, ...]:
    """In the order they run. Raises BadInputError for a name, a directive or a statement that cannot be."""
    numbers: dict[int, str] = {}
    for name in sorted(files):
        if _NAME.fullmatch(name) is None:
            raise _bad(
                f"{name[:200]!r} is no name of a migration",
                "a number, _ or -, and a name: 0007_add_total.sql",
            )
        number = order(name)[0]
        if number in numbers:
            raise _bad(
                f"{numbers[number]} and {name} have the same number", "give the later one the next number"
            )
        numbers[number] = name
    return tuple(_file(name, files[name]) for name in sorted(files, key=order))


def compare(files: Sequence[tuple[str, str]], applied: Mapping[str, str]) -> Comparison:
    """What a database has (name to checksum) against what a release has, (name, checksum) in any order."""
    known = dict(files)
    unknown = in_order(set(applied) - set(known))
    if unknown:
        return Comparison(
            (),
            f"the database is ahead of this release: it has {_listed(unknown)}, which the release does not have",
            "release a version that has them: code can go back, the schema cannot",
        )
    changed = [name for name in in_order(applied) if applied[name] != known[name]]
    if changed:
        return Comparison(
            (),
            f"{_listed(changed)} changed since the database has it",
            "restore its text, and put the change into a file of its own",
        )
    pending = in_order(set(known) - set(applied))
    head = head_of(applied)
    late = [] if head is None else [name for name in pending if order(name) < order(head)]
    if late:
        return Comparison(
            (),
            f"{_listed(late)} never ran, and comes before {head}, which did",
            f"give it a number after {head}",
        )
    return Comparison(tuple(pending))


def order(name: str) -> tuple[int, str]:
    """To sort names by; one that is no migration's comes last."""
    found = _NAME.fullmatch(name)
    return (10**18 if found is None else int(found[1]), name)


def in_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=order)


def head_of(names: Iterable[str]) -> str | None:
    return max(names, key=order, default=None)


def _file(name: str, content: bytes) -> MigrationFile:
    plain = content.replace(b"\r\n", b"\n")
    try:
        text = plain.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _bad(f"{name} is not UTF-8", "save it as UTF-8") from None
    if "\0" in text:
        raise _bad(f"{name} holds a NUL", "save it as UTF-8")
    directives = _directives(name, text)
    statements = split(text)
    transactional = _NO_TRANSACTION not in directives
    for statement in statements:
        _check(name, statement, transactional)
    kind, reasons = _kind(directives, contracts(statements))
    return MigrationFile(name, hashlib.sha256(plain).hexdigest(), text, transactional, kind, reasons)


def _directives(name: str, text: str) -> dict[str, str]:
    """Each with its reason."""
    found: dict[str, str] = {}
    for comment, before in comments(text):
        directive = _DIRECTIVE.fullmatch(comment)
        if directive is None:
            continue
        word = directive["word"].lower()
        if word not in (_NO_TRANSACTION, _EXPAND, _CONTRACT):
            raise _bad(f"{name} has an unknown directive {word[:50]!r}", "no-transaction, expand or contract")
        if not before:
            raise _bad(f"{name} has a directive after its first statement", "put it on a line above")
        if word == _EXPAND and not directive["reason"]:
            raise _bad(f"{name} does not say why it only expands", "-- tidegate: expand <reason>")
        found[word] = directive["reason"][:_LONGEST_REASON]
    if _EXPAND in found and _CONTRACT in found:
        raise _bad(f"{name} says both expand and contract", "leave one")
    return found


def _check(name: str, statement: Statement, transactional: bool) -> None:
    if statement.controls_transaction:
        hint = (
            "leave it out: the file is one transaction"
            if transactional
            else "leave it out: each statement is a transaction of its own; what belongs together needs its own file"
        )
        raise _bad(f"{name} has its own {statement.first.upper()}", hint)
    if statement.needs_client:
        raise _bad(
            f"{name} has a command that only psql knows", "write INSERT for COPY … FROM STDIN, SQL for \\ …"
        )
    if transactional and statement.needs_no_transaction:
        raise _bad(
            f"{name}: {statement.line} cannot run in a transaction",
            "begin the file with -- tidegate: no-transaction",
        )
    made = concurrent_index(statement)
    if made is not None and made.name is None:
        raise _bad(
            f"{name}: {statement.line} does not name its index",
            "name it: a run that was cut off has to find what it left",
        )


def _kind(directives: Mapping[str, str], reasons: tuple[str, ...]) -> tuple[Kind, tuple[str, ...]]:
    if _EXPAND in directives:
        return "expand", (f"its file says so: {directives[_EXPAND]}",)
    if _CONTRACT in directives:
        said = directives[_CONTRACT]
        return "contract", (f"its file says so: {said}" if said else "its file says so", *reasons)
    return ("contract" if reasons else "expand"), reasons


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:200] for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _bad(message: str, hint: str) -> BadInputError:
    return BadInputError(message, field=FIELD, hint=hint)
