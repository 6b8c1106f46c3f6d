"""The demo: four runs of the sample system, and what must be true after each of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tidegate.domain.deployment import Deployment
from tidegate.ledger.records import Ledger
from tidegate_local import sample
from tidegate_local.control import Control

from tidegate_cli.connection import Connection
from tidegate_cli.environments import standstill
from tidegate_cli.failures import UNEXPECTED, CommandError
from tidegate_cli.following import Follower, Progress
from tidegate_cli.starting import Run, rollback_input, start
from tidegate_cli.views import shown_deployment, status_entry

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_events import EventBridgeClient

ACTOR = "demo"
CRASHES = "sample-worker"
REASON = "the demo takes it back by hand"
ARRIVAL_SECONDS = 60.0
RUN_SECONDS = 120.0
PAUSE_SECONDS = 0.2
FOLLOW_PAUSE_SECONDS = 0.3

Show = Callable[[Progress], None]
Watch = Callable[[str], AbstractContextManager[Show]]


@dataclass(frozen=True, slots=True)
class Chapter:
    """One run: what was done, what came of it, and what ran afterwards."""

    title: str
    expected: Literal["Succeeded", "FailedClean"]
    shown: dict[str, Any]
    running: dict[str, Any]
    seconds: float
    wanted_digest: str

    @property
    def outcome(self) -> str:
        """The word it ended with."""
        return str(self.shown["outcome"])

    @property
    def as_told(self) -> bool:
        """The outcome is the expected one, every service runs the wanted digest, and the lock is free."""
        digests = {service["digest"] for service in self.running["services"].values()}
        return (
            self.outcome == self.expected and digests == {self.wanted_digest} and self.running["lock"] is None
        )

    def to_json(self) -> dict[str, Any]:
        """For `--json`: the essence, not the whole timeline."""
        return {
            "title": self.title,
            "expected": self.expected,
            "as_expected": self.as_told,
            "seconds": round(self.seconds, 1),
            "digest": self.wanted_digest,
            **{key: self.shown[key] for key in ("deployment", "release", "commit", "outcome", "explanation")},
            "failure": self.shown["failure"],
        }


@dataclass(slots=True)
class Demo:
    """The story, told in the embedded cloud that `connection`, `control` and the clients reach.

    `watch(title)` gives a view of one run. Raises CommandError when a run does not come, or does not end, in time.
    """

    connection: Connection
    control: Control
    ecr: ECRClient
    events: EventBridgeClient
    watch: Watch
    pause: Callable[[float], None]
    chapters: list[Chapter] = field(default_factory=list)

    def tell(self) -> list[Chapter]:
        """All four runs, in order."""
        self.control.clear_fault(CRASHES)
        first = sample.push(self.ecr, "first")
        self._published("first release", "Succeeded", first, then=first.digest)
        second = sample.push(self.ecr, "second")
        self._published("second release", "Succeeded", second, then=second.digest)
        third = sample.push(self.ecr, "third, whose worker crashes")
        with self._crashing():
            self._published("third release, its worker crashes", "FailedClean", third, then=second.digest)
        self._rolled_back("rollback by hand", then=first.digest)
        return self.chapters

    @contextmanager
    def _crashing(self) -> Iterator[None]:
        self.control.set_fault(CRASHES, "crash")
        try:
            yield
        finally:
            self.control.clear_fault(CRASHES)

    def _published(
        self, title: str, expected: Literal["Succeeded", "FailedClean"], build: sample.Build, *, then: str
    ) -> None:
        """What a CI does, and nothing more: say that an image is there."""
        began = time.monotonic()
        event = build.event(ACTOR)
        answer = self.events.put_events(
            Entries=[
                {
                    "Source": event["source"],
                    "DetailType": event["detail-type"],
                    "Detail": json.dumps(event["detail"]),
                }
            ]
        )
        if answer["FailedEntryCount"]:
            raise CommandError(
                f"EventBridge refused the event: {answer['Entries']}", code="refused", exit_code=UNEXPECTED
            )
        found = self._arrived(build.commit)
        self._follow(
            title, expected, Run(found.system, found.environment, found.id, found.execution), began, then
        )

    def _rolled_back(self, title: str, *, then: str) -> None:
        began = time.monotonic()
        request = rollback_input(sample.SYSTEM, sample.ENVIRONMENT, to="previous", reason=REASON)
        self._follow(title, "Succeeded", start(self.connection, "rollback", request), began, then)

    def _arrived(self, commit: str) -> Deployment:
        ledger = self._ledger()
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while True:
            for deployment in ledger.history(sample.SYSTEM, sample.ENVIRONMENT, 10):
                if deployment.commit == commit:
                    return deployment
            if time.monotonic() > deadline:
                raise CommandError(
                    f"the event of commit {commit[:7]} has started no deployment after {ARRIVAL_SECONDS:g} s",
                    code="timeout",
                    exit_code=UNEXPECTED,
                    hint="see the server's log, and tidegate history sample production",
                )
            self.pause(PAUSE_SECONDS)

    def _follow(
        self, title: str, expected: Literal["Succeeded", "FailedClean"], run: Run, began: float, then: str
    ) -> None:
        with self.watch(title) as show:
            Follower(self.connection.ports, run).follow(
                show,
                timeout=RUN_SECONDS,
                pause=lambda seconds: self.pause(min(seconds, FOLLOW_PAUSE_SECONDS)),
                monotonic=time.monotonic,
            )
        ledger = self._ledger()
        ended = ledger.find(run.deployment)
        if ended is None:
            raise CommandError(
                f"{title}: deployment {run.deployment} left nothing in the ledger",
                code="not_recorded",
                exit_code=UNEXPECTED,
            )
        shown = shown_deployment(ended, ledger.timeline(run.deployment), ledger.reports(run.deployment))
        running = status_entry(standstill(self.connection.ports, sample.SYSTEM, sample.ENVIRONMENT))
        self.chapters.append(Chapter(title, expected, shown, running, time.monotonic() - began, then))

    def _ledger(self) -> Ledger:
        return Ledger(self.connection.ports.store, self.connection.ports.clock)
