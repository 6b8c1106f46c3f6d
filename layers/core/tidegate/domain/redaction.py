"""Log lines go into the ledger and onto screens: what looks like a credential does not.

An application's log is outside Tidegate's hands, so this is a net and no proof; it prefers to hide too much. What
it cannot see: a password with a space that nothing quotes, one that neither a name nor a URL announces, a key that
is spread over lines.
"""

from __future__ import annotations

import re

_HIDDEN = "***"
_LONGEST = 500
# CloudWatch takes events of 1 MB, and a pattern is tried at every character: a line is cut before as well as after.
# What stands beyond this could be shown only if nearly all before it was hidden.
_READ = 16_384

# ECMA-48, 5.4: a control sequence, such as a colour. Tools write them into logs too, even between two letters.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

_NAME = (
    r"(?:(?:passw(?:or)?d|passphrase|pwd|secret|token|credential|(?:api|access|private)[_-]?key)[\w-]{0,30}"
    r"|pass|authorization)"
)
# A text in quotes to its end, over escaped ones (JSON within JSON escapes its own), or to the end of a line that was
# cut; a list or an object; else whatever stands without a space.
_VALUE = (
    r"""(?:\\*"(?:\\.|[^"\\])*(?:"[^\s,;&\])}]*|\\?$)"""
    r"""|\\*'(?:\\.|[^'\\])*(?:'[^\s,;&\])}]*|\\?$)"""
    r"""|[\[{(][^\]})]*[\]})]?"""
    r"""|\S+)"""
)
_NAMED = re.compile(
    # The names of resources and of IAM's actions are no secrets, and they are what on-call needs to see.
    r"(?P<kept>\barn:aws[\w-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]*:[\w:/.+@-]+|\bsecretsmanager:[a-z]+\b)"
    rf"|(?P<announced>{_NAME}(?:\\*[\"']?\s*[=:]+>?\s*|>)){_VALUE}",
    re.IGNORECASE,
)
_FLAG = re.compile(rf"(?P<announced>--[\w-]{{0,40}}?{_NAME}\s+){_VALUE}", re.IGNORECASE)
# A scheme and then anything, with spaces: the rest of the line, where no quote ends it.
_HEADER = re.compile(r"(?P<announced>authorization\s*[=:]\s*)(?![\"'\\]).+", re.IGNORECASE)
_BEARER = re.compile(r"(?P<announced>\bbearer\s+)[\w.~+/=-]{16,}", re.IGNORECASE)
# Behind the colon stands either a port, which is shown, or a password, in which anything may be.
_IN_URL = re.compile(
    r"(?P<announced>://)(?:[^\s/:@]*:(?!\d{1,5}(?:[/?#\"'),;\]}]|\s|$))\S*|[^\s/@]+)(?P<end>@)"
)
_AWS_KEY = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{16,}")


def redacted(line: str) -> str:
    """A line without what looks like a credential, and without colours, at most 500 characters long."""
    line = _CONTROL.sub("", line[:_READ])
    line = _IN_URL.sub(rf"\g<announced>{_HIDDEN}\g<end>", line)
    for pattern in (_HEADER, _FLAG, _BEARER):
        line = pattern.sub(rf"\g<announced>{_HIDDEN}", line)
    line = _NAMED.sub(lambda found: found["kept"] or found["announced"] + _HIDDEN, line)
    line = _AWS_KEY.sub(_HIDDEN, line)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
