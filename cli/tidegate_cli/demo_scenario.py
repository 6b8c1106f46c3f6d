"""The demo: three pushes and a rollback of the sample system, and what must be true after each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tidegate.ledger.records import Ledger
from tidegate_local import sample, sample_containers
from tidegate_local.control import Control
from tidegate_local.sample_repository import BRANCH, CRASHING_WORKER, SampleRepository

from tidegate_cli.connection import Connection
from tidegate_cli.environments import standstill
from tidegate_cli.failures import UNEXPECTED, CommandError
from tidegate_cli.following import Follower
from tidegate_cli.push_following import ChainView, PushFollower
from tidegate_cli.starting import Run, rollback_input, start
from tidegate_cli.views import shown_deployment, status_entry

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient

CRASHES = "sample-worker"
REASON = "the demo takes it back by hand"
RUN_SECONDS = 120.0
FOLLOW_PAUSE_SECONDS = 0.3

# What the releases do to the database: the first brings this table, the second and the third a column each.
TABLE = "visits"
PAGE = {"migrations/0002_visits_page.sql": "ALTER TABLE visits ADD COLUMN page text;\n"}
REFERRER = {"migrations/0003_visits_referrer.sql": "ALTER TABLE visits ADD COLUMN referrer text;\n"}
FIRST_COLUMNS = ("id", "visited_at")

Expected = Literal["Succeeded", "FailedClean"]


@dataclass(frozen=True, slots=True)
class Version:
    """What one commit became."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """One run: what was done, what came of it, and what ran afterwards. `answers` is what each container of the API
    said over HTTP; None where containers are simulated. `columns` are those that the database's table has, `grown`
    those that it must have: the schema goes forward, whatever becomes of the release."""

    title: str
    expected: Expected
    shown: dict[str, Any]
    running: dict[str, Any]
    seconds: float
    wanted: Version
    answers: list[str] | None
    columns: list[str]
    grown: tuple[str, ...]

    @property
    def outcome(self) -> str:
        """The word it ended with."""
        return str(self.shown["outcome"])

    @property
    def as_told(self) -> bool:
        """The outcome is the expected one, every service runs the wanted digest, every container of the API answers
        with its version, the database has what the migrations brought, and the lock is free."""
        digests = {service["digest"] for service in self.running["services"].values()}
        return (
            self.outcome == self.expected
            and digests == {self.wanted.digest}
            and (self.answers is None or set(self.answers) == {self.wanted.name})
            and set(self.grown) <= set(self.columns)
            and self.running["lock"] is None
        )

    def to_json(self) -> dict[str, Any]:
        """For `--json`: the essence, not the whole timeline."""
        return {
            "title": self.title,
            "expected": self.expected,
            "as_expected": self.as_told,
            "seconds": round(self.seconds, 1),
            "digest": self.wanted.digest,
            "version": self.wanted.name,
            "answers": self.answers,
            "columns": self.columns,
            **{key: self.shown[key] for key in ("deployment", "release", "commit", "outcome", "explanation")},
            "failure": self.shown["failure"],
        }


@dataclass(slots=True)
class Demo:
    """The story, told in the embedded cloud that `connection`, `control` and `ecs` reach, with commits in `repository`.

    `contained` says whether tasks are containers; `tell_title` gets the name of each chapter as it begins. Raises
    CommandError when a run does not come, or does not end, in time.
    """

    connection: Connection
    control: Control
    ecs: ECSClient
    repository: SampleRepository
    contained: bool
    columns: Callable[[], list[str]]
    view: ChainView
    tell_title: Callable[[str], None]
    command: Callable[..., str]
    pause: Callable[[float], None]
    chapters: list[Chapter] = field(default_factory=list)
    grown: tuple[str, ...] = FIRST_COLUMNS

    def tell(self) -> list[Chapter]:
        """All four runs, in order."""
        self.control.clear_fault(CRASHES)
        first = self._pushed("first push", 1, "Succeeded")
        self.grown = (*FIRST_COLUMNS, "page")
        second = self._pushed("second push, with a migration", 2, "Succeeded", PAGE)
        self.grown = (*FIRST_COLUMNS, "page", "referrer")
        with self._crashing():
            self._pushed(
                "third push, its worker crashes",
                3,
                "FailedClean",
                {"worker": CRASHING_WORKER, **REFERRER},
                second,
            )
        self._rolled_back("rollback by hand", first)
        return self.chapters

    @contextmanager
    def _crashing(self) -> Iterator[None]:
        """A container crashes by itself; a simulated task has to be told."""
        if self.contained:
            yield
            return
        self.control.set_fault(CRASHES, "crash")
        try:
            yield
        finally:
            self.control.clear_fault(CRASHES)

    def _pushed(
        self,
        title: str,
        number: int,
        expected: Expected,
        files: dict[str, str] | None = None,
        then: Version | None = None,
    ) -> Version:
        """What a developer does, and nothing more: commit and push. Afterwards `then` runs, else what was pushed."""
        self.tell_title(title)
        began = time.monotonic()
        follower = PushFollower(
            self.connection.ports,
            sample.SYSTEM,
            BRANCH,
            self.view,
            self.command,
            pause=self._pause,
            monotonic=time.monotonic,
        )
        commit = self.repository.commit(number, title, files)
        self.repository.push(lambda _line: None)
        chain = follower.follow(commit, RUN_SECONDS)
        if not chain.deployments:
            raise CommandError(
                f"{title}: the build of {commit[:7]} released nothing: {chain.build['reason']}",
                code="not_released",
                exit_code=UNEXPECTED,
                hint=self.command("show", chain.build["build"]),
            )
        pushed = Version(self.repository.version, chain.build["images"]["app"]["digest"])
        self._end(title, expected, chain.deployments[0]["deployment"], began, then or pushed)
        return pushed

    def _rolled_back(self, title: str, then: Version) -> None:
        self.tell_title(title)
        began = time.monotonic()
        request = rollback_input(sample.SYSTEM, sample.ENVIRONMENT, to="previous", reason=REASON)
        run: Run = start(self.connection, "rollback", request)
        with self.view.deployment(run) as show:
            Follower(self.connection.ports, run, self.command("show", run.deployment)).follow(
                show, timeout=RUN_SECONDS, pause=self._pause, monotonic=time.monotonic
            )
        self._end(title, "Succeeded", run.deployment, began, then)

    def _end(self, title: str, expected: Expected, deployment: str, began: float, then: Version) -> None:
        ledger = Ledger(self.connection.ports.store, self.connection.ports.clock)
        ended = ledger.find(deployment)
        if ended is None:
            raise CommandError(
                f"{title}: deployment {deployment} left nothing in the ledger",
                code="not_recorded",
                exit_code=UNEXPECTED,
            )
        seconds = time.monotonic() - began
        shown = shown_deployment(ended, ledger.timeline(deployment), ledger.reports(deployment))
        running = status_entry(standstill(self.connection.ports, sample.SYSTEM, sample.ENVIRONMENT))
        answers = sample_containers.answers(self.ecs, then.name, self.pause) if self.contained else None
        columns = self.columns()
        self.chapters.append(
            Chapter(title, expected, shown, running, seconds, then, answers, columns, self.grown)
        )

    def _pause(self, seconds: float) -> None:
        self.pause(min(seconds, FOLLOW_PAUSE_SECONDS))
