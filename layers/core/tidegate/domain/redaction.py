"""Log lines go into the ledger and onto screens: what looks like a credential does not.

An application's log is outside Tidegate's hands, so this is a net and no proof; it prefers to hide too much.
"""

from __future__ import annotations

import re

_HIDDEN = "***"
_LONGEST = 500
_NAMED = re.compile(
    r"(?i)(?P<name>pass(?:word|wd)?|pwd|secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?|authorization|credential)"
    r"(?P<sign>[\"']?\s*[=:]\s*(?:bearer\s+|basic\s+)?)(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)"
)
_IN_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE)
_AWS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")


def redacted(line: str) -> str:
    """A line without what looks like a credential, at most 500 characters long."""
    line = _IN_URL.sub(rf"\g<scheme>{_HIDDEN}@", line)
    line = _NAMED.sub(rf"\g<name>\g<sign>{_HIDDEN}", line)
    line = _AWS_KEY.sub(_HIDDEN, line)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
