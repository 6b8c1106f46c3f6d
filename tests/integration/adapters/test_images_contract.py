"""Tags and scans of images: in memory and on moto; races and scanners that moto does not have, on the wire."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.ecr import MANIFESTS, EcrImages
from tidegate.domain.errors import OutsideError
from tidegate.ports import Images, Scan

from tests.integration.adapters.cloud import Wire, ok, refused
from tests.support.fakes import FakeImages

Push = Callable[[str], str]
ScanIt = Callable[[str], None]
REPOSITORY = "arive/api"
DIGEST, OTHER = (f"sha256:{digit * 64}" for digit in "12")
FINDINGS = {"HIGH": 1}  # of every image that moto scanned


@pytest.fixture(params=["fake", "moto"])
def images(request: pytest.FixtureRequest) -> tuple[Images, Push, ScanIt]:
    if request.param == "fake":
        fake = FakeImages()
        return (
            fake,
            lambda tag: fake.push(REPOSITORY, "sha256:" + hashlib.sha256(tag.encode()).hexdigest(), tag),
            lambda digest: fake.set_scan(REPOSITORY, digest, Scan("COMPLETE", FINDINGS)),
        )
    client = request.getfixturevalue("moto").client("ecr")
    client.create_repository(repositoryName=REPOSITORY)

    def push(tag: str) -> str:
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFESTS[0], "config": {"digest": tag}})
        answer = client.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag=tag)
        return str(answer["image"]["imageId"]["imageDigest"])

    def scan(digest: str) -> None:
        client.start_image_scan(repositoryName=REPOSITORY, imageId={"imageDigest": digest})

    return EcrImages(lambda: client), push, scan


def test_a_tag_is_put_on_an_image_that_is_there(images: tuple[Images, Push, ScanIt]) -> None:
    port, push, _ = images
    digest = push("tree-1")
    assert port.tag(REPOSITORY, digest, "c1") == digest
    assert port.tag(REPOSITORY, digest, "c1") == digest
    assert port.tag(REPOSITORY, digest, "c2") == digest
    assert [port.digest(REPOSITORY, tag) for tag in ("tree-1", "c1", "c2")] == [digest] * 3


def test_a_tag_of_another_image_is_not_moved(images: tuple[Images, Push, ScanIt]) -> None:
    port, push, _ = images
    first, second = push("c1"), push("tree-2")
    assert port.tag(REPOSITORY, second, "c1") == first
    assert port.digest(REPOSITORY, "c1") == first
    assert port.tag(REPOSITORY, DIGEST, "c1") == first


def test_an_image_that_is_not_there_is_not_tagged(images: tuple[Images, Push, ScanIt]) -> None:
    port, push, _ = images
    push("c1")
    assert port.tag(REPOSITORY, DIGEST, "c2") is None
    assert port.digest(REPOSITORY, "c2") is None
    assert port.tag("missing", DIGEST, "c2") is None


def test_a_scan_counts_findings(images: tuple[Images, Push, ScanIt]) -> None:
    port, push, scan = images
    digest = push("c1")
    assert port.scan(REPOSITORY, digest) is None
    assert port.scan(REPOSITORY, DIGEST) is None
    assert port.scan("missing", digest) is None
    scan(digest)
    found = port.scan(REPOSITORY, digest)
    assert found is not None
    assert (found.status, found.findings, found.complete, found.pending) == (
        "COMPLETE",
        FINDINGS,
        True,
        False,
    )


@pytest.fixture
def client(clients: Clients) -> Any:
    return clients.client("ecr")


def test_any_manifest_is_put_back_as_it_is(client: Any) -> None:
    """A manifest whose text has no mediaType (OCI's may leave it out) needs the type beside it."""
    manifest = '{"schemaVersion": 2,\n "manifests": []}'
    image = {
        "imageManifest": manifest,
        "imageManifestMediaType": MANIFESTS[3],
        "imageId": {"imageDigest": DIGEST},
    }
    wire = Wire(
        client, refused("ImageNotFoundException"), ok({"images": [image], "failures": []}), ok({"image": {}})
    )
    assert EcrImages(lambda: client).tag(REPOSITORY, DIGEST, "c1") == DIGEST
    _, got, put = wire.requests
    assert set(got["acceptedMediaTypes"]) == set(MANIFESTS)
    assert put == {
        "repositoryName": REPOSITORY,
        "imageTag": "c1",
        "imageDigest": DIGEST,
        "imageManifest": manifest,
        "imageManifestMediaType": MANIFESTS[3],
    }


IMAGE = ok({"images": [{"imageManifest": "{}"}], "failures": []})
HAS_OTHER = ok({"imageDetails": [{"imageDigest": OTHER}]})
NONE = refused("ImageNotFoundException")


@pytest.mark.parametrize(
    ("answers", "digest"),
    [
        ([NONE, IMAGE, refused("ImageAlreadyExistsException")], DIGEST),
        ([NONE, IMAGE, refused("ImageTagAlreadyExistsException"), HAS_OTHER], OTHER),
        ([NONE, IMAGE, refused("ImageTagAlreadyExistsException"), NONE], None),
        ([NONE, IMAGE, refused("RepositoryNotFoundException")], None),
        ([NONE, ok({"images": [], "failures": [{"failureCode": "ImageNotFound"}]})], None),
        ([HAS_OTHER], OTHER),
    ],
)
def test_who_comes_second_learns_what_the_tag_names(
    client: Any, answers: list[Any], digest: str | None
) -> None:
    wire = Wire(client, *answers)
    assert EcrImages(lambda: client).tag(REPOSITORY, DIGEST, "c1") == digest
    assert wire.answers == []


@pytest.mark.parametrize(
    "answers",
    [
        [NONE, IMAGE, refused("ImageDigestDoesNotMatchException")],
        [NONE, IMAGE, refused("LayersNotFoundException")],
        [NONE, ok({"images": [], "failures": [{"failureCode": "KmsError", "failureReason": "no key"}]})],
    ],
)
def test_an_image_that_cannot_be_tagged_is_an_error(client: Any, answers: list[Any]) -> None:
    Wire(client, *answers)
    with pytest.raises(OutsideError):
        EcrImages(lambda: client).tag(REPOSITORY, DIGEST, "c1")


@pytest.mark.parametrize(
    ("action", "answers"),
    [
        ("ecr:DescribeImages", []),
        ("ecr:BatchGetImage", [NONE]),
        ("ecr:PutImage", [NONE, IMAGE]),
    ],
)
def test_each_permission_of_a_tag_is_named(client: Any, action: str, answers: list[Any]) -> None:
    Wire(client, *answers, refused("AccessDeniedException"))
    with pytest.raises(OutsideError) as raised:
        EcrImages(lambda: client).tag(REPOSITORY, DIGEST, "c1")
    assert raised.value.hint == f"allow {action} to the role that made this call"


@pytest.mark.parametrize(
    ("answer", "scan"),
    [
        (  # Inspector's ("enhanced"), whose images are watched on
            {
                "imageScanStatus": {
                    "status": "ACTIVE",
                    "description": "Continuous scan is selected for image.",
                },
                "imageScanFindings": {
                    "enhancedFindings": [{"severity": "CRITICAL"}],
                    "findingSeverityCounts": {"CRITICAL": 2, "UNTRIAGED": 1},
                },
                "nextToken": "n",
            },
            Scan("ACTIVE", {"CRITICAL": 2, "UNTRIAGED": 1}, "Continuous scan is selected for image."),
        ),
        ({"imageScanStatus": {"status": "COMPLETE"}, "imageScanFindings": {}}, Scan("COMPLETE")),
        ({"imageScanStatus": {"status": "IN_PROGRESS"}}, Scan("IN_PROGRESS")),
        (
            {"imageScanStatus": {"status": "FAILED", "description": "UnsupportedImageError"}},
            Scan("FAILED", {}, "UnsupportedImageError"),
        ),
        ({}, None),
    ],
)
def test_a_scan_of_either_kind_is_read(client: Any, answer: dict[str, Any], scan: Scan | None) -> None:
    wire = Wire(client, ok(answer))
    assert EcrImages(lambda: client).scan(REPOSITORY, DIGEST) == scan
    (sent,) = wire.requests
    assert sent == {"repositoryName": REPOSITORY, "imageId": {"imageDigest": DIGEST}, "maxResults": 1}


def test_only_an_image_without_a_scan_has_none(client: Any) -> None:
    Wire(client, refused("ScanNotFoundException"), refused("AccessDeniedException"))
    port = EcrImages(lambda: client)
    assert port.scan(REPOSITORY, DIGEST) is None
    with pytest.raises(OutsideError) as raised:
        port.scan(REPOSITORY, DIGEST)
    assert raised.value.hint == "allow ecr:DescribeImageScanFindings to the role that made this call"


@pytest.mark.parametrize(
    ("status", "complete", "pending"),
    [
        ("COMPLETE", True, False),
        ("ACTIVE", True, False),
        ("PENDING", False, True),
        ("IN_PROGRESS", False, True),
        ("FAILED", False, False),
        ("UNSUPPORTED_IMAGE", False, False),
    ],
)
def test_a_scan_has_findings_will_have_them_or_never_will(status: str, complete: bool, pending: bool) -> None:
    scan = Scan(status)
    assert (scan.complete, scan.pending) == (complete, pending)
