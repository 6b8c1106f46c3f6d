"""The tree of errors: what a caller may catch, and what a state machine's Retry names."""

from __future__ import annotations

import pytest
from tidegate.domain import errors
from tidegate.domain.errors import (
    BadInputError,
    BadManifestError,
    ConflictError,
    LostLockError,
    NotFoundError,
    OutsideError,
    RefusalError,
    TidegateError,
    TransientError,
)


@pytest.mark.parametrize(
    ("error", "parent", "code"),
    [
        (TransientError, TidegateError, "transient"),
        (ConflictError, TransientError, "conflict"),
        (RefusalError, TidegateError, "refused"),
        (BadInputError, RefusalError, "bad_input"),
        (BadManifestError, RefusalError, "bad_manifest"),
        (NotFoundError, RefusalError, "not_found"),
        (LostLockError, TidegateError, "lost_lock"),
        (OutsideError, TidegateError, "outside"),
    ],
)
def test_each_error_says_what_to_do_by_its_parent_and_code(
    error: type[TidegateError], parent: type[TidegateError], code: str
) -> None:
    assert error.__bases__ == (parent,)
    assert error("why").code == code
    assert error.__name__ in (errors.__doc__ or ""), "the tree at the top of the module is complete"


def test_what_is_to_be_stopped_or_paged_is_never_retried() -> None:
    """`TransientError` is in every Retry: a lost lock or a refusal below it would be tried again and again."""
    for error in (RefusalError, LostLockError, OutsideError):
        assert not issubclass(error, TransientError)
    assert not issubclass(LostLockError, RefusalError), "a lost lock is no answer to the person who asked"


def test_an_error_carries_what_a_person_and_a_program_need() -> None:
    error = BadInputError("no such thing", field="images.app", hint="build it", code="no_image")
    assert (str(error), error.message, error.field, error.hint, error.code) == (
        "no such thing",
        "no such thing",
        "images.app",
        "build it",
        "no_image",
    )
    assert BadInputError("another").code == "bad_input", "a code of one error is not that of its class"
