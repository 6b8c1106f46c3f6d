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
    code, message, hint = _explained(error)
    return make_failure(_exit_code(error), code, message, field=error.field, hint=hint)


def _exit_code(error: TidegateError) -> int:
    if isinstance(error, BadInputError | BadManifestError | NotFoundError):
        return BAD_USAGE
    return REFUSED if isinstance(error, RefusalError) else UNEXPECTED


def _explained(error: TidegateError) -> tuple[str, str, str | None]:
    """Code, message and hint; where the domain cannot know the mend, the answer of AWS behind the error tells it."""
    cause = error.__cause__
    kind = type(cause).__name__
    if kind == "NoCredentialsError":
        return "no_credentials", f"no AWS credentials were found ({error.message})", error.hint
    if kind in _NO_CONNECTION:
        return (
            "unreachable",
            error.message,
            "check the network, --region and AWS_ENDPOINT_URL; for the embedded cloud: tidegate local up",
        )
    said = getattr(cause, "response", None)
    aws_code = said.get("Error", {}).get("Code") if isinstance(said, dict) else None
    if aws_code in _NO_INSTALLATION:
        return (
            "not_installed",
            f"Tidegate is not installed under this name here ({error.message})",
            "check --stack, --region and --profile; for the embedded cloud: tidegate local up, then --local",
        )
    hint = error.hint
    if isinstance(error, TransientError) and hint is None:
        hint = "AWS did not answer in time: try again"
    return error.code if aws_code is None else _by_aws_code(str(aws_code), error.code), error.message, hint


def _by_aws_code(aws_code: str, otherwise: str) -> str:
    # Whoever has an answer of AWS has loaded botocore, which this import needs.
    from tidegate.adapters.errors import DENIED_CODES, EXPIRED_CODES  # noqa: PLC0415

    if aws_code in DENIED_CODES:
        return "access_denied"
    return "expired_credentials" if aws_code in EXPIRED_CODES else otherwise
