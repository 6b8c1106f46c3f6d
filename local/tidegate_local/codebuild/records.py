"""A build as BatchGetBuilds shows it (CodeBuild API, Build and BuildPhase). Times are seconds since 1970."""

import copy
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from tidegate_local.codebuild.orders import Order

Json = dict[str, Any]
Status = Literal["SUCCEEDED", "FAILED", "FAULT", "TIMED_OUT", "STOPPED"]
PhaseType = Literal[
    "SUBMITTED",
    "QUEUED",
    "PROVISIONING",
    "DOWNLOAD_SOURCE",
    "INSTALL",
    "PRE_BUILD",
    "BUILD",
    "POST_BUILD",
    "UPLOAD_ARTIFACTS",
    "FINALIZING",
    "COMPLETED",
]


@dataclass(frozen=True, slots=True)
class Context:
    """Why a phase ended as it did, e.g. COMMAND_EXECUTION_ERROR."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What names a build: `<project>:<uuid>`, its ARN, its number in the project, who started it."""

    id: str
    arn: str
    number: int
    initiator: str
    region: str
    account: str

    @property
    def uuid(self) -> str:
        """The part of the id that is the build's own."""
        return self.id.rpartition(":")[2]


class Record:
    """The record of one build. `publish` gets a copy after each change."""

    def __init__(self, identity: Identity, order: Order, publish: Callable[[Json], None]) -> None:
        self._lock = threading.RLock()
        self._publish = publish
        self.identity = identity
        project = order.project
        self._content: Json = {
            "id": identity.id,
            "arn": identity.arn,
            "buildNumber": identity.number,
            "startTime": _now(),
            "currentPhase": "SUBMITTED",
            "buildStatus": "IN_PROGRESS",
            "projectName": order.name,
            "phases": [],
            "source": order.source,
            "secondarySources": [],
            "secondarySourceVersions": [],
            "artifacts": {"location": ""},
            "cache": project.get("cache") or {"type": "NO_CACHE"},
            "environment": project.get("environment") or {},
            "serviceRole": project.get("serviceRole", ""),
            "logs": _logs(identity, "", ""),
            "timeoutInMinutes": order.minutes,
            "queuedTimeoutInMinutes": int(project.get("queuedTimeoutInMinutes") or 480),
            "buildComplete": False,
            "initiator": identity.initiator,
            "encryptionKey": project.get("encryptionKey", ""),
            "exportedEnvironmentVariables": [],
        }
        if order.version:
            self._content["sourceVersion"] = order.version
        self.begin("SUBMITTED")

    def snapshot(self) -> Json:
        """A copy of the record as it is now."""
        with self._lock:
            return copy.deepcopy(self._content)

    def begin(self, phase: PhaseType) -> None:
        """A phase begins."""
        with self._lock:
            self._content["currentPhase"] = phase
            self._content["phases"].append({"phaseType": phase, "startTime": _now()})
            self._published()

    def end(self, status: Status = "SUCCEEDED", *contexts: Context) -> None:
        """The phase that began last ends."""
        with self._lock:
            phase = self._content["phases"][-1]
            moment = _now()
            phase.update(
                phaseStatus=status,
                endTime=moment,
                durationInSeconds=int(moment - phase["startTime"]),
                contexts=[{"statusCode": context.code, "message": context.message} for context in contexts],
            )
            self._published()

    def log_to(self, group: str, stream: str) -> None:
        """Its lines go there from now on."""
        self._set(logs=_logs(self.identity, group, stream))

    def resolve(self, commit: str) -> None:
        """The source is that commit's."""
        self._set(resolvedSourceVersion=commit)

    def export(self, variables: Mapping[str, str]) -> None:
        """What the buildspec exports."""
        self._set(
            exportedEnvironmentVariables=[{"name": name, "value": value} for name, value in variables.items()]
        )

    def complete(self, status: Status) -> None:
        """The build is over."""
        with self._lock:
            self._content["phases"].append({"phaseType": "COMPLETED", "startTime": _now()})
            self._content.update(
                currentPhase="COMPLETED", buildStatus=status, buildComplete=True, endTime=_now()
            )
            self._published()

    def _set(self, **fields: Any) -> None:
        with self._lock:
            self._content.update(fields)
            self._published()

    def _published(self) -> None:
        self._publish(copy.deepcopy(self._content))


def failed_phases(phases: Sequence[Json]) -> list[Json]:
    """Those that did not succeed."""
    return [phase for phase in phases if phase.get("phaseStatus") not in (None, "SUCCEEDED")]


def _logs(identity: Identity, group: str, stream: str) -> Json:
    """Before there is a stream CodeBuild names it null in the link, and leaves the names out."""
    parts = [quote(quote(part or "null", safe=""), safe="").replace("%", "$") for part in (group, stream)]
    console = f"https://console.aws.amazon.com/cloudwatch/home?region={identity.region}"
    arn = f"arn:aws:logs:{identity.region}:{identity.account}:log-group:{group or 'null'}:log-stream:{stream or 'null'}"
    shown: Json = {
        "deepLink": f"{console}#logsV2:log-groups/log-group/{parts[0]}/log-events/{parts[1]}",
        "cloudWatchLogsArn": arn,
        "cloudWatchLogs": {"status": "ENABLED"},
    }
    return {"groupName": group, "streamName": stream, **shown} if group else shown


def _now() -> float:
    return round(time.time(), 3)
