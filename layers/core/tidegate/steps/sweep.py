"""Function `sweep`: once a minute, what events may have missed.

One query gives all that is open: runs that wait for ECS, deployments whose execution has ended without an outcome,
locks that a dead or finished run left behind, hand-overs and aborts that nobody heard of. One thing that cannot be
mended does not keep the others from it; the sweep fails at its end, so that its alarm rings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from tidegate.domain.build import BuildOutcome
from tidegate.domain.deployment import Deployment, Line, Machine
from tidegate.domain.errors import LostLockError, TidegateError
from tidegate.domain.lock import Lock
from tidegate.domain.outcome import Outcome
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.handover import release, tell_owner
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ports import Item, Ports
from tidegate.steps.announce import announce
from tidegate.steps.build_report import announce_failure
from tidegate.steps.ending import is_paged, note_page
from tidegate.steps.guarding import look
from tidegate.steps.queueing import release_mess
from tidegate.steps.resuming import by_kind, resume
from tidegate.steps.rotation_ending import attempted
from tidegate.steps.rotations_due import look_at_rotations
from tidegate.steps.stopping import aborted, stop

# A deployment whose recoveries die as well needs a person.
MAX_RECOVERIES = 3
_Thing = TypeVar("_Thing")


class SweepError(TidegateError):
    """Some of what is open could not be looked after; the rest was."""

    code = "sweep"


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """The event says nothing, but `{"rotations": true}` by hand: look at them now. Gives how much was `{"open",
    "resumed", "recovered", "handed_over", "builds_ended"}`."""
    ledger = Ledger(ports.store, ports.clock)
    items = ledger.open_items()
    sweep = _Sweep(ports, ledger)
    resumed = sweep.each("token", by_kind(_of_type(items, "token")), sweep.tokens)
    recovered = sweep.each("deployment", _of_type(items, "deployment"), sweep.deployment)
    ended = sweep.each("build", _of_type(items, "build"), sweep.build)
    sweep.each("abort", _of_type(items, "abort"), sweep.abort)
    sweep.each("guard", _guards(items), sweep.guard)
    handed = sweep.each("lock", _of_type(items, "lock"), sweep.lock)
    handed += sweep.each("queue", _queues(items), sweep.queue)
    sweep.each("rotations", [event.get("rotations") is True], partial(look_at_rotations, ports))
    if sweep.failures:
        raise SweepError("; ".join(sweep.failures))
    return {
        "open": len(items),
        "resumed": resumed,
        "recovered": recovered,
        "handed_over": handed,
        "builds_ended": ended,
    }


def _of_type(items: Iterable[Item], type_: str) -> list[Item]:
    return [item for item in items if item.get("type") == type_]


def _queues(items: Iterable[Item]) -> list[tuple[str, str]]:
    return sorted({(item["system"], item["environment"]) for item in _of_type(items, "waiter")})


def _guards(items: Iterable[Item]) -> list[Item]:
    """Each once, whose alarms are an item each."""
    return list({item["deployment"]: item for item in _of_type(items, "guard")}.values())


class _Sweep:
    def __init__(self, ports: Ports, ledger: Ledger) -> None:
        self._ports = ports
        self._ledger = ledger
        self._locks = Locks(ports.store, ports.clock)
        self.failures: list[str] = []

    def each(self, what: str, things: Iterable[_Thing], mend: Callable[[_Thing], int]) -> int:
        done = 0
        for thing in things:
            try:
                done += mend(thing)
            except TidegateError as error:
                self.failures.append(f"{what}: {error.message}")
        return done

    def tokens(self, items: list[Item]) -> int:
        return resume(self._ports, self._ledger, items) if items else 0

    def deployment(self, item: Item) -> int:
        """Start another execution for a deployment whose own has ended, or give it up for a person."""
        deployment = self._ledger.deployment(item["system"], item["environment"], item["id"])
        if deployment is None or deployment.outcome is not None:
            return 0
        execution = self._ports.executions.describe(deployment.execution)
        if execution is not None and execution.running:
            return 0
        attempt = deployment.recoveries + 1
        if attempt > MAX_RECOVERIES:
            return self._give_up(deployment)
        started = self._ports.executions.start(
            deployment.machine.value,
            f"{deployment.id}-recovery-{attempt}",
            {
                "system": deployment.system,
                "environment": deployment.environment,
                "recover": deployment.id,
            },
        )
        status = "vanished" if execution is None else execution.status
        line = Line(
            self._ledger.now(),
            "recovery started",
            detail=f"its execution ended as {status}, without an outcome",
        )
        carried = replace(deployment, recoveries=attempt, execution=started.arn)
        try:
            self._ledger.save(carried, line, read=deployment)
        except LostLockError:
            # Another sweep was here, or the recovery has begun already: what they wrote is newer than what was read.
            return 0
        self._ports.metrics.count("RecoveryStarted")
        return 1

    def build(self, item: Item) -> int:
        """A build changes nothing that would have to be taken back: one whose execution has ended has failed, and
        what it left out is built by the next push."""
        execution = self._ports.executions.describe(item["execution"])
        if execution is not None and execution.running:
            return 0
        builds = BuildLedger(self._ports.store, self._ports.clock)
        build = builds.build(item["system"], item["id"])
        if build is None or build.outcome is not None:
            return 0
        status = "vanished" if execution is None else execution.status
        ended = builds.end(build, BuildOutcome.FAILED, f"its execution ended as {status}, without an outcome")
        announce_failure(self._ports, ended, builds.images(ended.id))
        return 1

    def abort(self, item: Item) -> int:
        """Whoever recorded it may have died before the run was told."""
        identity = item["deployment"]
        deployment = self._ledger.find(identity)
        interventions = Interventions(self._ports.store, self._ports.clock)
        abort = interventions.abort_of(identity)
        if abort is None:
            return 0
        if deployment is None:
            if not self._runs(identity):
                # It was refused before it was recorded.
                interventions.close_abort(identity)
            return 0
        if deployment.outcome is not None:
            interventions.close_abort(identity)
            return 0
        return stop(self._ports, deployment, aborted(abort))

    def _runs(self, identity: str) -> bool:
        known = (self._ports.executions.named(machine.value, identity) for machine in Machine)
        return any(execution is not None and execution.running for execution in known)

    def guard(self, item: Item) -> int:
        return look(self._ports, self._ledger, item)

    def lock(self, item: Item) -> int:
        lock = self._locks.read(item["system"], item["environment"])
        if lock.owner is None:
            return 0
        if lock.token is not None:
            tell_owner(self._ports, lock)
            return 1
        owner = self._ledger.deployment(lock.system, lock.environment, lock.owner)
        if owner is not None and owner.outcome is None:
            return 0
        if owner is not None and owner.outcome is Outcome.FAILED_DIRTY:
            if not is_paged(self._ports, owner):
                # Whoever recorded it died before anybody heard of it.
                self._page(owner)
            # A mess waits for a person, and for nothing but a rollback that one has asked for.
            waiting = self._locks.waiters(lock.system, lock.environment)
            return int(bool(waiting) and waiting[0].rank.urgent and release_mess(self._ports, owner))
        release(self._ports, lock.system, lock.environment, lock.owner)
        return 1

    def queue(self, place: tuple[str, str]) -> int:
        lock: Lock | None = self._locks.pass_on(*place)
        if lock is None:
            return 0
        tell_owner(self._ports, lock)
        return 1

    def _give_up(self, deployment: Deployment) -> int:
        reason = f"{MAX_RECOVERIES} attempts to finish or revert it ended without an outcome"
        tried = attempted(self._ports, deployment, Outcome.FAILED_DIRTY) if deployment.rotation else []
        ended = self._ledger.end(deployment, Outcome.FAILED_DIRTY, reason, also=tried)
        if ended.outcome is not Outcome.FAILED_DIRTY:
            # Its execution recorded another end in the meantime.
            return 0
        announce(self._ports, ended, ended.event)
        self._page(ended)
        return 1

    def _page(self, ended: Deployment) -> None:
        announce(self._ports, ended, "Lock Stuck", severity="critical")
        self._ports.metrics.count(
            Outcome.FAILED_DIRTY.value, system=ended.system, environment=ended.environment
        )
        note_page(self._ports, ended)
