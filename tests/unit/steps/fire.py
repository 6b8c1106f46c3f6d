"""A world under fire: runs (`played`) whose functions (`invoked`) are in trouble, and what is held against them.

Every function sees the world through wires, which hold what it does against the invariants: I1 at each UpdateService,
I1, I2 and I4 at each transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidegate.domain.errors import TidegateError
from tidegate.domain.lock import Lock
from tidegate.domain.outcome import Outcome
from tidegate.ledger import keys
from tidegate.ports import Ports, Put, Write
from tidegate.steps import sweep
from tidegate.steps.taking_over import LONGEST_FUNCTION

from tests.support.fakes import World
from tests.unit.ledger.meddling import LOCK, View, assert_sound, seen
from tests.unit.steps import asl
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM
from tests.unit.steps.invoked import (
    NONE,
    Function,
    Invocation,
    KilledError,
    SkewedClock,
    Trouble,
    ViolationError,
    Wire,
)
from tests.unit.steps.played import Run

WIRED = ("store", "containers", "executions", "bus", "registry")
_DEPLOYMENT = keys.deployment(SYSTEM, ENVIRONMENT, "")
_PLACE = keys.place(SYSTEM, ENVIRONMENT)


class Fire:
    """The world, all that runs in it, and what has been seen of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.runs: list[Run] = []
        self.still: list[Invocation] = []
        self.done: list[tuple[Function, Mapping[str, Any]]] = []
        self.lock = seen(world.store).lock
        self.before: dict[tuple[str, str], str] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.numbers = 0
        self._known = len(world.executions.started)

    # --- what happens

    def begin(self, machine: str, request: Mapping[str, Any], parent: Run | None = None) -> Run:
        self.numbers += 1
        name = f"{machine}-{self.numbers}"
        self.world.executions.run(machine, name)
        return self._new(machine, name, request, parent)

    def _new(self, machine: str, name: str, request: Mapping[str, Any], parent: Run | None) -> Run:
        run = Run(self, machine, name, request, parent)
        self.runs.append(run)
        run.enter(asl.states(machine)[""]["Next"])
        return run

    def call(self, function: Function, event: Mapping[str, Any], trouble: Trouble = NONE) -> Invocation:
        invocation = Invocation(self, function, event, trouble).start()
        self.done = [*self.done[-15:], (function, event)]
        if not invocation.over:
            self.still.append(invocation)
        self.told(invocation)
        return invocation

    def told(self, invocation: Invocation) -> None:
        """An invocation has moved."""
        if invocation.over:
            if invocation in self.still:
                self.still.remove(invocation)
            if not isinstance(invocation.error, TidegateError | KilledError | None):
                raise invocation.error

    def wake(self, invocation: Invocation, trouble: Trouble = NONE, *, killed: bool = False) -> None:
        invocation.go_on(trouble, killed=killed)
        self.told(invocation)
        if invocation.over and invocation.run is not None:
            invocation.run.returned(invocation)

    def settle(self, seconds: float = 1) -> None:
        """Time passes, and what follows of itself from what happened."""
        self.world.clock.advance(seconds)
        for invocation in list(self.still):
            if self.world.clock.now() - invocation.began >= LONGEST_FUNCTION:
                self.wake(invocation, killed=True)
        moved = True
        while moved:
            for started in self.world.executions.started[self._known :]:
                self._known += 1
                self._new(started.machine, started.name, started.payload, None)
            moved = any(run.settle() for run in list(self.runs) if run.live)

    @property
    def live(self) -> list[Run]:
        return [run for run in self.runs if run.live]

    def sweep(self, trouble: Trouble = NONE) -> Invocation:
        return self.call(sweep.run, {}, trouble)

    # --- what is seen of it

    def wired(self, invocation: Invocation) -> Ports:
        ports = self.world.ports
        wires: dict[str, Any] = {name: Wire(getattr(ports, name), invocation) for name in WIRED}
        return replace(ports, **wires, clock=SkewedClock(self.world, invocation.trouble.skew))

    def watched(
        self, invocation: Invocation, method: Callable[..., Any], name: str, *args: Any, **more: Any
    ) -> Any:
        if name == "transact":
            return self._transaction(invocation, args[0])
        if name in ("update_service", "set_desired_count"):
            self._update(invocation, *args)
        return method(*args, **more)

    def _update(self, invocation: Invocation, cluster: str, service: str, *_: Any) -> None:
        """I1: ECS is changed by the owner of the lock and nobody else."""
        event = invocation.event
        if (self.lock.owner, self.lock.fence) != (event["deployment"], event["fence"]):
            raise ViolationError(
                f"I1: {event['deployment']} changes ECS under fence {event['fence']}, but {self.lock.owner} "
                f"owns the lock under {self.lock.fence}"
            )
        known = self.world.containers.service(service)
        self.before.setdefault((event["deployment"], service), self._image(known.primary.task_definition))
        self.counts.setdefault((event["deployment"], service), known.desired_count)

    def _image(self, task_definition: str) -> str:
        found = self.world.containers.task_definition(task_definition)
        return "" if found is None else str(found.content["containerDefinitions"][0]["image"])

    def _transaction(self, invocation: Invocation, writes: Sequence[Write]) -> None:
        store = self.world.store
        at_the_lock = any(write.key.pk == LOCK.pk for write in writes)
        before = seen(store) if at_the_lock else View(self.lock, ())
        outcomes = {
            write.key.sk: store.items.get((write.key.pk, write.key.sk), {}).get("outcome") for write in writes
        }
        store.transact(writes)
        if at_the_lock:
            after = seen(store)
            _sound(before, after)
            self.lock = after.lock
        for write in writes:
            if isinstance(write, Put) and (write.key.pk == _PLACE or write.key.sk.startswith("ROLLOUT#")):
                self._hold_against(invocation, write, before.lock, outcomes[write.key.sk])

    def _hold_against(self, invocation: Invocation, write: Put, held: Lock, outcome: str | None) -> None:
        """I2: no write under an old fence (deployments, what is current, standings, rollouts). I4: one outcome, and
        FailedClean means what it says."""
        event, item = invocation.event, write.item
        fence = event.get("fence", -1)
        if event.get("step") in ("Acquire", "TakeOver") and item.get("fence"):
            fence = item["fence"]
        if fence >= 0 and (held.owner, held.fence) != (event["deployment"], fence):
            raise ViolationError(
                f"I2: {event['deployment']} wrote {write.key.sk} under fence {fence}, but {held.owner} "
                f"owns the lock under {held.fence}"
            )
        if write.key.sk == "CURRENT" and item["fence"] != held.fence:
            raise ViolationError("I2: what is current was recorded under a fence that is not the lock's")
        if write.key.sk.startswith(_DEPLOYMENT.sk):
            if outcome is not None:
                raise ViolationError(f"I4: {item['id']} ended {outcome} and is written again")
            if item.get("outcome") == Outcome.FAILED_CLEAN:
                self._is_clean(item["id"])

    def _is_clean(self, deployment: str) -> None:
        for (changer, service), image in self.before.items():
            primary = self.world.containers.service(service).primary
            if changer == deployment and self._image(primary.task_definition) != image:
                raise ViolationError(f"I4: {deployment} ended FailedClean, but {service} is not back")
        for (changer, service), count in self.counts.items():
            if changer == deployment and self.world.containers.service(service).desired_count != count:
                raise ViolationError(f"I4: {deployment} ended FailedClean, but {service} has another count")


def _sound(before: View, after: View) -> None:
    try:
        assert_sound(before, after)
    except AssertionError as error:
        raise ViolationError(str(error).splitlines()[0]) from error
