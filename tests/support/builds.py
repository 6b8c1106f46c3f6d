"""CodeBuild and git repositories in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.domain.build import IN_PROGRESS, SUCCEEDED, BuildRun
from tidegate.domain.errors import NotFoundError, OutsideError
from tidegate.ports import Clock, Project

from tests.support.clock import FakeClock
from tests.support.scripted import Scripted, recorded

TOKEN_FOR = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class StartedBuild:
    id: str
    project: str
    commit: str
    variables: Mapping[str, str]
    token: str
    at: datetime


class FakeBuilds(Scripted):
    """`known` are the projects by name, `started` what was started by `start`, `builds` how each build stands by id.

    A build runs until `finish` ends it. Its variables are the project's, overridden by those it was started with.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or FakeClock()
        self.known: dict[str, Project] = {}
        self.started: list[StartedBuild] = []
        self.builds: dict[str, BuildRun] = {}

    @recorded
    def projects(self, names: Sequence[str]) -> dict[str, Project]:
        return {name: self.known[name] for name in names if name in self.known}

    @recorded
    def start(self, project: str, commit: str, variables: Mapping[str, str], token: str) -> BuildRun:
        if project not in self.known:
            raise NotFoundError(
                f"there is no CodeBuild project {project} here", field="project", hint="make it"
            )
        now = self.clock.now()
        for earlier in reversed(self.started):
            if earlier.token == token and now - earlier.at < TOKEN_FOR:
                if (earlier.project, earlier.commit, earlier.variables) != (project, commit, variables):
                    raise OutsideError("codebuild:StartBuild: the token was used with other parameters")
                return self.builds[earlier.id]
        run = self.run(project, commit, {**self.known[project].variables, **variables})
        self.started.append(StartedBuild(run.id, project, commit, dict(variables), token, now))
        return run

    @recorded
    def runs(self, ids: Sequence[str]) -> dict[str, BuildRun]:
        return {id_: self.builds[id_] for id_ in ids if id_ in self.builds}

    def add_project(
        self,
        name: str,
        source_type: str = "NO_SOURCE",
        location: str = "",
        branch: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Project:
        self.known[name] = Project(name, source_type, location, branch, dict(variables or {}))
        return self.known[name]

    def run(self, project: str, commit: str, variables: Mapping[str, str] | None = None) -> BuildRun:
        """A build that runs; on its own, one that somebody else started."""
        id_ = f"{project}:{sum(run.project == project for run in self.builds.values()) + 1}"
        self.builds[id_] = BuildRun(
            id_,
            project,
            IN_PROGRESS,
            source_version=commit,
            commit=commit,
            variables=dict(variables or {}),
            log_group=f"/aws/codebuild/{project}",
            log_stream=id_.partition(":")[2],
            url=f"https://console.example/{id_}",
        )
        return self.builds[id_]

    def finish(
        self,
        id_: str,
        status: str = SUCCEEDED,
        *,
        exported: Mapping[str, str] | None = None,
        phase: str | None = None,
        message: str = "",
    ) -> BuildRun:
        self.builds[id_] = replace(
            self.builds[id_], status=status, exported=dict(exported or {}), phase=phase, message=message
        )
        return self.builds[id_]

    def forget(self, id_: str) -> None:
        """CodeBuild forgets a build a year after it ended."""
        del self.builds[id_]


class FakeSources(Scripted):
    """What is not put into `changed` (by repository, before, after) or `trees` (by repository, commit, path) cannot be
    told."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: dict[tuple[str, str, str], list[str]] = {}
        self.trees: dict[tuple[str, str, str], str] = {}

    @recorded
    def changes(self, repository: str, before: str, after: str) -> list[str] | None:
        found = self.changed.get((repository, before, after))
        return None if found is None else list(found)

    @recorded
    def tree(self, repository: str, commit: str, path: str) -> str | None:
        return self.trees.get((repository, commit, path))
