"""What can go wrong with an embedded cloud.

LocalError           something failed; the log says more
├── UsageError       asked for something that cannot be; exit code 2
└── NotUpError       there is no running embedded cloud
"""

from pathlib import Path

TAIL_LINES = 25


class LocalError(Exception):
    """Something failed. `code` is for programs, `hint` the mend, `field` the option or field that is wrong."""

    code = "local_failed"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", field: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field
        self.code = code or type(self).code


class UsageError(LocalError):
    """Asked for something that cannot be."""

    code = "bad_usage"
    exit_code = 2


class NotUpError(LocalError):
    """There is no running embedded cloud."""

    code = "not_running"

    def __init__(self, message: str = "no embedded cloud is running") -> None:
        super().__init__(message, hint="start it: tidegate local up")


def failed(what: str, log: Path) -> LocalError:
    """`what` failed: with the last lines of its log and where the rest is."""
    try:
        lines = log.read_text(errors="replace").rstrip().splitlines()[-TAIL_LINES:]
    except OSError:
        lines = []
    tail = "".join(f"\n  {line}" for line in lines) or " (its log is empty)"
    return LocalError(f"{what}{tail}", hint=f"all of it is in {log}")
