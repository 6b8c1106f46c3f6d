"""What a release must pass, one reason for each refusal."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.domain.manifest import Environment
from tidegate.ports import Ports

# ECR API reference, FindingSeverity, worst first.
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL")


def scan_refusal(ports: Ports, settings: Environment, images: Iterable[tuple[str, str, str]]) -> str | None:
    """Why ECR's scans of `images` (key, repository, digest) refuse a release here; None where they do not.

    A scan that is missing, failed or not finished refuses: nobody knows what it would have found.
    """
    if settings.scan is None:
        return None
    counted = SEVERITIES[: SEVERITIES.index(settings.scan.fail_on) + 1]
    for key, repository, digest in images:
        scan = ports.images.scan(repository, digest)
        if scan is None or not scan.complete:
            said = "was not scanned" if scan is None else f"has a scan that is {scan.status}"
            return f"image {key} {said} by ECR, and this environment releases only what was"
        found = {severity: scan.findings[severity] for severity in counted if scan.findings.get(severity)}
        if found:
            told = ", ".join(f"{count} {severity}" for severity, count in found.items())
            return f"image {key}: ECR's scan found {told} (fail_on: {settings.scan.fail_on})"
    return None
