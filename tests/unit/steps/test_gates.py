"""What ECR's scan found against what an environment lets through: closed where nobody knows."""

from __future__ import annotations

import pytest
from tidegate.domain.manifest import parse_manifest
from tidegate.ports import Scan
from tidegate.steps.gates import scan_refusal

from tests.support.fakes import World
from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, digest, manifest


def _refusal(scan: Scan | None, fail_on: str | None = "HIGH") -> str | None:
    world = World()
    world.images.push(REPOSITORY, digest(1))
    if scan is not None:
        world.images.set_scan(REPOSITORY, digest(1), scan)
    settings = {"region": "eu-west-1", "cluster": "c"} | ({"scan": {"fail_on": fail_on}} if fail_on else {})
    view = parse_manifest(manifest(environments={ENVIRONMENT: settings})).environments[ENVIRONMENT]
    return scan_refusal(world.ports, view, [("app", REPOSITORY, digest(1))])


@pytest.mark.parametrize("status", ["COMPLETE", "ACTIVE"])
@pytest.mark.parametrize(
    ("findings", "fail_on", "refused"),
    [
        ({}, "INFORMATIONAL", False),
        ({"CRITICAL": 1}, "CRITICAL", True),
        ({"HIGH": 9}, "CRITICAL", False),
        ({"CRITICAL": 1}, "HIGH", True),
        ({"HIGH": 0}, "HIGH", False),
        ({"MEDIUM": 1}, "LOW", True),
        ({"INFORMATIONAL": 1}, "LOW", False),
        ({"INFORMATIONAL": 1}, "INFORMATIONAL", True),
        ({"UNDEFINED": 5}, "INFORMATIONAL", False),
    ],
)
def test_findings_at_or_above_the_severity(
    status: str, findings: dict[str, int], fail_on: str, refused: bool
) -> None:
    assert (_refusal(Scan(status, findings), fail_on) is not None) == refused


def test_the_refusal_counts_the_worst_first_and_names_the_limit() -> None:
    said = _refusal(Scan("COMPLETE", {"LOW": 4, "HIGH": 2, "CRITICAL": 1}))
    assert said == "image app: ECR's scan found 1 CRITICAL, 2 HIGH (fail_on: HIGH)"


@pytest.mark.parametrize(
    "status",
    [
        "PENDING",
        "IN_PROGRESS",
        "FAILED",
        "UNSUPPORTED_IMAGE",
        "LIMIT_EXCEEDED",
        "SCAN_ELIGIBILITY_EXPIRED",
        "NEW",
    ],
)
def test_a_scan_without_a_result_refuses(status: str) -> None:
    assert status in str(_refusal(Scan(status)))


def test_no_scan_refuses() -> None:
    assert "was not scanned" in str(_refusal(None))


def test_an_environment_that_asks_for_none_does_not_look() -> None:
    assert _refusal(Scan("COMPLETE", {"CRITICAL": 1}), None) is None
