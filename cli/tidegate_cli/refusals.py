"""The domain's errors as failures of a command: who can mend it, and how."""

from __future__ import annotations

from tidegate.domain.errors import (
    BadInputError,
    BadManifestError,
    NotFoundError,
    RefusalError,
    TidegateError,
    TransientError,
)

from tidegate_cli.failures import BAD_USAGE, REFUSED, UNEXPECTED, Failure, make_failure
from tidegate_cli.manifest_file import ManifestFileError, error_document, error_lines

# DynamoDB's and Step Functions' names for a table or a machine that is not there (API references).
_NO_INSTALLATION = frozenset({"ResourceNotFoundException", "StateMachineDoesNotExist"})
_NO_CONNECTION = frozenset({"EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError"})


def failure_of_ours(error: BaseException) -> Failure | None:
    """None for an exception that is not one of the domain's."""
    if isinstance(error, ManifestFileError):
        return Failure(BAD_USAGE, error_document(error), error_lines(error))
    if not isinstance(error, TidegateError):
        return None
    code, hint = _explained(error)
    return make_failure(_exit_code(error), code, error.message, field=error.field, hint=hint)


def _exit_code(error: TidegateError) -> int:
    if isinstance(error, BadInputError | BadManifestError | NotFoundError):
        return BAD_USAGE
    return REFUSED if isinstance(error, RefusalError) else UNEXPECTED


def _explained(error: TidegateError) -> tuple[str, str | None]:
    """Code and hint; where the domain cannot know the mend, the answer of AWS behind the error tells it."""
    cause = error.__cause__
    said = getattr(cause, "response", None)
    aws_code = said.get("Error", {}).get("Code") if isinstance(said, dict) else None
    if aws_code in _NO_INSTALLATION:
        return (
            "not_installed",
            "no Tidegate answers under this name here: check --stack, --region and --profile; "
            "for the embedded cloud: tidegate local up, then --local",
        )
    if type(cause).__name__ in _NO_CONNECTION:
        return (
            "unreachable",
            "check the network, --region and AWS_ENDPOINT_URL; for the embedded cloud: tidegate local up",
        )
    if isinstance(error, TransientError) and error.hint is None:
        return error.code, "AWS did not answer in time: try again"
    return error.code, error.hint
