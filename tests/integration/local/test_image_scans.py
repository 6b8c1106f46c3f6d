"""Scans of images, as an environment with `scan` in its manifest asks for them."""

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tidegate_local.images import publish

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


@pytest.fixture
def repository(cloud: Cloud) -> str:
    name = f"scanned-{uuid.uuid4().hex[:8]}"
    cloud.client("ecr").create_repository(repositoryName=name)
    return name


def findings(ecr: Any, repository: str, digest: str) -> Any:
    return ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageDigest": digest})


def test_an_image_is_scanned_when_somebody_asks(cloud: Cloud, repository: str) -> None:
    ecr = cloud.client("ecr")
    digest = publish(ecr, repository, "one", "one")
    with pytest.raises(ecr.exceptions.ScanNotFoundException):
        findings(ecr, repository, digest)
    ecr.start_image_scan(repositoryName=repository, imageId={"imageDigest": digest})
    found = findings(ecr, repository, digest)
    assert found["imageScanStatus"]["status"] == "COMPLETE"
    assert found["imageScanFindings"]["findingSeverityCounts"] == {}


def test_an_image_is_scanned_when_it_is_pushed_where_its_repository_says_so(
    cloud: Cloud, repository: str
) -> None:
    ecr = cloud.client("ecr")
    ecr.put_image_scanning_configuration(
        repositoryName=repository, imageScanningConfiguration={"scanOnPush": True}
    )
    digest = publish(ecr, repository, "one", "one")
    assert findings(ecr, repository, digest)["imageId"]["imageDigest"] == digest


@pytest.mark.parametrize("missing", ["repository", "image"])
def test_what_is_not_there_is_an_error(cloud: Cloud, repository: str, missing: str) -> None:
    ecr = cloud.client("ecr")
    with pytest.raises(ClientError) as raised:
        findings(ecr, repository if missing == "image" else "nothing", f"sha256:{'0' * 64}")
    assert raised.value.response["Error"]["Code"] == f"{missing.title()}NotFoundException"
