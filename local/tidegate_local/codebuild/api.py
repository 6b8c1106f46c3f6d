"""StartBuild, StopBuild and their like, in the place of MiniStack's.

MiniStack: a build is SUCCEEDED in the answer to StartBuild, whatever its buildspec says, or runs in AWS's agent image,
which no machine of ours has; no event is sent, StartBuild's overrides and idempotency token are ignored.
"""

import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import error_response_json, json_response, new_uuid, request_scope
from ministack.services import codebuild

from tidegate_local.codebuild import identity, projects
from tidegate_local.codebuild.announcements import state_change
from tidegate_local.codebuild.orders import OrderError, fingerprint, order
from tidegate_local.codebuild.records import Identity, Record
from tidegate_local.codebuild.run import Run
from tidegate_local.codebuild.toolbox import Tools
from tidegate_local.codecommit.repositories import Repositories
from tidegate_local.events import Event
from tidegate_local.seam import expect_attributes, graft
from tidegate_local.settings import Settings

TOKEN_SECONDS = 300.0  # CodeBuild API, StartBuild, idempotencyToken
STOP_SECONDS = 5.0

Json = dict[str, Any]


class Builds:
    """All builds of this process."""

    def __init__(
        self, settings: Settings, repositories: Repositories, announce: Callable[[Event], str]
    ) -> None:
        self._settings, self._repositories, self._announce = settings, repositories, announce
        self._tools = Tools(settings)
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._tokens: dict[str, tuple[float, str, str]] = {}
        # What a process that was killed left behind.
        shutil.rmtree(settings.state_dir / "builds", ignore_errors=True)

    def install(self) -> None:
        """Raises `MendDoesNotFitError`."""
        identity.check_fit()
        projects.install()
        expect_attributes(codebuild, "_projects", "_builds", "_build_arn", "_build_id")
        graft(codebuild, "_start_build", self._start, signature="(data)", shows="if EXECUTE_BUILDS:")
        graft(
            codebuild, "_stop_build", self._stop, signature="(data)", shows='build["buildStatus"] = "STOPPED"'
        )
        graft(codebuild, "_batch_get_builds", _batch_get, signature="(data)", shows="not_found.append(bid)")

    def stop(self) -> None:
        """End all of them; returns when nothing of them runs any more, or after a few seconds."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.end("STOPPED")
        deadline = time.monotonic() + STOP_SECONDS
        for run in runs:
            run.join(max(0.0, deadline - time.monotonic()))

    def _start(self, data: Json) -> Any:
        name = str(data.get("projectName") or "").rpartition("/")[2]
        project = codebuild._projects.get(name)
        if project is None:
            return error_response_json("ResourceNotFoundException", f"Project cannot be found: {name}", 400)
        try:
            wanted = order(project, data)
        except OrderError as error:
            return error_response_json("InvalidInputException", str(error), 400)
        token, asked = str(data.get("idempotencyToken") or ""), fingerprint(data)
        with self._lock:
            self._forget_old_tokens()
            if token and token in self._tokens:
                _, before, build_id = self._tokens[token]
                if before != asked:
                    message = "The idempotency token was used with other parameters within the last 5 minutes"
                    return error_response_json("InvalidInputException", message, 400)
                return json_response({"build": codebuild._builds[build_id]})
            record = Record(self._identity(name), wanted, self._publish)
            build_id = record.identity.id
            if token:
                self._tokens[token] = (time.monotonic(), asked, build_id)
            run = Run(self._settings, wanted, record, self._repositories, self._tools, self._announced)
            self._runs[build_id] = run
        answer = json_response({"build": record.snapshot()})
        run.start()
        return answer

    def _stop(self, data: Json) -> Any:
        build_id = _id(str(data.get("id") or ""))
        if build_id not in codebuild._builds:
            return error_response_json("ResourceNotFoundException", f"Build cannot be found: {build_id}", 400)
        with self._lock:
            run = self._runs.get(build_id)
        if run is not None:
            run.end("STOPPED")
            # AWS answers at once with a build that is still ending; here it takes a moment only.
            run.join(STOP_SECONDS)
        return json_response({"build": codebuild._builds[build_id]})

    def _identity(self, project: str) -> Identity:
        build_id = f"{project}:{new_uuid()}"
        numbers = [b["buildNumber"] for b in codebuild._builds.values() if b["projectName"] == project]
        return Identity(
            id=build_id,
            arn=codebuild._build_arn(build_id),
            number=max(numbers, default=0) + 1,
            initiator=_initiator(iam_evaluator.caller_arn()),
            region=self._settings.region,
            account=self._settings.account,
        )

    def _publish(self, build: Json) -> None:
        # A new object each time: whoever reads one never sees it change.
        with request_scope(self._settings.account, self._settings.region):
            codebuild._builds[build["id"]] = build

    def _announced(self, build: Json) -> None:
        if build["buildComplete"]:
            with self._lock:
                self._runs.pop(build["id"], None)
        self._announce(state_change(build))

    def _forget_old_tokens(self) -> None:
        oldest = time.monotonic() - TOKEN_SECONDS
        self._tokens = {token: entry for token, entry in self._tokens.items() if entry[0] > oldest}


def _batch_get(data: Json) -> Any:
    wanted = [str(name) for name in data.get("ids") or []]
    found = {name: codebuild._builds.get(_id(name)) for name in wanted}
    return json_response(
        {
            "builds": [build for build in found.values() if build is not None],
            "buildsNotFound": [name for name, build in found.items() if build is None],
        }
    )


def _id(name: str) -> str:
    """The id in an ARN, or the id itself."""
    return name.rpartition(":build/")[2]


def _initiator(arn: str) -> str:
    """`<role>/<session>`, the user's name, or root (CodeBuild API, Build, initiator)."""
    resource = arn.split(":", 5)[5]
    return resource.partition("/")[2] if "/" in resource else resource
