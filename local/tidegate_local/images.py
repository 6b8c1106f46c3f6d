"""Container images without a container engine: a manifest that ECR keeps, so that a digest is a digest."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PART_BYTES: Final = 10 * 1024 * 1024  # what InitiateLayerUpload asks for


def publish(ecr: "ECRClient", repository: str, tag: str, content: str) -> str:
    """Put an image whose only file, `/release`, holds `content`; returns its digest, `sha256:…`.

    The digest is that of the manifest's bytes and depends on nothing but `content`; publishing the same again
    changes nothing. Raises botocore's ClientError, e.g. where the repository is missing or the tag is taken.
    """
    image = image_of(content)
    digest = image.digest
    for blob in (image.layer, image.config):
        upload(ecr, repository, blob)
    try:
        ecr.put_image(
            repositoryName=repository,
            imageTag=tag,
            imageManifest=image.manifest,
            imageManifestMediaType=MANIFEST,
        )
    except (ecr.exceptions.ImageAlreadyExistsException, ecr.exceptions.ImageTagAlreadyExistsException):
        # The emulator says the second where AWS says the first; only another content is a conflict.
        known = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])["images"]
        if [image["imageId"]["imageDigest"] for image in known] != [digest]:
            raise
    return digest


def upload(ecr: "ECRClient", repository: str, blob: bytes) -> bool:
    """Put a layer or a configuration where an image may name it; whether it was not there yet."""
    digest = digest_of(blob)
    there = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest])["layers"]
    if any(layer.get("layerAvailability") == "AVAILABLE" for layer in there):
        return False
    upload_id = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    for first in range(0, len(blob), PART_BYTES):
        part = blob[first : first + PART_BYTES]
        ecr.upload_layer_part(
            repositoryName=repository,
            uploadId=upload_id,
            partFirstByte=first,
            partLastByte=first + len(part) - 1,
            layerPartBlob=part,
        )
    ecr.complete_layer_upload(repositoryName=repository, uploadId=upload_id, layerDigests=[digest])
    return True


@dataclass(frozen=True, slots=True)
class File:
    """What stands at a path of an image: the content of a file, or the target of a symbolic link."""

    content: bytes = b""
    executable: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A one-layer image for scratch: its manifest, and the two blobs it names."""

    manifest: str
    config: bytes
    layer: bytes

    @property
    def digest(self) -> str:
        """`sha256:…` of the manifest."""
        return digest_of(self.manifest.encode())


def manifest_of(content: str) -> str:
    """The manifest of an image whose only file, `/release`, holds `content`."""
    return image_of(content).manifest


def image_of(
    content: str, labels: Mapping[str, str] | None = None, files: Mapping[str, File] | None = None
) -> Image:
    """An image with `/release` and these files by their paths (no slash before), as the OCI image specification 1.1
    has it; nothing but what is given goes into its digest."""
    tar = _layer({"release": File(content.encode()), **(files or {})})
    layer = gzip.compress(tar, mtime=0)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/release"]} | ({"Labels": dict(labels)} if labels else {}),
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]},
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


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _layer(files: Mapping[str, File]) -> bytes:
    """A tar with no time in it: the same files are the same layer."""
    written = io.BytesIO()
    # USTAR takes no path of more than 255 bytes.
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, file in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.mode = 0o755 if file.executable else 0o644
            if file.link:
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, file.link, 0o777
            entry.size = len(file.content)
            tar.addfile(entry, io.BytesIO(file.content))
    return written.getvalue()


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
