"""Following a run until it has an outcome, from the ledger's timeline and the execution's end.

The execution is the authority on the end: its last step releases the lock after the ledger has the outcome. One that
is stopped, or dies, has no outcome; then the sweep finishes or reverts the deployment, and the ledger says how.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate.domain.deployment import Deployment, Line, Rollout
from tidegate.domain.outcome import Outcome
from tidegate.ledger.records import Ledger
from tidegate.ports import Execution, Ports

from tidegate_cli.polling import LAST_STEP_SECONDS, LAST_WRITE_SECONDS, Watch, poll, timed_out, unrecorded
from tidegate_cli.starting import Run


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at a run. `lines` are the new ones, oldest first; `stopped` is how its execution ended, where that
    was without an outcome."""

    elapsed: float
    lines: tuple[Line, ...]
    deployment: Deployment | None
    rollouts: tuple[Rollout, ...]
    stopped: str | None = None


class Follower:
    """Looks at one run, about once a second. `follow_up` is the command line with which a person may go on."""

    def __init__(self, ports: Ports, run: Run, follow_up: str = "") -> None:
        self._ports = ports
        self._ledger = Ledger(ports.store, ports.clock)
        self._run = run
        self._follow_up = follow_up or f"tidegate show {run.deployment}"
        self._execution = run.execution
        self._told: set[Line] = set()
        self._unrecorded = Watch()
        self._ending = Watch()

    def follow(
        self,
        show: Callable[[Progress], None],
        *,
        timeout: float | None,
        pause: Callable[[float], None],
        monotonic: Callable[[], float],
    ) -> dict[str, Any]:
        """The outcome document. Raises CommandError when `timeout` seconds are over, and TransientError when AWS
        has not answered for a while; the run goes on in both cases."""
        return poll(
            lambda elapsed: self._look(show, elapsed),
            ran_out=lambda: timed_out(
                f"deployment {self._run.deployment}", self._run.to_json(), self._follow_up
            ),
            timeout=timeout,
            pause=pause,
            monotonic=monotonic,
        )

    def _look(self, show: Callable[[Progress], None], elapsed: float) -> dict[str, Any] | None:
        # The execution before the ledger: once it has ended, every line is there.
        execution = self._ports.executions.describe(self._execution)
        run = self._run
        deployment = self._ledger.deployment(run.system, run.environment, run.deployment)
        document = _document(execution)
        stopped = None
        if execution is not None and not execution.running and document is None:
            stopped = execution.status
        ended = deployment is not None and deployment.outcome is not None
        show(
            Progress(
                elapsed,
                self._news(),
                deployment,
                tuple(self._ledger.rollouts(run.deployment)) if deployment is not None else (),
                None if ended else stopped,
            )
        )
        if document is not None:
            return document
        if deployment is None:
            if self._unrecorded.seconds(stopped is not None, elapsed) > LAST_WRITE_SECONDS:
                raise unrecorded(run.deployment, stopped or "", "nothing was changed", run.to_json())
            return None
        waited = self._ending.seconds(ended, elapsed)
        if ended and (execution is None or stopped is not None or waited > LAST_STEP_SECONDS):
            return deployment.document().to_json()
        # A recovery is another execution.
        self._execution = deployment.execution
        return None

    def _news(self) -> tuple[Line, ...]:
        lines = self._ledger.timeline(self._run.deployment)
        news = tuple(line for line in lines if line not in self._told)
        self._told.update(news)
        return news


def exit_code_of(document: dict[str, Any]) -> int:
    """The contract's exit code of an outcome document."""
    return Outcome(document["outcome"]).exit_code


def _document(execution: Execution | None) -> dict[str, Any] | None:
    """The outcome document that an execution ended with; None where it left none."""
    if execution is None or execution.running or not execution.result:
        return None
    try:
        document = json.loads(execution.result)
        Outcome(document["outcome"])
    except (ValueError, TypeError, KeyError):
        return None
    return dict(document)
