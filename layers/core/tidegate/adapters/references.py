"""What a container's `secrets[].valueFrom` points to: does it exist? No call here can read a value.

Forms (ECS developer guide, "Pass sensitive data to an Amazon ECS container"): a secret's ARN, with an optional
`:json-key:version-stage:version-id`; an SSM parameter's ARN; an SSM parameter's name. A parameter
`/aws/reference/secretsmanager/<name>` is a secret by another name, which DescribeParameters does not know (Systems
Manager user guide, "Referencing AWS Secrets Manager secrets from Parameter Store parameters").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of
from tidegate.domain.consumers import REFERENCE, is_version

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient

NAMES_AT_ONCE = 50  # DescribeParameters: ParameterStringFilter.Values
_MISSING = frozenset({"ResourceNotFoundException"})


class AwsReferences:
    """The clients' functions take a region, since a parameter's ARN may name another one.

    A parameter of another account (one shared with this account) cannot be looked up by name: it is taken to exist.
    """

    def __init__(
        self,
        secrets: Callable[[str | None], SecretsManagerClient],
        parameters: Callable[[str | None], SSMClient],
        account: Callable[[], str],
    ) -> None:
        self._secrets = secrets
        self._parameters = parameters
        self._account = account

    def missing(self, value_froms: Sequence[str]) -> list[str]:
        wanted = dict.fromkeys(value_froms)
        absent: set[str] = set()
        parameters: dict[str | None, dict[str, list[str]]] = {}
        for value in wanted:
            if _is_secret(value):
                if not self._has_secret(value):
                    absent.add(value)
            elif names := self._names(value):
                parameters.setdefault(_region(value), {})[value] = names
        for region, names_of in parameters.items():
            known = self._known(region, {name for names in names_of.values() for name in names})
            absent |= {value for value, names in names_of.items() if known.isdisjoint(names)}
        return [value for value in wanted if value in absent]

    def _has_secret(self, value: str) -> bool:
        """The stage or version that the reference names must exist too; a secret marked as deleted cannot be read."""
        identifier, stage, version = _secret(value)
        with asking("secretsmanager:DescribeSecret"):
            try:
                secret = self._secrets(_region(value)).describe_secret(SecretId=identifier)
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return False
                raise
        if "DeletedDate" in secret:
            return False
        return _has_version(secret.get("VersionIdsToStages", {}), stage, version)

    def _names(self, value: str) -> list[str]:
        """Names a parameter reference may stand for: the ARN of `/a` and that of `a` are the same."""
        if not value.startswith("arn:"):
            return [value]
        parts = value.split(":")
        if parts[4] != self._account():
            return []
        path = parts[5].removeprefix("parameter")
        return [path] if path.count("/") > 1 else [path, path.removeprefix("/")]

    def _known(self, region: str | None, names: Iterable[str]) -> set[str]:
        known: set[str] = set()
        listed = sorted(names)
        for start in range(0, len(listed), NAMES_AT_ONCE):
            question: dict[str, Any] = {
                "ParameterFilters": [
                    {"Key": "Name", "Option": "Equals", "Values": listed[start : start + NAMES_AT_ONCE]}
                ],
                "MaxResults": NAMES_AT_ONCE,
            }
            while True:
                with asking("ssm:DescribeParameters"):
                    answer = self._parameters(region).describe_parameters(**question)
                known |= {parameter["Name"] for parameter in answer["Parameters"]}
                if not answer.get("NextToken"):
                    break
                question["NextToken"] = answer["NextToken"]
        return known


def _is_secret(value: str) -> bool:
    return _referred(value) is not None or (
        value.startswith("arn:") and value.split(":")[2] == "secretsmanager"
    )


def _secret(value: str) -> tuple[str, str, str]:
    """Name or ARN, stage and version."""
    referred = _referred(value)
    if referred is not None:
        name, _, selector = referred.partition(":")
        return (name, "", selector) if is_version(selector) else (name, selector, "")
    parts = value.split(":")
    stage, version = (*parts[8:10], "", "")[:2]
    return ":".join(parts[:7]), stage, version


def _referred(value: str) -> str | None:
    path = value.split(":", 5)[-1].removeprefix("parameter") if value.startswith("arn:") else value
    return path.removeprefix(REFERENCE) if path.startswith(REFERENCE) else None


def _region(value: str) -> str | None:
    return value.split(":")[3] if value.startswith("arn:") else None


def _has_version(stages_of: Mapping[str, Sequence[str]], stage: str, version: str) -> bool:
    if version:
        return version in stages_of and (not stage or stage in stages_of[version])
    return any((stage or "AWSCURRENT") in stages for stages in stages_of.values())
