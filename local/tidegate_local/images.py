"""Container images without a container engine: a manifest that ECR keeps, so that a digest is a digest."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def publish(ecr: "ECRClient", repository: str, tag: str, content: str) -> str:
    """Put an image whose only file, `/release`, holds `content`; returns its digest, `sha256:…`.

    The digest is that of the manifest's bytes and depends on nothing but `content`; publishing the same again
    changes nothing. Raises botocore's ClientError, e.g. where the repository is missing or the tag is taken.
    """
    manifest = manifest_of(content)
    digest = _digest(manifest.encode())
    try:
        ecr.put_image(
            repositoryName=repository, imageTag=tag, imageManifest=manifest, imageManifestMediaType=MANIFEST
        )
    except (ecr.exceptions.ImageAlreadyExistsException, ecr.exceptions.ImageTagAlreadyExistsException):
        # The emulator says the second where AWS says the first; only another content is a conflict.
        known = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])["images"]
        if [image["imageId"]["imageDigest"] for image in known] != [digest]:
            raise
    return digest


@dataclass(frozen=True, slots=True)
class Image:
    """A one-layer image for scratch: its manifest, and the two blobs it names."""

    manifest: str
    config: bytes
    layer: bytes

    @property
    def digest(self) -> str:
        """`sha256:…` of the manifest."""
        return _digest(self.manifest.encode())


def manifest_of(content: str) -> str:
    """The manifest of an image whose only file, `/release`, holds `content`."""
    return image_of(content).manifest


def image_of(content: str, labels: Mapping[str, str] | None = None) -> Image:
    """That image, as the OCI image specification 1.1 has it; nothing but what is given goes into its digest."""
    tar = _layer(content)
    layer = gzip.compress(tar, mtime=0)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/release"]} | ({"Labels": dict(labels)} if labels else {}),
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
        }
    ).encode()
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, config),
            "layers": [_descriptor(LAYER, layer)],
        }
    )
    return Image(manifest, config, layer)


def _layer(content: str) -> bytes:
    """A tar with one file and no time in it: the same content is the same layer."""
    data = content.encode()
    entry = tarfile.TarInfo("release")
    entry.size = len(data)
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(data))
    return written.getvalue()


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
