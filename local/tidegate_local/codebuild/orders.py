"""What a build is asked to do: its project, with what StartBuild says otherwise."""

import copy
import json
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

TYPES = ("PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER")
_SHORTEST, _LONGEST = 5, 2160  # minutes; CodeBuild API, StartBuild

# Request field -> where it goes in a copy of the project (CodeBuild API, StartBuild).
_OVERRIDES = {
    "sourceTypeOverride": ("source", "type"),
    "sourceLocationOverride": ("source", "location"),
    "sourceAuthOverride": ("source", "auth"),
    "gitCloneDepthOverride": ("source", "gitCloneDepth"),
    "buildspecOverride": ("source", "buildspec"),
    "environmentTypeOverride": ("environment", "type"),
    "imageOverride": ("environment", "image"),
    "computeTypeOverride": ("environment", "computeType"),
    "privilegedModeOverride": ("environment", "privilegedMode"),
    "imagePullCredentialsTypeOverride": ("environment", "imagePullCredentialsType"),
    "serviceRoleOverride": ("serviceRole",),
    "timeoutInMinutesOverride": ("timeoutInMinutes",),
    "queuedTimeoutInMinutesOverride": ("queuedTimeoutInMinutes",),
    "encryptionKeyOverride": ("encryptionKey",),
    "cacheOverride": ("cache",),
    "logsConfigOverride": ("logsConfig",),
    "sourceVersion": ("sourceVersion",),
}


class OrderError(ValueError):
    """StartBuild refuses it as InvalidInputException."""


@dataclass(frozen=True, slots=True)
class Order:
    """A project as BatchGetProjects shows it, with the overrides in it; nobody else's object."""

    project: Json

    @property
    def name(self) -> str:
        """The project's name."""
        return str(self.project["name"])

    @property
    def source(self) -> Json:
        """`type`, `location`, `buildspec`, `gitCloneDepth`, as far as given."""
        return self.project.get("source") or {"type": "NO_SOURCE"}

    @property
    def version(self) -> str:
        """Commit, branch, tag or full reference; empty for the default branch."""
        return str(self.project.get("sourceVersion") or "")

    @property
    def variables(self) -> list[Json]:
        """`{"name", "value", "type"}`, each name once."""
        return list((self.project.get("environment") or {}).get("environmentVariables") or [])

    @property
    def minutes(self) -> int:
        """How long the build may take."""
        return int(self.project.get("timeoutInMinutes") or 60)

    @property
    def logs(self) -> Json:
        """`status`, `groupName`, `streamName` of CloudWatch Logs, as far as given."""
        return (self.project.get("logsConfig") or {}).get("cloudWatchLogs") or {}


def order(project: Json, request: Json) -> Order:
    """Raises `OrderError`."""
    wanted = copy.deepcopy(project)
    for name, (*folders, field) in _OVERRIDES.items():
        if request.get(name) is not None:
            place = wanted
            for folder in folders:
                place = place.setdefault(folder, {})
            place[field] = copy.deepcopy(request[name])
    environment = wanted.setdefault("environment", {})
    given = [
        *(environment.get("environmentVariables") or []),
        *(request.get("environmentVariablesOverride") or []),
    ]
    by_name = {variable.get("name", ""): {"type": "PLAINTEXT", **variable} for variable in given}
    environment["environmentVariables"] = list(by_name.values())
    result = Order(wanted)
    _check(result, request)
    return result


def fingerprint(request: Json) -> str:
    """Equal for requests that ask for the same."""
    return json.dumps({**request, "idempotencyToken": None}, sort_keys=True)


def _check(wanted: Order, request: Json) -> None:
    for variable in wanted.variables:
        if not variable.get("name"):
            raise OrderError("an environment variable has no name")
        if variable["type"] not in TYPES:
            raise OrderError(f"environment variable {variable['name']}: type is one of {', '.join(TYPES)}")
    minutes = request.get("timeoutInMinutesOverride")
    if minutes is not None and not _SHORTEST <= int(minutes) <= _LONGEST:
        raise OrderError(f"timeoutInMinutesOverride is {_SHORTEST} to {_LONGEST}")
    if wanted.source.get("type") == "NO_SOURCE" and not wanted.source.get("buildspec"):
        raise OrderError("a project with source type NO_SOURCE needs a buildspec")
