"""Amazon ECR."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef

_MISSING = frozenset({"RepositoryNotFoundException", "ImageNotFoundException"})


class EcrImages:
    def __init__(self, client: Callable[[], ECRClient]) -> None:
        self._client = client

    def uri(self, repository: str) -> str | None:
        with asking("ecr:DescribeRepositories"):
            try:
                answer = self._client().describe_repositories(repositoryNames=[repository])
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return None
                raise
        return answer["repositories"][0]["repositoryUri"]

    def digest(self, repository: str, tag: str) -> str | None:
        return self._found(repository, {"imageTag": tag})

    def exists(self, repository: str, digest: str) -> bool:
        return self._found(repository, {"imageDigest": digest}) is not None

    def _found(self, repository: str, image: ImageIdentifierTypeDef) -> str | None:
        with asking("ecr:DescribeImages"):
            try:
                answer = self._client().describe_images(repositoryName=repository, imageIds=[image])
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return None
                raise
        return answer["imageDetails"][0]["imageDigest"] if answer["imageDetails"] else None
