"""AWS CodeBuild (https://docs.aws.amazon.com/codebuild/latest/APIReference/, the page of each action)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of
from tidegate.domain.build import BuildRun
from tidegate.domain.errors import NotFoundError, OutsideError
from tidegate.ports import Project

if TYPE_CHECKING:
    from mypy_boto3_codebuild import CodeBuildClient

AT_ONCE = 100  # BatchGetProjects and BatchGetBuilds: "Maximum number of 100 items"
# CreateProject: name. One that cannot be a name would spoil the answer for all others (InvalidInputException).
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,149}")
# BuildPhase: phaseStatus; CLIENT_ERROR is in the user guide's "Build notifications input format reference" alone.
_FAILED = frozenset({"FAILED", "FAULT", "TIMED_OUT", "STOPPED", "CLIENT_ERROR"})


class CodeBuildBuilds:
    def __init__(self, client: Callable[[], CodeBuildClient]) -> None:
        self._client = client

    def projects(self, names: Sequence[str]) -> dict[str, Project]:
        found: dict[str, Project] = {}
        for some in _chunks(name for name in names if _NAME.fullmatch(name)):
            with asking("codebuild:BatchGetProjects"):
                answer = self._client().batch_get_projects(names=some)
            found |= {project["name"]: _project(project) for project in answer.get("projects", [])}
        return found

    def start(self, project: str, commit: str, variables: Mapping[str, str], token: str) -> BuildRun:
        """StartBuild takes a token for five minutes, and then only with the same parameters: a mismatch is none of
        the errors that may go away. So the variables are sent in one order."""
        action = "codebuild:StartBuild"
        with asking(action):
            try:
                answer = self._client().start_build(
                    projectName=project,
                    sourceVersion=commit,
                    environmentVariablesOverride=[
                        {"name": name, "value": value, "type": "PLAINTEXT"}
                        for name, value in sorted(variables.items())
                    ],
                    idempotencyToken=token,
                )
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    raise NotFoundError(
                        f"there is no CodeBuild project {project} here",
                        field="project",
                        hint="name a project of the orchestrator's account and region, or make it with"
                        " infrastructure/build.yaml",
                    ) from error
                if code_of(error) == "AccountLimitExceededException":
                    raise OutsideError(
                        f"{action}: {code_of(error)}: {error.response['Error']['Message']}",
                        hint="CodeBuild's queue is full: build again when others have ended, or ask for a higher"
                        " quota of concurrent builds",
                    ) from error
                raise
        return _run(answer["build"])

    def runs(self, ids: Sequence[str]) -> dict[str, BuildRun]:
        found: dict[str, BuildRun] = {}
        for some in _chunks(ids):
            with asking("codebuild:BatchGetBuilds"):
                answer = self._client().batch_get_builds(ids=some)
            found |= {build["id"]: _run(build) for build in answer.get("builds", [])}
        return found


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    once = list(dict.fromkeys(names))
    for start in range(0, len(once), AT_ONCE):
        yield once[start : start + AT_ONCE]


def _project(project: Mapping[str, Any]) -> Project:
    source = project.get("source", {})
    return Project(
        name=project["name"],
        source_type=source.get("type", ""),
        location=source.get("location", ""),
        branch=project.get("sourceVersion") or None,
        variables=_plain(project.get("environment", {})),
    )


def _run(build: Mapping[str, Any]) -> BuildRun:
    failed: Mapping[str, Any] = next(
        (phase for phase in build.get("phases", []) if phase.get("phaseStatus") in _FAILED), {}
    )
    messages = [context.get("message", "").strip() for context in failed.get("contexts", [])]
    logs = build.get("logs", {})
    return BuildRun(
        id=build["id"],
        project=build["projectName"],
        status=build["buildStatus"],
        source_version=build.get("sourceVersion"),
        commit=build.get("resolvedSourceVersion"),
        phase=failed.get("phaseType"),
        message="; ".join(message for message in messages if message),
        exported={
            variable["name"]: variable.get("value", "")
            for variable in build.get("exportedEnvironmentVariables", [])
        },
        variables=_plain(build.get("environment", {})),
        log_group=logs.get("groupName"),
        log_stream=logs.get("streamName"),
        url=logs.get("deepLink"),
    )


def _plain(environment: Mapping[str, Any]) -> dict[str, str]:
    """EnvironmentVariable: a type that is left out is PLAINTEXT; the others name a secret or a parameter."""
    return {
        variable["name"]: variable.get("value", "")
        for variable in environment.get("environmentVariables", [])
        if variable.get("type", "PLAINTEXT") == "PLAINTEXT"
    }
