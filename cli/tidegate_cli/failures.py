"""What went wrong, for a program (`--json`) and for a person, and the exit code that says it.

Exit codes are the contract's: 1 unexpected, 2 bad usage or bad manifest, 30 refused.
"""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass, field
from typing import Any

import typer

UNEXPECTED, BAD_USAGE, REFUSED, INTERRUPTED, TIMED_OUT = 1, 2, 30, 130, 124
DEBUG = "TIDEGATE_DEBUG"


class CommandError(Exception):
    """A command cannot do what it was asked for; the fields are those of the contract's error document.

    `more` are further keys of the document, beside `error`.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        exit_code: int = BAD_USAGE,
        field: str | None = None,
        hint: str | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.exit_code = exit_code
        self.field = field
        self.hint = hint
        self.more = more or {}


@dataclass(frozen=True, slots=True)
class Failure:
    """`lines` are for a person; `document` is the contract's `{"error": {…}}`."""

    exit_code: int
    document: dict[str, Any]
    lines: list[str] = field(default_factory=list)


def failure_of(error: BaseException) -> Failure:
    """Any exception; one that nobody raised on purpose is told without its traceback."""
    if isinstance(error, typer.TyperException):
        return _usage(error)
    if isinstance(error, CommandError) or _speaks_for_itself(error):
        return _told(error)
    if "tidegate.domain.errors" in sys.modules:
        # Whoever could raise one of ours has loaded them; a mistyped option is not to wait for that.
        from tidegate_cli.refusals import failure_of_ours  # noqa: PLC0415

        found = failure_of_ours(error)
        if found is not None:
            return found
    return _unexpected(error)


def make_failure(
    exit_code: int,
    code: str,
    message: str,
    *,
    field: str | None = None,
    hint: str | None = None,
    more: dict[str, Any] | None = None,
) -> Failure:
    body = {"code": code, "message": message}
    if field:
        body["field"] = field
    if hint:
        body["hint"] = hint
    lines = [f"{field}: {message}" if field and field not in message else message]
    if hint:
        lines.append(f"mend: {hint}")
    return Failure(exit_code, {"error": body, **(more or {})}, lines)


def traceback_wanted() -> bool:
    """TIDEGATE_DEBUG=1 shows where an unexpected error came from."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def format_traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _speaks_for_itself(error: BaseException) -> bool:
    """The embedded cloud's errors, whose package the command line does not need."""
    return all(hasattr(error, name) for name in ("message", "code", "hint", "exit_code"))


def _told(error: Any) -> Failure:
    return make_failure(
        error.exit_code,
        error.code,
        error.message,
        field=getattr(error, "field", None) or None,
        hint=error.hint or None,
        more=getattr(error, "more", None),
    )


def _usage(error: typer.TyperException) -> Failure:
    context = getattr(error, "ctx", None)
    parameter = getattr(error, "param", None)
    name = getattr(error, "option_name", None)
    if parameter is not None:
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
    path = "tidegate" if context is None else context.command_path
    message = " ".join(error.format_message().split()) or "what to do is missing"
    return make_failure(BAD_USAGE, "bad_usage", message, field=name, hint=f"see {path} --help")


def _unexpected(error: BaseException) -> Failure:
    said = " ".join(str(error).split())[:300]
    kind = type(error).__name__
    return make_failure(
        UNEXPECTED,
        "unexpected",
        f"{kind}: {said}" if said else kind,
        hint=f"{DEBUG}=1 shows where it happened; please report it",
    )
