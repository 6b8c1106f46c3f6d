"""AWS Secrets Manager: versions of a secret and their staging labels.

A version is written once, and labels are moved only from where they were seen: what two rotations do at the same time
is told by the service itself (API reference, "UpdateSecretVersionStage": RemoveFromVersionId).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of
from tidegate.adapters.moments import iso
from tidegate.domain.errors import BadInputError, ConflictError, NotFoundError, TransientError
from tidegate.domain.rotation import CURRENT, PENDING
from tidegate.ports import MovedError, SecretState, SecretValue

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import GetSecretValueResponseTypeDef

_MISSING: Final = "ResourceNotFoundException"
# Of one that is being deleted.
_GONE: Final = frozenset({_MISSING, "InvalidRequestException"})


class SecretsManagerSecrets:
    """`Secrets` of the ports. `client` gives that of a region, None being the function's own."""

    def __init__(self, client: Callable[[str | None], SecretsManagerClient]) -> None:
        self._client = client

    def describe(self, secret: str) -> SecretState | None:
        with asking("secretsmanager:DescribeSecret"):
            try:
                found = self._of(secret).describe_secret(SecretId=secret)
            except ClientError as error:
                if code_of(error) == _MISSING:
                    return None
                raise
        if "DeletedDate" in found:
            return None
        return SecretState(
            arn=found["ARN"],
            name=found["Name"],
            stages={
                version: frozenset(stages)
                for version, stages in found.get("VersionIdsToStages", {}).items()
                if stages
            },
            created_at=iso(found["CreatedDate"]) if "CreatedDate" in found else "",
            changed_at=iso(found["LastChangedDate"]) if "LastChangedDate" in found else "",
        )

    def current(self, secret: str) -> SecretValue:
        with asking("secretsmanager:GetSecretValue"):
            try:
                found = self._of(secret).get_secret_value(SecretId=secret, VersionStage=CURRENT)
            except ClientError as error:
                if code_of(error) not in _GONE or (
                    code_of(error) != _MISSING and self.describe(secret) is not None
                ):
                    raise
                raise NotFoundError(
                    f"there is no secret {secret}, or it has no value", field="secret"
                ) from None
        return _value(found)

    def version(self, secret: str, version: str) -> SecretValue | None:
        with asking("secretsmanager:GetSecretValue"):
            try:
                found = self._of(secret).get_secret_value(SecretId=secret, VersionId=version)
            except ClientError as error:
                if code_of(error) not in _GONE:
                    raise
                state = self.describe(secret)
                if state is None:
                    return None
                if code_of(error) != _MISSING:
                    raise
                if version in state.stages:
                    # Secrets Manager is eventually consistent: one that was just written may be invisible for a moment.
                    raise TransientError(
                        f"version {version} of {secret} has a label, and no value yet"
                    ) from None
                return None
        return _value(found)

    def put_pending(self, secret: str, version: str, text: str) -> None:
        with asking("secretsmanager:PutSecretValue"):
            try:
                self._of(secret).put_secret_value(
                    SecretId=secret, ClientRequestToken=version, SecretString=text, VersionStages=[PENDING]
                )
            except ClientError as error:
                if code_of(error) != "ResourceExistsException":
                    raise
                raise ConflictError(f"version {version} of {secret} exists with another value") from None

    def move_current(self, secret: str, *, to: str, from_: str) -> None:
        with asking("secretsmanager:UpdateSecretVersionStage"):
            try:
                self._of(secret).update_secret_version_stage(
                    SecretId=secret, VersionStage=CURRENT, MoveToVersionId=to, RemoveFromVersionId=from_
                )
            except ClientError as error:
                if code_of(error) not in {"InvalidParameterException", _MISSING}:
                    raise
                # Also the second answer to a call that the SDK sent twice.
                state = self.describe(secret)
                at = None if state is None else state.version_with(CURRENT)
                if state is not None and at == from_:
                    raise
                if at != to:
                    raise MovedError(f"{CURRENT} of {secret} is not at version {from_} any more") from None
        self.drop_pending(secret, to)

    def drop_pending(self, secret: str, version: str) -> None:
        # Asked first: taking a label from a version that has none is refused, and by its name alone it could be taken
        # from another rotation's version (aws-secrets-manager-rotation-lambdas, issue 168).
        if not self._pending(secret, version):
            return
        with asking("secretsmanager:UpdateSecretVersionStage"):
            try:
                self._of(secret).update_secret_version_stage(
                    SecretId=secret, VersionStage=PENDING, RemoveFromVersionId=version
                )
            except ClientError as error:
                if code_of(error) != "InvalidParameterException" or self._pending(secret, version):
                    raise

    def password(self, length: int = 40) -> str:
        with asking("secretsmanager:GetRandomPassword"):
            answer = self._client(None).get_random_password(
                PasswordLength=length, ExcludePunctuation=True, RequireEachIncludedType=True
            )
        return answer["RandomPassword"]

    def _pending(self, secret: str, version: str) -> bool:
        state = self.describe(secret)
        return state is not None and PENDING in state.stages.get(version, ())

    def _of(self, secret: str) -> SecretsManagerClient:
        return self._client(region_of(secret))


def region_of(secret: str) -> str | None:
    """The region in an ARN; None for a name, which is of the caller's own."""
    return secret.split(":")[3] if secret.startswith("arn:") and secret.count(":") > 4 else None


def _value(found: GetSecretValueResponseTypeDef) -> SecretValue:
    if "SecretString" not in found:
        raise BadInputError("the secret's value is binary, and has to be a text", field="secret")
    return SecretValue(
        text=found["SecretString"],
        version=found["VersionId"],
        stages=frozenset(found.get("VersionStages", ())),
        created_at=iso(found["CreatedDate"]),
    )
