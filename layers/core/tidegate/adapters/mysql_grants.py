"""What SHOW GRANTS of MySQL 8 and MariaDB says, taken apart so that two users can be compared.

A line names privileges, an object and an account, whose names are quoted in backticks: `GRANT SELECT, INSERT (`a`) ON
`shop`.`orders` TO `app`@`%` WITH GRANT OPTION`, `GRANT `reader` TO …`, `SET DEFAULT ROLE `reader` FOR …` (MariaDB),
`REVOKE INSERT ON `mysql`.* FROM …` (MySQL's partial revokes). The account is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

ALL: Final = "ALL PRIVILEGES"
ROLE, DEFAULT_ROLE = "ROLE", "DEFAULT ROLE"
_USAGE = "USAGE"
_TOKEN = re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'|[(),]|[^\s`'(),]+", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One privilege on one object (`on` as the server writes it), or a role: its name is in `on`. `option` is WITH
    GRANT OPTION or WITH ADMIN OPTION, `revoked` a partial revoke."""

    on: str
    privilege: str
    option: bool = False
    revoked: bool = False

    def __str__(self) -> str:
        if self.privilege in {ROLE, DEFAULT_ROLE}:
            return f"{self.privilege} {self.on}{' WITH ADMIN OPTION' if self.option else ''}"
        return f"{self.privilege} ON {self.on}{' WITH GRANT OPTION' if self.option else ''}"


def read_grants(lines: Iterable[str]) -> frozenset[Grant]:
    """ValueError or IndexError where a line is none of these."""
    return frozenset(grant for line in lines for grant in _line(line))


def lacking_grants(user: frozenset[Grant], like: frozenset[Grant]) -> list[Grant]:
    """What `like` has and `user` has not. What is revoked from `user` alone it lacks as well."""
    missing = {grant for grant in like if not grant.revoked and not _covered(grant, user)}
    for grant in user:
        if grant.revoked and grant not in like:
            missing.add(Grant(grant.on, grant.privilege))
    return sorted(missing)


def revoked_beside(user: frozenset[Grant], like: frozenset[Grant]) -> list[Grant]:
    """What is revoked from `like` and not from `user`."""
    return sorted(grant for grant in like if grant.revoked and grant not in user)


def _covered(grant: Grant, by: frozenset[Grant]) -> bool:
    """A privilege on a table covers its columns, ALL PRIVILEGES on an object every other one on it."""
    names = {grant.privilege, grant.privilege.partition(" (")[0]}
    if grant.privilege not in {ROLE, DEFAULT_ROLE}:
        names.add(ALL)
    return any(
        other.on == grant.on
        and not other.revoked
        and other.privilege in names
        and other.option >= grant.option
        for other in by
    )


def _line(line: str) -> Iterator[Grant]:
    tokens = list(_TOKEN.finditer(line))
    words = [token.group().upper() for token in tokens]
    if words[:3] == ["SET", "DEFAULT", "ROLE"]:
        yield Grant(_text(line, tokens[3 : words.index("FOR")]), DEFAULT_ROLE)
        return
    end = words.index("FROM" if words[0] == "REVOKE" else "TO")
    option = any(pair in {("GRANT", "OPTION"), ("ADMIN", "OPTION")} for pair in pairwise(words[end:]))
    if "ON" not in words[:end]:
        for role in _parts(tokens[1:end]):
            yield Grant(_text(line, role), ROLE, option)
        return
    on = words.index("ON")
    target = _text(line, tokens[on + 1 : end])
    for part in _parts(tokens[1:on]):
        for privilege in _columns(line, part):
            if privilege != _USAGE or option:
                yield Grant(target, privilege, option, words[0] == "REVOKE")


def _parts(tokens: Sequence[re.Match[str]]) -> Iterator[list[re.Match[str]]]:
    """What stands between the commas outside of brackets."""
    part: list[re.Match[str]] = []
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.group(), 0)
        if token.group() == "," and not depth:
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _columns(line: str, part: list[re.Match[str]]) -> Iterator[str]:
    """`SELECT (`a`, `b`)` is one of each column."""
    opens = next((index for index, token in enumerate(part) if token.group() == "("), None)
    if opens is None:
        yield _text(line, part)
        return
    for column in _parts(part[opens + 1 : -1]):
        yield f"{_text(line, part[:opens])} ({_text(line, column)})"


def _text(line: str, tokens: Sequence[re.Match[str]]) -> str:
    return line[tokens[0].start() : tokens[-1].end()]
