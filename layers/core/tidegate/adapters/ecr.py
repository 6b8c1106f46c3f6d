"""Amazon ECR."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, NotRequired, TypedDict

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of
from tidegate.domain.errors import OutsideError
from tidegate.ports import ImageFolder, Scan

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef

    from tidegate.adapters.image_layers import Readable

_MISSING = frozenset({"RepositoryNotFoundException", "ImageNotFoundException"})
# BatchGetImage gives a manifest as it was pushed only where its type is accepted; the API reference names the first
# two, Docker's own clients send all four.
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)


class _Manifest(TypedDict):
    imageManifest: str
    imageManifestMediaType: NotRequired[str]


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

    def tag(self, repository: str, digest: str, tag: str) -> str | None:
        """As ECR's user guide has it ("Retagging an image"): PutImage of the manifest that is there."""
        named = self.digest(repository, tag)
        if named is not None:
            return named
        image = self._manifest(repository, digest)
        if image is None:
            return None
        with asking("ecr:PutImage"):
            try:
                self._client().put_image(repositoryName=repository, imageTag=tag, imageDigest=digest, **image)
            except ClientError as error:
                code = code_of(error)
                if code in _MISSING:
                    return None
                if code == "ImageTagAlreadyExistsException":  # somebody was faster, and the tag may not move
                    return self.digest(repository, tag)
                if code != "ImageAlreadyExistsException":
                    raise
        return digest

    def scan(self, repository: str, digest: str) -> Scan | None:
        """The counts are of the whole image, whatever page of findings they come with; they are all that is asked."""
        with asking("ecr:DescribeImageScanFindings"):
            try:
                answer = self._client().describe_image_scan_findings(
                    repositoryName=repository, imageId={"imageDigest": digest}, maxResults=1
                )
            except ClientError as error:
                if code_of(error) in _MISSING | {"ScanNotFoundException"}:
                    return None
                raise
        status = answer.get("imageScanStatus", {})
        if not status.get("status"):
            return None
        counts = answer.get("imageScanFindings", {}).get("findingSeverityCounts", {})
        return Scan(
            status["status"],
            {str(name): count for name, count in counts.items()},
            status.get("description", ""),
        )

    def folder(self, repository: str, digest: str, directory: str, suffix: str) -> ImageFolder | None:
        """Of an index, those of its first image for Linux: they are taken to be the same on every processor."""
        from tidegate.adapters import image_layers  # noqa: PLC0415 - only who reads an image pays for it

        image = self._manifest(repository, digest)
        if image is None:
            return None
        document = image_layers.parse(image["imageManifest"], digest)
        variant = image_layers.chosen(document)
        if variant is not None:
            image = self._manifest(repository, variant)
            if image is None:
                raise OutsideError(f"{repository} lacks {variant}, which the index {digest} names")
            document = image_layers.parse(image["imageManifest"], variant)
        manifest = image_layers.manifest(document)

        def open_blob(blob: str) -> AbstractContextManager[Readable]:
            return self._blob(repository, blob)

        labels = image_layers.labels(manifest.config, open_blob)
        return ImageFolder(image_layers.files(manifest.layers, directory, suffix, open_blob), labels)

    @contextmanager
    def _blob(self, repository: str, digest: str) -> Iterator[Readable]:
        from tidegate.adapters.layer_download import downloaded  # noqa: PLC0415 - as above

        with asking("ecr:GetDownloadUrlForLayer"):
            answer = self._client().get_download_url_for_layer(repositoryName=repository, layerDigest=digest)
        with downloaded(answer["downloadUrl"], f"downloading {digest} of {repository}") as body:
            yield body

    def _manifest(self, repository: str, digest: str) -> _Manifest | None:
        action = "ecr:BatchGetImage"
        with asking(action):
            try:
                answer = self._client().batch_get_image(
                    repositoryName=repository,
                    imageIds=[{"imageDigest": digest}],
                    acceptedMediaTypes=list(MANIFESTS),
                )
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return None
                raise
        for image in answer["images"]:
            found: _Manifest = {"imageManifest": image["imageManifest"]}
            if image.get("imageManifestMediaType"):
                found["imageManifestMediaType"] = image["imageManifestMediaType"]
            return found
        for failure in answer["failures"]:
            if failure["failureCode"] != "ImageNotFound":
                reason = failure.get("failureReason", "")
                raise OutsideError(f"{action}: {failure['failureCode']}: {reason}")
        return None

    def _found(self, repository: str, image: ImageIdentifierTypeDef) -> str | None:
        with asking("ecr:DescribeImages"):
            try:
                answer = self._client().describe_images(repositoryName=repository, imageIds=[image])
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return None
                raise
        return answer["imageDetails"][0]["imageDigest"] if answer["imageDetails"] else None
