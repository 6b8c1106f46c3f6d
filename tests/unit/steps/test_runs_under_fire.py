"""Runs under fire: lock, queue, hand-over and fence of the real machines and steps, with crashes, lost answers, slow
functions, stopped executions, people who interfere, and clocks that are five minutes off.

The machines are the files that are deployed (`asl`), the functions the real ones over the ports in memory (`fire`).
Held against them: I1 (only the owner of the lock changes ECS, and one run at most believes to be it), I2 (the fence
only rises, no ledger write under an old one lands), I4 (one outcome each, FailedClean is clean) and I5 (in the end the
lock is free and nobody waits, but for FailedDirty, of which somebody was told).

`test_a_planted_bug_is_found` plants one (`planted`) and expects the same machine to find it. More examples, at random:
`TIDEGATE_EXAMPLES=20000 pytest tests/unit/steps/test_runs_under_fire.py -k RunsUnderFire`.
"""

from __future__ import annotations

import functools
import json
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tidegate.domain.ids import ulid
from tidegate.domain.outcome import Outcome
from tidegate.ledger.records import Ledger
from tidegate.steps import control, wake

from tests.support.fakes import World
from tests.unit.ledger.meddling import seen
from tests.unit.steps import planted
from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, REPOSITORY, SYSTEM, Shop, digest, manifest
from tests.unit.steps.fire import Fire
from tests.unit.steps.invoked import NONE, Trouble, ViolationError
from tests.unit.steps.played import Run

# States in which a run goes by its lock.
_OWNING = {
    *("PlanAgain", "AwaitRollout", "RollWave", "RollBackServices", "Bake", "RecordSuccess"),
    *("BeginCompensation", "RevertWave"),
}
_ENDS = {
    "Succeeded": {"Succeeded"},
    "Unchanged": {"Succeeded", "NoChange", "Refused", "Superseded"},
    "FailedClean": {"FailedClean"},
    "FailedDirty": {"FailedDirty", "Succeeded", "NoChange"},
}
VERSIONS = (3, 4, 5)
which = st.integers(0, 7)
# What is asked for, the version (or the count), and how many steps it gets at once.
requests = st.tuples(
    st.sampled_from(["event", "person", "rollback", "scale"]), st.sampled_from(VERSIONS), st.integers(0, 4)
)
troubles = st.builds(
    Trouble,
    st.sampled_from(["", "fails", "lost", "dies", "dies after", "stands still", "stands still"]),
    st.integers(0, 11),
    st.sampled_from([False, False, True]),
    st.sampled_from([0, 0, -300, 300]),
)


@functools.cache
def _shop() -> bytes:
    """A shop in which version 2 has gone out, over version 1."""
    shop = Shop()
    small = manifest()
    del small["services"]["worker"]
    shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, small)
    for version in VERSIONS:
        shop.world.images.push(REPOSITORY, digest(version), f"c{version}")
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.roll(planned, "api", fence)
    done = shop.world.containers.complete("shop-api")
    wake.run(_ecs_event(done.id), shop.world.ports)
    shop.record(planned, "Succeed", fence)
    shop.world.executions.end(shop.deployment(planned).execution)
    return pickle.dumps(shop.world)


def _ecs_event(deployment: str) -> dict[str, Any]:
    return {"detail-type": "ECS Deployment State Change", "detail": {"deploymentId": deployment}}


_STEADY = {
    "detail-type": "ECS Service Action",
    "resources": [f"arn:aws:ecs:eu-west-1:123456789012:service/{CLUSTER}/shop-api"],
    "detail": {"clusterArn": f"arn:aws:ecs:eu-west-1:123456789012:cluster/{CLUSTER}"},
}


