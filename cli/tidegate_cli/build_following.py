"""Following a build until it has an outcome, from the ledger's images and the execution's end.

The execution is the authority on the end. One that is stopped, or dies, has no outcome; then the sweep ends the build
as Failed, and the ledger says so: nothing was released.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate.domain.build import Build, BuildOutcome, ImageBuild
from tidegate.domain.deployment import Line
from tidegate.domain.outcome import Outcome
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ports import Execution, Ports
from tidegate.steps.build_report import document as document_of

from tidegate_cli.build_starting import BuildStarted
from tidegate_cli.failures import REFUSED
from tidegate_cli.polling import LAST_STEP_SECONDS, LAST_WRITE_SECONDS, Watch, poll, timed_out, unrecorded

# A failed build changed nothing: FailedClean's code.
_FAILED = 10
_EXIT_CODES = {
    BuildOutcome.BUILT: 0,
    BuildOutcome.NO_CHANGE: 0,
    BuildOutcome.FAILED: _FAILED,
    BuildOutcome.REFUSED: REFUSED,
    BuildOutcome.SUPERSEDED: Outcome.SUPERSEDED.exit_code,
}


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """One look at a build. `lines` are the new ones, oldest first; `build` is None until it is recorded; `stopped` is
    how its execution ended, where that was without an outcome."""

    elapsed: float
    lines: tuple[Line, ...]
    build: Build | None
    images: tuple[ImageBuild, ...]
    stopped: str | None = None


class BuildFollower:
    """Looks at one build, about once a second. `follow_up` is the command line with which a person may go on."""

    def __init__(self, ports: Ports, run: BuildStarted, follow_up: str = "") -> None:
        self._ports = ports
        self._ledger = Ledger(ports.store, ports.clock)
        self._builds = BuildLedger(ports.store, ports.clock)
        self._run = run
        self._follow_up = follow_up or f"tidegate show {run.build}"
        self._told: set[Line] = set()
        self._unrecorded = Watch()
        self._ending = Watch()

    def follow(
        self,
        show: Callable[[BuildProgress], None],
        *,
        timeout: float | None,
        pause: Callable[[float], None],
        monotonic: Callable[[], float],
    ) -> dict[str, Any]:
        """The outcome document: `{"outcome", "build", "commit", "reason", "images": {key: {"status", "digest"}},
        "deployments": {environment: execution}}`.

        Raises CommandError when `timeout` seconds are over, and TransientError when AWS has not answered for a while;
        the build goes on in both cases.
        """
        return poll(
            lambda elapsed: self._look(show, elapsed),
            ran_out=lambda: timed_out(f"build {self._run.build}", self._run.to_json(), self._follow_up),
            timeout=timeout,
            pause=pause,
            monotonic=monotonic,
        )

    def _look(self, show: Callable[[BuildProgress], None], elapsed: float) -> dict[str, Any] | None:
        # The execution before the ledger: once it has ended, every line is there.
        execution = self._ports.executions.describe(self._run.execution)
        build = self._builds.build(self._run.system, self._run.build)
        images = tuple(self._builds.images(self._run.build)) if build is not None else ()
        document = self._document(execution)
        stopped = None
        if execution is not None and not execution.running and document is None:
            stopped = execution.status
        ended = build is not None and build.outcome is not None
        show(BuildProgress(elapsed, self._news(), build, images, None if ended else stopped))
        if document is not None:
            return document
        if build is None:
            if self._unrecorded.seconds(stopped is not None, elapsed) > LAST_WRITE_SECONDS:
                raise unrecorded(self._run.build, stopped or "", "nothing was built", self._run.to_json())
            return None
        waited = self._ending.seconds(ended, elapsed)
        if ended and (execution is None or stopped is not None or waited > LAST_STEP_SECONDS):
            return document_of(build, images)
        return None

    def _document(self, execution: Execution | None) -> dict[str, Any] | None:
        """What the execution ended with; None where it left no outcome. One that failed before the build was recorded
        says less."""
        if execution is None or execution.running or not execution.result:
            return None
        try:
            said = dict(json.loads(execution.result))
            BuildOutcome(said["outcome"])
        except (ValueError, TypeError, KeyError):
            return None
        blank: dict[str, Any] = {"commit": None, "reason": "", "images": {}, "deployments": {}}
        return {**blank, **said, "build": said.get("build") or self._run.build}

    def _news(self) -> tuple[Line, ...]:
        lines = self._ledger.timeline(self._run.build)
        news = tuple(line for line in lines if line not in self._told)
        self._told.update(news)
        return news


def build_exit_code(document: dict[str, Any]) -> int:
    """0 for Built and NoChange, 10 for Failed, 30 for Refused, 40 for Superseded."""
    return _EXIT_CODES[BuildOutcome(document["outcome"])]
