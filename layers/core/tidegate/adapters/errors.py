"""What botocore raises, in the words of `domain.errors`.

Decided by the error's code and HTTP status, never by its text. A code is transient when the service's own page
"Common errors" says to try again, or when the status says so (429, 5xx); time-outs and broken connections are,
because every call here is either idempotent or carries a condition.
"""

from __future__ import annotations

from types import TracebackType

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
)

from tidegate.domain.errors import OutsideError, TidegateError, TransientError

TRANSIENT_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "InternalError",
        "InternalException",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "KmsThrottlingException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServerException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TooManyUpdates",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
DENIED_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "KmsAccessDeniedException",
        "NotAuthorized",
        "UnauthorizedOperation",
    }
)
EXPIRED_CODES = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
)


class asking:  # noqa: N801 - read as a verb: `with asking("ecs:UpdateService"):`
    """Turns what botocore raises inside the block into TransientError or OutsideError.

    `action` is the IAM action that the call needs, so that a denied one can be named.
    """

    def __init__(self, action: str) -> None:
        self.action = action

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ClientError):
            raise _refused(self.action, error) from error
        if isinstance(error, BotoCoreError):
            raise _unanswered(self.action, error) from error


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def retried(error: ClientError) -> bool:
    """Whether the SDK had sent the call more than once when it got this answer."""
    return error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0


def _refused(action: str, error: ClientError) -> TidegateError:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{action}: {code}: {error.response.get('Error', {}).get('Message', '')}"
    if code in TRANSIENT_CODES or status == 429 or status >= 500:
        return TransientError(said)
    if code in DENIED_CODES:
        return OutsideError(said, hint=f"allow {action} to the role that made this call")
    if code in EXPIRED_CODES:
        return OutsideError(said, hint="the credentials are not valid (any more): sign in again")
    return OutsideError(said)


def _unanswered(action: str, error: BotoCoreError) -> TidegateError:
    # The text of these may quote parameters (a container's environment, say), so only the kind is passed on.
    said = f"{action}: {type(error).__name__}"
    if isinstance(error, HTTPClientError | ConnectionError | IncompleteReadError):
        return TransientError(said)
    if isinstance(error, NoCredentialsError):
        return OutsideError(said, hint="no AWS credentials were found: sign in, or name a profile")
    return OutsideError(said)
