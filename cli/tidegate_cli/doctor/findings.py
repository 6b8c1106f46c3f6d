"""What a check found, and how a check that cannot be carried out is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from tidegate.adapters.errors import DENIED_CODES, code_of
from tidegate.domain.errors import TidegateError, TransientError

from tidegate_cli.failures import format_traceback, traceback_wanted
from tidegate_cli.screen import say

if TYPE_CHECKING:
    from tidegate_cli.doctor.inspection import Inspection


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """`message` is what is so, `hint` how to mend it."""

    name: str
    status: Status
    message: str
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        document = {"name": self.name, "status": self.status.value, "message": self.message}
        return document if self.hint is None else {**document, "hint": self.hint}


Check = Callable[["Inspection"], Iterable[Finding]]


def ok(name: str, message: str) -> Finding:
    return Finding(name, Status.OK, message)


def warning(name: str, message: str, hint: str | None = None) -> Finding:
    return Finding(name, Status.WARNING, message, hint)


def error(name: str, message: str, hint: str | None = None) -> Finding:
    return Finding(name, Status.ERROR, message, hint)


def skipped(name: str, message: str, hint: str | None = None) -> Finding:
    return Finding(name, Status.SKIPPED, message, hint)


def carried_out(name: str, check: Check, inspection: Inspection) -> Iterator[Finding]:
    """The check's findings; where it cannot go on, what it found until then and why. Raises nothing."""
    try:
        yield from check(inspection)
    except TidegateError as problem:
        yield not_possible(name, problem)
    except Exception as problem:  # noqa: BLE001 - one check that fails must not hide what the others find
        if traceback_wanted():
            say(format_traceback(problem))
        said = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
        yield error(
            name, f"the check itself failed: {said}", "please report it; TIDEGATE_DEBUG=1 shows where"
        )


def not_possible(name: str, problem: TidegateError) -> Finding:
    """Skipped where the caller may not look, or AWS did not answer; anything else is an error."""
    if isinstance(problem, TransientError):
        return skipped(name, f"AWS did not answer: {problem.message}", "try again")
    if is_denied(problem):
        return skipped(name, f"may not be looked at: {problem.message}", problem.hint)
    return error(name, problem.message, problem.hint)


def is_denied(problem: TidegateError) -> bool:
    cause = problem.__cause__
    return isinstance(cause, ClientError) and code_of(cause) in DENIED_CODES