class RunsUnderFire(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        world: World = pickle.loads(_shop())  # noqa: S301 -- our own
        self.fire = Fire(world)
        self.asked = 0

    @property
    def world(self) -> World:
        return self.fire.world

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.world.store, self.world.clock)

    # --- what people and events want

    @initialize(
        queue=st.sampled_from(["latest", "fifo"]),
        approval=st.sampled_from(["none", "none", "required"]),
        bake=st.sampled_from([False, False, True]),
        asked=st.lists(requests, min_size=2, max_size=3),
    )
    def register(self, queue: str, approval: str, bake: bool, asked: list[tuple[str, int, int]]) -> None:
        registered: Any = self.world.registry.manifest(SYSTEM, ENVIRONMENT)
        registered["environments"][ENVIRONMENT] |= {"queue": queue, "approval": approval}
        if bake:
            registered["environments"][ENVIRONMENT]["bake"] = {"for": "5m", "alarms": ["errors"]}
        self.world.registry.put_manifest(SYSTEM, ENVIRONMENT, registered)
        for request in asked:
            self._ask(*request)

    @precondition(lambda self: self.asked < 4)
    @rule(request=requests)
    def ask(self, request: tuple[str, int, int]) -> None:
        self._ask(*request)

    def _ask(self, kind: str, version: int, at_once: int) -> None:
        self.asked += 1
        request: dict[str, Any] = {
            "system": SYSTEM,
            "environment": ENVIRONMENT,
            "actor": "ada",
            "reason": "why",
        }
        if kind == "scale":
            request["scale"] = {"service": "api", "count": version}
        elif kind != "rollback":
            request |= {
                "commit": f"c{version}",
                "images": {"app": {"digest": digest(version)}},
                "trigger": kind,
            }
        if kind == "event":
            request["order"] = ulid(self.world.clock.now(), f"push {self.asked}")
        run = self.fire.begin("rollback" if kind == "rollback" else "deploy", request)
        self._advance(run, at_once, NONE)
        self.fire.settle()

    @rule(
        command=st.sampled_from(["abort", "abort", "unlock", "approve", "approve", "reject"]),
        of=which,
        trouble=troubles,
    )
    def interfere(self, command: str, of: int, trouble: Trouble) -> None:
        known = self._deployments()
        if known:
            self._command(command, known[of % len(known)], trouble)
            self.fire.settle()

    def _command(self, command: str, deployment: str, trouble: Trouble = NONE) -> int:
        body: dict[str, Any] = {"command": command, "reason": "why"}
        if command == "unlock":
            body |= {"system": SYSTEM, "environment": ENVIRONMENT}
        else:
            body["deployment"] = deployment
        if command == "approve":
            found = self.ledger.deployment(SYSTEM, ENVIRONMENT, deployment)
            body["plan"] = "none" if found is None or found.plan is None else found.plan.hash
        event = {
            "requestContext": {
                "authorizer": {"iam": {"userArn": "arn:aws:iam::1:user/bob"}},
                "requestId": str(self.fire.numbers),
            },
            "body": json.dumps(body),
        }
        return int(self.fire.call(control.run, event, trouble).result.get("statusCode", 0))

    def _deployments(self) -> list[str]:
        return [run.variables["deployment"] for run in self.fire.runs if run.variables.get("deployment")]

    # --- what the machines do

    @precondition(lambda self: self._ready())
    @rule(of=which, times=st.integers(1, 4), trouble=troubles)
    def go_on(self, of: int, times: int, trouble: Trouble) -> None:
        run = self._one_of(self._ready(), of)
        self._advance(run, times - 1, NONE)
        self._advance(run, 1, trouble)

    def _advance(self, run: Run, times: int, trouble: Trouble) -> None:
        for _ in range(times):
            for child in run.children:
                child.advance(trouble)
            run.advance(trouble)
            self.fire.settle()

    @precondition(lambda self: self._ready())
    @rule(of=which, at=st.integers(0, 9), times=st.integers(1, 4), trouble=troubles)
    def is_overtaken(self, of: int, at: int, times: int, trouble: Trouble) -> None:
        """A function stands still while all others get on with it, and then goes on."""
        self._overtake(self._one_of(self._ready(), of), at, times, trouble)

    @precondition(lambda self: not self.fire.lock.free and self._asks_for_the_lock())
    @rule(of=which, at=st.integers(1, 4), trouble=troubles)
    def joins_late(self, of: int, at: int, trouble: Trouble) -> None:
        """Until the owner has ended: what has to happen often is not left to chance."""
        self._overtake(self._one_of(self._asks_for_the_lock(), of), at, 8, trouble)

    def _asks_for_the_lock(self) -> list[Run]:
        return [run for run in self._ready() if run.state == "AcquireLock"]

    def _overtake(self, run: Run, at: int, times: int, trouble: Trouble) -> None:
        run.advance(Trouble("stands still", at, skew=trouble.skew))
        function = run.function
        for _ in range(times):
            if self._rolls():
                self.world.containers.complete("shop-api")
                self.fire.sweep()
            for other in self._ready():
                other.advance()
            self.fire.settle()
        if function in self.fire.still:
            self.fire.wake(function, trouble)
            self.fire.settle()

    def _ready(self) -> list[Run]:
        return [run for run in self.fire.live if run.ready]

    def _one_of(self, runs: list[Run], of: int) -> Run:
        return runs[of % len(runs)]

    @precondition(lambda self: self.fire.live)
    @rule(of=which, children=st.booleans())
    def stop(self, of: int, children: bool) -> None:
        """A child alone is stopped only while none of its functions runs: its parent goes on at once, and a function
        between its look at the lock and its UpdateService could not be held back by anything."""
        busy = [one.run for one in self.fire.still]
        alone = [run for run in self.fire.live if run.parent is None or run not in busy]
        if alone:
            self._one_of(alone, of).stop(children=children)
        self.fire.settle()

    @precondition(lambda self: any(run.waits for run in self.fire.live))
    @rule(of=which)
    def time_out(self, of: int) -> None:
        self._one_of([run for run in self.fire.live if run.waits], of).time_out()
        self.fire.settle()

    @precondition(lambda self: self.fire.still)
    @rule(of=which, trouble=troubles)
    def wake_up(self, of: int, trouble: Trouble) -> None:
        self.fire.wake(self.fire.still[of % len(self.fire.still)], trouble)
        self.fire.settle()

    @precondition(lambda self: self.fire.done)
    @rule(of=st.integers(0, 15), trouble=troubles)
    def repeat(self, of: int, trouble: Trouble) -> None:
        """A function is called as it was before: a holder that is stale by now, or an event that came twice."""
        function, event = self.fire.done[of % len(self.fire.done)]
        self.fire.call(function, event, trouble)
        self.fire.settle()

    @rule(trouble=troubles)
    def sweep(self, trouble: Trouble) -> None:
        self.fire.sweep(trouble)
        self.fire.settle()

    @precondition(lambda self: self._rolls())
    @rule(completes=st.booleans(), told=st.booleans(), trouble=troubles)
    def ecs_decides(self, completes: bool, told: bool, trouble: Trouble) -> None:
        primary = self.world.containers.service("shop-api").primary
        if completes:
            self.world.containers.complete("shop-api")
        else:
            self.world.containers.fail("shop-api")
        if told:
            self.fire.call(wake.run, _ecs_event(primary.id), trouble)
        self.fire.settle()

    @precondition(lambda self: self._scales())
    @rule(told=st.booleans(), trouble=troubles)
    def ecs_is_steady(self, told: bool, trouble: Trouble) -> None:
        self.world.containers.settle("shop-api")
        if told:
            self.fire.call(wake.run, _STEADY, trouble)
        self.fire.settle()

    def _scales(self) -> bool:
        return self.world.containers.service("shop-api").running_count is not None

    def _rolls(self) -> bool:
        return self.world.containers.service("shop-api").primary.rollout_state == "IN_PROGRESS"

    @precondition(lambda self: bool(self.fire.still or self.fire.live))
    @rule(seconds=st.sampled_from([10, 40, 90]))
    def wait(self, seconds: int) -> None:
        self.fire.settle(seconds)

    # --- what always holds

    @invariant()
    def one_run_at_most_owns(self) -> None:
        believers = [run for run in self.fire.live if self._believes(run)]
        lock = self.fire.lock
        for run in believers:
            own = run.variables["deployment"], run.variables["fence"]
            if own != (lock.owner, lock.fence):
                raise ViolationError(f"I1: {own} goes on in {run.state}, but {lock.owner} owns {lock.fence}")
        if len(believers) > 1:
            raise ViolationError(f"I1: {len(believers)} runs believe to own the lock")

    def _believes(self, run: Run) -> bool:
        if run.state not in _OWNING or run.variables.get("fence", -1) < 0:
            return False
        deployment = self.ledger.deployment(SYSTEM, ENVIRONMENT, run.variables["deployment"])
        return deployment is not None and deployment.outcome is None

    # --- and how it ends

    def teardown(self) -> None:
        """I5: without more trouble every run ends, the lock is free and nobody waits."""
        for invocation in list(self.fire.still):
            self.fire.wake(invocation, killed=True)
        for _ in range(40):
            self.fire.settle(40)
            self._calm_minute()
            if not self.fire.live and self._is_quiet():
                break
        else:
            raise ViolationError(f"I5: it never ends: {self._what_is_left()}")
        self._each_ended_once()

    def _calm_minute(self) -> None:
        for _ in range(4):
            for run in list(self.fire.live):
                run.advance()
                if run.waits and run.state == "AwaitApproval":
                    self._command("reject", run.variables["deployment"])
                if run.waits and run.state == "Bake":
                    run.time_out()
            if self._rolls():
                self.world.containers.complete("shop-api")
            self.world.containers.settle("shop-api")
            self.fire.settle()
        swept = self.fire.sweep()
        if swept.error is not None:
            raise ViolationError(f"the sweep fails without any trouble: {swept.error}")
        self._unlock_a_mess()
        self.one_run_at_most_owns()

    def _unlock_a_mess(self) -> None:
        owner = self.fire.lock.owner
        deployment = None if owner is None else self.ledger.deployment(SYSTEM, ENVIRONMENT, owner)
        if deployment is None or deployment.outcome is not Outcome.FAILED_DIRTY:
            return
        paged = [
            detail
            for _, detail in self.world.bus.events
            if detail["deployment"] == owner and detail["severity"] == "critical"
        ]
        if not paged:
            raise ViolationError(f"I5: {owner} keeps the lock as FailedDirty, and nobody was told")
        self._command("unlock", owner or "")

    def _is_quiet(self) -> bool:
        now = seen(self.world.store)
        return now.lock.free and not now.queue and not self._open()

    def _open(self) -> list[str]:
        return [item["id"] for item in self.ledger.open_items() if item["type"] == "deployment"]

    def _what_is_left(self) -> str:
        now = seen(self.world.store)
        live = [f"{run.name} in {run.state}" for run in self.fire.live]
        waiting = [waiter.deployment for waiter in now.queue]
        return f"owner {now.lock.owner}, waiting {waiting}, live {live}, open {self._open()}"

    def _each_ended_once(self) -> None:
        for run in self.fire.runs:
            if run.ended in _ENDS and run.variables.get("deployment"):
                found = self.ledger.deployment(SYSTEM, ENVIRONMENT, run.variables["deployment"])
                outcome = None if found is None or found.outcome is None else found.outcome.value
                if outcome is not None and outcome not in _ENDS[run.ended]:
                    raise ViolationError(f"I4: {run.name} ended {run.ended}, its deployment {outcome}")


_EXAMPLES = os.environ.get("TIDEGATE_EXAMPLES")
FIRE = settings(
    max_examples=int(_EXAMPLES or 1000),
    stateful_step_count=25,
    deadline=None,
    derandomize=_EXAMPLES is None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
RunsUnderFire.TestCase.settings = FIRE
TestRunsUnderFire = RunsUnderFire.TestCase


# --- bugs that it must find


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (planted.no_fence, "I2: "),
        (planted.two_writes, "I5: the owner does not wait"),
        (planted.unconditional_join, "I5: "),
    ],
    ids=["no fence condition", "hand-over in two writes", "joining without the condition"],
)
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the machine above is known to see what it is for."""
    plant(monkeypatch)
    quick = settings(FIRE, max_examples=1000, phases=[Phase.generate], derandomize=True, print_blob=False)
    with pytest.raises(ViolationError) as violation:
        run_state_machine_as_test(RunsUnderFire, settings=quick)
    sys.stdout.write(f"{violation.value}\n")
    assert found in str(violation.value)
