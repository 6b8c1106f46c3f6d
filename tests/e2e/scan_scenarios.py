"""What waits for ECR's scan of an image, where an environment asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from tidegate.domain.build import BuildOutcome
from tidegate.domain.ids import content_hash
from tidegate.domain.outcome import Outcome
from tidegate.steps.resuming import awaited_scan
from tidegate_local import sample

from tests.e2e import build_scenarios, scenarios
from tests.e2e.scenarios import scenario, sweep
from tests.e2e.support import SampleCloud
from tests.e2e.waiting_machine import Waiter, waiter


@scenario
def a_scan_is_asked_for(cloud: SampleCloud) -> None:
    """It ended before anybody waited for it: who would wait answers itself."""
    with build_scenarios.at_work(cloud) as developer, _scanned(cloud):
        build, deployment = build_scenarios.pushed_and_released(developer)
        assert (build.outcome, deployment.outcome) == (BuildOutcome.BUILT, Outcome.SUCCEEDED)
        digest = developer.images(build)["app"].digest or ""
        assert not cloud.ledger.waiting_for(awaited_scan(sample.REPOSITORY, digest)), "the token is forgotten"


@scenario
def a_scan_that_ends_is_heard(cloud: SampleCloud) -> None:
    with waiter(cloud) as waiting:
        digest = _awaited(cloud, waiting)
        detail = {"scan-status": "COMPLETE", "repository-name": sample.REPOSITORY, "image-digest": digest}
        cloud.control.put_events([{"source": "aws.ecr", "detail-type": "ECR Image Scan", "detail": detail}])
        assert waiting.answer(scenarios.PATIENCE) == {"outcome": "Scanned"}


@scenario
def a_scan_that_nobody_told_of_is_swept(cloud: SampleCloud) -> None:
    with waiter(cloud) as waiting:
        _awaited(cloud, waiting)
        sweep(cloud)
        assert waiting.answer(scenarios.PATIENCE) == {"outcome": "Scanned"}


def _awaited(cloud: SampleCloud, waiting: Waiter) -> str:
    """The digest of a scanned image for whose scan somebody waits."""
    ecr, image = cloud.client("ecr"), cloud.push("scanned")
    ecr.start_image_scan(repositoryName=sample.REPOSITORY, imageId={"imageDigest": image.digest})
    awaited = {"repository": sample.REPOSITORY, "digest": image.digest}
    content = {"token": waiting.token, "build": content_hash([image.digest])[:12], "images": [awaited]}
    cloud.ledger.keep_token(awaited_scan(sample.REPOSITORY, image.digest), waiting.execution, content)
    return image.digest


@contextmanager
def _scanned(cloud: SampleCloud) -> Iterator[None]:
    """The environment releases only what ECR has scanned, and ECR scans what is pushed."""
    registry = cloud.ports.registry
    manifest = cast("dict[str, Any]", registry.manifest(sample.SYSTEM, sample.ENVIRONMENT))
    strict = json.loads(json.dumps(manifest))
    strict["environments"][sample.ENVIRONMENT]["scan"] = {"fail_on": "CRITICAL"}
    _scan_on_push(cloud, on=True)
    registry.put_manifest(sample.SYSTEM, sample.ENVIRONMENT, strict)
    try:
        yield
    finally:
        registry.put_manifest(sample.SYSTEM, sample.ENVIRONMENT, manifest)
        _scan_on_push(cloud, on=False)


def _scan_on_push(cloud: SampleCloud, *, on: bool) -> None:
    cloud.client("ecr").put_image_scanning_configuration(
        repositoryName=sample.REPOSITORY, imageScanningConfiguration={"scanOnPush": on}
    )
