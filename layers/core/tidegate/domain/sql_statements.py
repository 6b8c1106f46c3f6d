"""A script of SQL, cut into its statements as psql cuts it.

Why not a library: a gate must not overlook a DROP. sqlparse takes the backslash of `'C:\\'` for an escape (it is none
since standard_conforming_strings), so that the string swallows what follows; it ends `/* /* */ */` too early; and a
column named `begin` or `declare` stops it from cutting at all. libpg_query (pglast) has no wheel without native code,
and the layer is one for all architectures. The rules below are few and fixed: PostgreSQL, "Lexical Structure", and
psql's scanner (src/fe_utils/psqlscan.l): a semicolon ends a statement outside of parentheses and of a body between
BEGIN ATOMIC and END.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_BLANK: Final = "blank"
_COMMENT: Final = "comment"
_STRING: Final = "string"
_DOT: Final = "."
_SHOWN_AS: Final = {_BLANK: " ", _COMMENT: " ", _STRING: "'…'"}
_TOKEN = re.compile(
    r"(?P<blank>[ \t\r\n\f\v]+)"
    r"|(?P<comment>--[^\r\n]*)"
    r"|(?P<block>/\*)"
    # What has no end runs to the end of the script; the server will refuse it.
    r"|(?P<escaped>[eE]'(?:''|\\[\s\S]|[^'\\])*(?:'|$(?![\s\S])))"
    r"|(?P<string>'(?:''|[^'])*(?:'|$(?![\s\S])))"
    r"|(?P<dollar>\$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?)\$)"
    r'|(?P<quoted>"(?:""|[^"])*(?:"|$(?![\s\S])))'
    r"|(?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)"
    r"|(?P<number>[0-9][A-Za-z0-9_.]*)"
    r"|(?P<symbol>[\s\S])"
)
_CONTINUED = re.compile(r"(?:''|\\[\s\S]|[^'\\])*(?:'|$(?![\s\S]))")
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_HAS_BODY = (("create", "function"), ("create", "procedure"))
_ENDS_TRANSACTION = frozenset({"begin", "start", "commit", "end", "abort", "rollback"})


@dataclass(frozen=True)
class Statement:
    """`text` is all of it, with the comments before it and its semicolon. `tokens` is what has a meaning: words in
    lower case, quoted names with their quotes, symbols; a string is `'`, whatever stands in it."""

    text: str
    tokens: tuple[str, ...]

    @property
    def first(self) -> str:
        return self.tokens[0]

    @cached_property
    def line(self) -> str:
        """For people: on one line, without comments, and without the strings, one of which may be a password; cut
        after 80 characters."""
        parts = (_SHOWN_AS.get(kind, text) for kind, text in _tokens(self.text))
        whole = re.sub(r"\s+", " ", "".join(parts)).strip(" ;")
        return whole if len(whole) <= 80 else whole[:79] + "…"

    @property
    def controls_transaction(self) -> bool:
        """Begins or ends one; a savepoint does neither."""
        if self.tokens[:2] == ("prepare", "transaction"):
            return True
        return self.first in _ENDS_TRANSACTION and "to" not in self.tokens[1:3]

    @property
    def needs_no_transaction(self) -> bool:
        """Of those that PostgreSQL refuses in a transaction, the ones that migrations have."""
        if self.first == "vacuum":
            return True
        return self.first in ("create", "drop", "reindex", "alter") and "concurrently" in self.tokens

    @property
    def needs_client(self) -> bool:
        """Made for psql: a command of its own, or data that follows in the script."""
        if self.first == "\\":
            return True
        return self.first == "copy" and ("stdin" in self.tokens or "stdout" in self.tokens)


@dataclass(frozen=True, slots=True)
class ConcurrentIndex:
    """As it is written, with its quotes: `table` may name its schema. No `name` where PostgreSQL makes one up."""

    table: str
    name: str | None


def split(script: str) -> tuple[Statement, ...]:
    """The statements, whose texts make up the script again: what follows the last one belongs to it. None where the
    script holds only comments."""
    found: list[Statement] = []
    waiting = ""
    for text, tokens in _pieces(script):
        if tokens:
            found.append(Statement(waiting + text, tokens))
            waiting = ""
        elif found:
            found[-1] = Statement(found[-1].text + text, found[-1].tokens)
        else:
            waiting += text
    return tuple(found)


def comments(script: str) -> tuple[tuple[str, bool], ...]:
    """The comments that begin with `--`, without that; and whether each stands before the first statement."""
    found = []
    before = True
    for kind, text in _tokens(script):
        if kind == _COMMENT and text.startswith("--"):
            found.append((text[2:].strip(), before))
        elif kind not in (_BLANK, _COMMENT):
            before = False
    return tuple(found)


def concurrent_index(statement: Statement) -> ConcurrentIndex | None:
    """What CREATE INDEX CONCURRENTLY makes; None for any other statement."""
    tokens = [word for word in statement.tokens[:4] if word != "unique"]
    if tokens[:3] != ["create", "index", "concurrently"]:
        return None
    rest = list(statement.tokens[statement.tokens.index("concurrently") + 1 :])
    if rest[:3] == ["if", "not", "exists"]:
        del rest[:3]
    name = None if rest[:1] == ["on"] else rest.pop(0) if rest else None
    if rest[:1] != ["on"]:
        return None
    del rest[0]
    if rest[:1] == ["only"]:
        del rest[0]
    return ConcurrentIndex(name_at(rest, 0), name)


def name_at(tokens: Sequence[str], start: int) -> str:
    """The name, with its schema, that begins at a token; empty where none does."""
    parts = list(tokens[start : start + 1])
    here = start + 1
    while here + 1 < len(tokens) and tokens[here] == _DOT:
        parts += [_DOT, tokens[here + 1]]
        here += 2
    return "".join(parts)


def _pieces(script: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    text: list[str] = []
    tokens: list[str] = []
    parentheses = body = 0
    for kind, part in _tokens(script):
        text.append(part)
        if kind in (_BLANK, _COMMENT):
            continue
        if part == ";" and parentheses == 0 and body == 0:
            yield "".join(text), tuple(tokens)
            text, tokens = [], []
            continue
        tokens.append(_token(kind, part))
        if part in ("(", ")"):
            parentheses = max(0, parentheses + (1 if part == "(" else -1))
        elif kind == "word" and parentheses == 0:
            body += _deeper(tokens, body)
    if text:
        yield "".join(text), tuple(tokens)


def _token(kind: str, part: str) -> str:
    if kind == "word":
        return part.lower()
    return "'" if kind == _STRING else part


def _deeper(tokens: list[str], body: int) -> int:
    """By how much the word that came last goes into a body of SQL, or out of it."""
    last = tokens[-1]
    if body:
        return {"case": 1, "end": -1}.get(last, 0)
    head = tuple(token for token in tokens[:4] if token not in ("or", "replace"))[:2]
    return int(last == "atomic" and tokens[-2:-1] == ["begin"] and head in _HAS_BODY)


def _tokens(script: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of all that stands in a script, one after the other."""
    here = 0
    # A string on the next line goes on as the one before it began: PostgreSQL, "String Constants".
    escaped = after_line_end = False
    while here < len(script):
        found = _TOKEN.match(script, here)
        if found is None or found.lastgroup is None:  # pragma: no cover - the last alternative takes anything
            raise ValueError("a character that no rule takes")
        kind, end = found.lastgroup, found.end()
        if found["block"] is not None:
            kind, end = _COMMENT, _block_end(script, here)
        elif found["dollar"] is not None:
            closing = script.find(f"${found['tag']}$", end)
            kind, end = _STRING, len(script) if closing < 0 else closing + len(found["tag"]) + 2
        elif kind == _STRING and escaped and after_line_end:
            continued = _CONTINUED.match(script, here + 1)
            end = continued.end() if continued is not None else end
        elif kind == "escaped":
            kind = _STRING
        text = script[here:end]
        if kind in (_BLANK, _COMMENT):
            after_line_end = after_line_end or "\n" in text
        else:
            escaped = kind == _STRING and (found["escaped"] is not None or (escaped and after_line_end))
            after_line_end = False
        yield kind, text
        here = end


def _block_end(script: str, start: int) -> int:
    """Comments of this kind nest."""
    depth = 0
    for edge in _BLOCK_EDGE.finditer(script, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(script)
