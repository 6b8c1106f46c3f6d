"""Layers that were pushed can be downloaded, from an address that wants no credentials."""

import base64
import hashlib
import json
import urllib.request
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tidegate_local import images
from tidegate_local.images import File

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


@pytest.fixture
def repository(cloud: Cloud) -> str:
    name = f"layers/{uuid.uuid4().hex[:8]}"
    cloud.client("ecr").create_repository(repositoryName=name)
    return name


def address(ecr: Any, repository: str, digest: str) -> str:
    answer = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest)
    assert answer["layerDigest"] == digest
    return str(answer["downloadUrl"])


def downloaded(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 -- what the cloud gave us
        content: bytes = answer.read()
    return content


def test_a_layer_that_was_uploaded_is_there(cloud: Cloud, repository: str) -> None:
    ecr, blob = cloud.client("ecr"), b"a layer"
    assert images.upload(ecr, repository, blob) is True
    assert images.upload(ecr, repository, blob) is False
    url = address(ecr, repository, images.digest_of(blob))
    assert url.startswith(f"{cloud.endpoint_url}/v2/{repository}/blobs/sha256:")
    assert downloaded(url) == blob


def test_a_layer_may_come_in_parts(cloud: Cloud, repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "PART_BYTES", 3)
    images.upload(cloud.client("ecr"), repository, b"0123456789")
    digest = images.digest_of(b"0123456789")
    assert downloaded(address(cloud.client("ecr"), repository, digest)) == b"0123456789"


def test_a_layer_of_another_digest_is_refused(cloud: Cloud, repository: str) -> None:
    ecr = cloud.client("ecr")
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=0, layerPartBlob=b"x"
    )
    wanted = f"sha256:{hashlib.sha256(b'y').hexdigest()}"
    with pytest.raises(ecr.exceptions.InvalidLayerException):
        ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[wanted])


@pytest.mark.parametrize(("missing", "code"), [("repository", "Repository"), ("layer", "Layers")])
def test_what_is_not_there_is_an_error(cloud: Cloud, repository: str, missing: str, code: str) -> None:
    name = "nothing" if missing == "repository" else repository
    with pytest.raises(ClientError) as raised:
        address(cloud.client("ecr"), name, f"sha256:{'0' * 64}")
    assert raised.value.response["Error"]["Code"] == f"{code}NotFoundException"


def test_a_published_image_can_be_downloaded_whole(cloud: Cloud, repository: str) -> None:
    ecr = cloud.client("ecr")
    digest = images.publish(ecr, repository, "one", "one")
    (image,) = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])["images"]
    manifest = json.loads(image["imageManifest"])
    for blob in (manifest["config"], *manifest["layers"]):
        content = downloaded(address(ecr, repository, blob["digest"]))
        assert (images.digest_of(content), len(content)) == (blob["digest"], blob["size"])


def test_the_files_of_an_image_go_into_its_digest() -> None:
    one = images.image_of("x", {"a": "b"}, {"m/1.sql": File(b"1")})
    assert one.digest == images.image_of("x", {"a": "b"}, {"m/1.sql": File(b"1")}).digest
    others = (
        images.image_of("x", {"a": "b"}, {"m/1.sql": File(b"2")}),
        images.image_of("x", {"a": "b"}, {"m/1.sql": File(b"1", executable=True)}),
        images.image_of("x", {"a": "c"}, {"m/1.sql": File(b"1")}),
        images.image_of("x", {"a": "b"}),
    )
    assert len({one.digest, *(image.digest for image in others)}) == 5


def test_the_registry_s_own_way_of_pushing_leads_to_the_same_memory(cloud: Cloud, repository: str) -> None:
    """As `docker push` does it, which ECR's API then shows."""
    blob = base64.b64encode(uuid.uuid4().bytes)
    digest = images.digest_of(blob)
    request = urllib.request.Request(  # noqa: S310 -- the cloud's own address
        f"{cloud.endpoint_url}/v2/{repository}/blobs/uploads/?digest={digest}", data=blob, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- as above
        assert answer.status == 201
    assert images.upload(cloud.client("ecr"), repository, blob) is False
    assert downloaded(address(cloud.client("ecr"), repository, digest)) == blob
