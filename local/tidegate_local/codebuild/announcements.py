"""The events CodeBuild sends about a build.

Shape from the CodeBuild user guide, "Build notifications input format reference", with the fields that AWS's event
schema (aws.codebuild, CodeBuildBuildStateChange) and published events have beside that page's sample: cache,
source-version, build-number, queued-timeout-in-minutes, image-pull-credentials-type, exported-environment-variables.
"""

from datetime import UTC, datetime
from typing import Any

from tidegate_local.events import Event, service_event

Json = dict[str, Any]


def state_change(build: Json) -> Event:
    """`CodeBuild Build State Change` for a build as BatchGetBuilds shows it."""
    detail = {
        "build-status": build["buildStatus"],
        "project-name": build["projectName"],
        "build-id": build["arn"],
        "additional-information": _information(build),
        "current-phase": build["currentPhase"],
        "current-phase-context": "[]",
        "version": "1",
    }
    return service_event("aws.codebuild", "CodeBuild Build State Change", detail, [build["arn"]])


def _information(build: Json) -> Json:
    environment, logs = build["environment"], build["logs"]
    shown: Json = {
        "cache": {"type": build["cache"].get("type", "NO_CACHE")},
        "build-number": build["buildNumber"],
        "timeout-in-minutes": build["timeoutInMinutes"],
        "build-complete": build["buildComplete"],
        "initiator": build["initiator"],
        "build-start-time": _moment(build["startTime"]),
        "source": {name: value for name, value in build["source"].items() if name in ("type", "location")},
        "artifact": {"md5sum": "", "sha256sum": "", "location": build["artifacts"]["location"]},
        "environment": {
            "image": environment.get("image", ""),
            "privileged-mode": bool(environment.get("privilegedMode")),
            "image-pull-credentials-type": environment.get("imagePullCredentialsType", "CODEBUILD"),
            "compute-type": environment.get("computeType", ""),
            "type": environment.get("type", ""),
            "environment-variables": [
                {"name": variable["name"], "type": variable["type"], "value": variable.get("value", "")}
                for variable in environment.get("environmentVariables", [])
            ],
        },
        "logs": {
            **(
                {"group-name": logs["groupName"], "stream-name": logs["streamName"]}
                if "groupName" in logs
                else {}
            ),
            "deep-link": logs["deepLink"],
        },
        "phases": [_phase(phase) for phase in build["phases"]],
        "queued-timeout-in-minutes": build["queuedTimeoutInMinutes"],
    }
    exported = build["exportedEnvironmentVariables"]
    if exported:
        shown["exported-environment-variables"] = exported
    if "sourceVersion" in build:
        shown["source-version"] = build["sourceVersion"]
    return shown


def _phase(phase: Json) -> Json:
    shown: Json = {"start-time": _moment(phase["startTime"]), "phase-type": phase["phaseType"]}
    if "endTime" in phase:
        shown |= {
            "phase-context": [f"{one['statusCode']}: {one['message']}" for one in phase["contexts"]],
            "end-time": _moment(phase["endTime"]),
            "duration-in-seconds": phase["durationInSeconds"],
            "phase-status": phase["phaseStatus"],
        }
    return shown


def _moment(seconds: float) -> str:
    """E.g. `Sep 1, 2017 4:12:29 PM`, in UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%b} {moment.day}, {moment.year} {moment.hour % 12 or 12}:{moment:%M:%S %p}"
