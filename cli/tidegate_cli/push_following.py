"""Following a push the whole way: the build of its commit, then each deployment that the build started.

A push starts its build by an event: the build is looked for in the ledger, among those that came after the push.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.domain.build import Build
from tidegate.domain.outcome import Outcome
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports

from tidegate_cli.build_following import BuildFollower, BuildProgress, build_exit_code
from tidegate_cli.build_starting import BuildStarted
from tidegate_cli.build_views import released
from tidegate_cli.failures import INTERRUPTED, TIMED_OUT, UNEXPECTED, CommandError
from tidegate_cli.following import Follower, Progress, exit_code_of
from tidegate_cli.polling import LAST_WRITE_SECONDS, End, Watch, poll
from tidegate_cli.starting import Run

# Far longer than EventBridge and a cold start take.
ARRIVAL_SECONDS = 60.0
_NEWEST = 20
# Of several deployments the one that needs a person most says how the push ended.
_WORST_FIRST = (Outcome.FAILED_DIRTY, Outcome.FAILED_CLEAN, Outcome.REFUSED, Outcome.SUPERSEDED)


class ChainView(Protocol):
    """How a build and a deployment are shown while they are followed."""

    def build(self, run: BuildStarted) -> AbstractContextManager[Callable[[BuildProgress], None]]: ...

    def deployment(self, run: Run) -> AbstractContextManager[Callable[[Progress], None]]: ...


@dataclass(frozen=True, slots=True)
class Chain:
    """How a push ended: the outcome documents of its build and of the deployments that this started, each of these with
    its environment."""

    build: dict[str, Any]
    deployments: list[dict[str, Any]]

    @property
    def exit_code(self) -> int:
        """The build's, where it did not end well; else that of the deployment that ended worst."""
        code = build_exit_code(self.build)
        if code:
            return code
        outcomes = {document["outcome"]: exit_code_of(document) for document in self.deployments}
        return next((outcomes[bad.value] for bad in _WORST_FIRST if bad.value in outcomes), 0)

    def to_json(self) -> dict[str, Any]:
        return {"build": self.build, "deployments": self.deployments}


class PushFollower:
    """Follows what a push of `branch` starts; made before the push, as only builds that are not there yet count.

    `command` makes a command line of words, with which a person may go on.
    """

    def __init__(
        self,
        ports: Ports,
        system: str,
        branch: str,
        view: ChainView,
        command: Callable[..., str],
        *,
        pause: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ports = ports
        self._ledger = Ledger(ports.store, ports.clock)
        self._builds = BuildLedger(ports.store, ports.clock)
        self._system = system
        self._branch = branch
        self._view = view
        self._command = command
        self._pause = pause
        self._monotonic = monotonic
        self._before = frozenset(build.id for build in self._builds.history(system, _NEWEST))

    def follow(self, commit: str, timeout: float | None) -> Chain:
        """Raises CommandError when no build comes, when `timeout` seconds are over, and on Ctrl-C; what was started
        goes on in each case."""
        began = self._monotonic()

        def left() -> float | None:
            return None if timeout is None else max(0.0, timeout - (self._monotonic() - began))

        try:
            build = self._arrived(commit, left())
            document = self._follow_build(build, left())
            ended = self._builds.build(self._system, build.build)
            runs = (
                []
                if ended is None
                else [self._run(ended, name, left()) for name in sorted(ended.deployments)]
            )
            return Chain(
                document,
                [{"environment": run.environment, **self._follow_deployment(run, left())} for run in runs],
            )
        except KeyboardInterrupt:
            raise CommandError(
                f"not following any more: what {commit[:12]} started goes on",
                code="interrupted",
                exit_code=INTERRUPTED,
                hint=self._command("builds", self._system),
            ) from None

    def _arrived(self, commit: str, timeout: float | None) -> BuildStarted:
        ref = f"refs/heads/{self._branch}"

        def look(_elapsed: float) -> BuildStarted | None:
            for build in self._builds.history(self._system, _NEWEST):
                if build.id not in self._before and (build.commit, build.ref) == (commit, ref):
                    return BuildStarted(self._system, build.id, build.execution)
            return None

        patience = ARRIVAL_SECONDS if timeout is None else min(timeout, ARRIVAL_SECONDS)
        return self._poll(look, lambda: self._none_came(commit, patience, timeout), patience)

    def _follow_build(self, run: BuildStarted, timeout: float | None) -> dict[str, Any]:
        with self._view.build(run) as show:
            return BuildFollower(self._ports, run, self._command("show", run.build)).follow(
                show, timeout=timeout, pause=self._pause, monotonic=self._monotonic
            )

    def _run(self, build: Build, environment: str, timeout: float | None) -> Run:
        """The deployment that the build started there, once its first step has recorded it."""
        execution = build.deployments[environment]
        unrecorded = Watch()

        def look(elapsed: float) -> Run | None:
            carried = self._ports.executions.describe(execution)
            found = released(self._ledger, build)[environment]
            if found is not None:
                return Run(self._system, environment, found.id, found.execution)
            over = carried is None or not carried.running
            if unrecorded.seconds(over, elapsed) > LAST_WRITE_SECONDS:
                raise CommandError(
                    f"execution {execution} ended and recorded no deployment: nothing was changed",
                    code="not_recorded",
                    exit_code=UNEXPECTED,
                    hint=self._command("history", self._system, environment),
                )
            return None

        return self._poll(look, lambda: self._ran_out(f"the deployment to {environment}"), timeout)

    def _follow_deployment(self, run: Run, timeout: float | None) -> dict[str, Any]:
        with self._view.deployment(run) as show:
            return Follower(self._ports, run, self._command("show", run.deployment)).follow(
                show, timeout=timeout, pause=self._pause, monotonic=self._monotonic
            )

    def _poll(
        self, look: Callable[[float], End | None], ran_out: Callable[[], CommandError], timeout: float | None
    ) -> End:
        return poll(look, ran_out=ran_out, timeout=timeout, pause=self._pause, monotonic=self._monotonic)

    def _none_came(self, commit: str, waited: float, timeout: float | None) -> CommandError:
        if timeout is not None and timeout < ARRIVAL_SECONDS:
            return self._ran_out(f"the build of {commit[:12]}")
        return CommandError(
            f"the push of {commit[:12]} has started no build after {waited:g} s",
            code="not_started",
            exit_code=UNEXPECTED,
            hint=f"start one: {self._command('build', self._system, '--commit', commit, '--branch', self._branch)}",
        )

    def _ran_out(self, what: str) -> CommandError:
        return CommandError(
            f"--timeout ran out: {what} goes on",
            code="timeout",
            exit_code=TIMED_OUT,
            hint=self._command("builds", self._system),
        )
