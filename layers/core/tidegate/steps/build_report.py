"""What a build ended with, and why: the outcome document, the report of an image that failed, the event."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tidegate.domain.build import Build, BuildRun, ImageBuild, ImageStatus
from tidegate.domain.errors import RefusalError
from tidegate.domain.redaction import redacted
from tidegate.ports import Ports

LOG_LINES = 60
_KEPT = 30
# Lines of CodeBuild itself, between those of the commands.
_OWN = "[Container]"
_FAILED = re.compile(r"Command did not exit successfully|State: FAILED")
# What was said before these was another command's.
_BEGINS = ("Running command", "Entering phase")
# How infrastructure/buildspec.yml ends a line that points to the error before it.
_REMARK = "its error is above"


def document(build: Build, images: Iterable[ImageBuild]) -> dict[str, Any]:
    """What the execution ends with: `{"outcome", "build", "commit", "reason", "images", "deployments"}`."""
    return {
        "outcome": None if build.outcome is None else build.outcome.value,
        "build": build.id,
        "commit": build.commit,
        "reason": build.explanation,
        "images": {image.image: {"status": image.status.value, "digest": image.digest} for image in images},
        "deployments": dict(build.deployments),
    }


def explain(error: RefusalError) -> str:
    mend = f" ({error.hint})" if error.hint else ""
    return f"{error.message}{mend}"


def failed_image(ports: Ports, image: ImageBuild, run: BuildRun | None, reason: str) -> ImageBuild:
    """The image with the failing phase and its last log lines."""
    if run is None:
        return replace(image, status=ImageStatus.FAILED, reason=redacted(reason))
    lines: list[str] = []
    if run.log_group and run.log_stream:
        lines = [redacted(line) for line in ports.logs.tail(run.log_group, run.log_stream, LOG_LINES)]
    return replace(
        image,
        status=ImageStatus.FAILED,
        build_id=run.id,
        phase=run.phase,
        reason=_reason(lines, run, reason or run.status),
        logs=tuple(_relevant(lines)),
    )


def failing_line(lines: Sequence[str]) -> str | None:
    """The last thing that the command said that CodeBuild gave up on, but for our buildspec's remark that it failed;
    None where it said nothing."""
    for line in map(str.strip, reversed(_relevant(lines))):
        if line.startswith(_OWN):
            if any(begin in line for begin in _BEGINS):
                return None
        elif line and not line.endswith(_REMARK):
            return line
    return None


def _relevant(lines: Sequence[str]) -> list[str]:
    """Up to where a command failed: CodeBuild repeats it then, however many lines it has, and goes on."""
    end = next((i for i, line in enumerate(lines) if line.startswith(_OWN) and _FAILED.search(line)), None)
    upto = list(lines if end is None else lines[:end])
    return upto[-_KEPT:]


def _reason(lines: Sequence[str], run: BuildRun, reason: str) -> str:
    line = failing_line(lines)
    return redacted(reason) if line is None else f"{run.status} in phase {run.phase or 'unknown'}: {line}"


def announce_failure(ports: Ports, build: Build, images: Sequence[ImageBuild]) -> None:
    """`Build Failed`, in the shape of all events out. At least once: a step that is retried announces again."""
    failed = [image for image in images if image.status is ImageStatus.FAILED]
    ports.bus.emit(
        "Build Failed",
        {
            "system": build.system,
            "environment": None,
            "deployment": None,
            "release": None,
            "build": build.id,
            "commit": build.commit,
            "actor": build.actor,
            "outcome": "Failed",
            "reason": build.explanation,
            "severity": "warning",
            "started_at": build.started_at,
            "finished_at": build.finished_at,
            "services": {},
            "images": {image.image: {"phase": image.phase, "reason": image.reason} for image in failed},
        },
    )
