"""Row 34: an abort at every state of `deploy` and `roll`, against the real machines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import pytest
from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome

from tests.e2e.support import ROOT, SampleCloud
from tests.faults import ways
from tests.faults.people import Answer
from tests.faults.standing import ENDS_SECONDS, ENVIRONMENT, FAILED, Ended, Run, Scene, Smoke, Spot
from tests.template.walking import Flow, flow_of, reachable

pytestmark = pytest.mark.emulator

MACHINES = ("deploy", "roll")
WHY = "it was the wrong branch"
SPOTS = (
    # Recoveries take longest: half a minute until nothing of the stopped run can change anything any more.
    Spot("deploy", "TakenOver?", ways.RECOVERING, touched=True),
    Spot("deploy", "AwaitOwnersEnd", ways.RECOVERING, touched=True, waits=True),
    Spot("deploy", "AwaitOwnersEnd", ways.RECOVERING, touched=True),
    Spot("deploy", "TakeOverLock", ways.RECOVERING, touched=True),
    Spot("deploy", "PlanRelease", ways.STRAIGHT),
    Spot("deploy", "Planned?", ways.STRAIGHT),
    Spot("deploy", "AwaitApproval", ways.UNAPPROVED),
    Spot("deploy", "AwaitApproval", ways.UNAPPROVED, waits=True),
    Spot("deploy", "Approved?", ways.APPROVED),
    Spot("deploy", "AcquireLock", ways.STRAIGHT),
    Spot("deploy", "AcquireLock", ways.QUEUED, waits=True),
    Spot("deploy", "StillPlanned?", ways.STRAIGHT),
    Spot("deploy", "PlanAgain", ways.APPROVED),
    Spot("deploy", "Replanned?", ways.APPROVED),
    Spot("deploy", "ReleaseLock", ways.APPROVED_ANEW),
    Spot("deploy", "AwaitRollout", ways.BEHIND_SOMEBODY_ELSES),
    Spot("deploy", "AwaitRollout", ways.BEHIND_SOMEBODY_ELSES, waits=True),
    Spot("deploy", "Conclude", ways.FROZEN, note="refused"),
    Spot("deploy", "Conclude", ways.AS_IT_IS, note="no-change"),
    Spot("deploy", "Migrate", ways.MIGRATING),
    Spot("deploy", "Migrated?", ways.MIGRATING),
    Spot("deploy", "RollWave", ways.STRAIGHT),
    Spot("deploy", "RollWave", ways.SECOND_WAVE, touched=True, note="second"),
    Spot("deploy", "RollService", ways.STRAIGHT),
    Spot("deploy", "RollUnknown", ways.CHILD_LOST, touched=True),
    Spot("deploy", "WaveHealthy?", ways.STRAIGHT, touched=True),
    Spot("deploy", "Bake", ways.BAKING, touched=True),
    Spot("deploy", "Bake", ways.BAKING, touched=True, waits=True),
    Spot("deploy", "RecordSuccess", ways.STRAIGHT, touched=True),
    Spot("deploy", "Recorded?", ways.STRAIGHT, touched=True),
    Spot("deploy", "Succeeded", ways.STRAIGHT, touched=True),
    Spot("deploy", "BeginCompensation", ways.CRASHING, touched=True),
    Spot("deploy", "MoreToRevert?", ways.CRASHING, touched=True),
    Spot("deploy", "RevertWave", ways.CRASHING, touched=True),
    Spot("deploy", "RevertService", ways.CRASHING, touched=True),
    Spot("deploy", "RevertUnknown", ways.REVERT_LOST, touched=True),
    Spot("deploy", "RecordFailure", ways.CRASHING, touched=True),
    Spot("deploy", "Clean?", ways.CRASHING, touched=True),
    Spot("deploy", "FailedClean", ways.CRASHING, touched=True),
    Spot("deploy", "FailedDirty", ways.NEVER_BACK, touched=True),
    Spot("deploy", "Unchanged", ways.FROZEN),
    Spot("roll", "StartRollout", ways.STRAIGHT),
    Spot("roll", "StartRollout", ways.HANGING, touched=True, waits=True),
    Spot("roll", "RolledOut?", ways.STRAIGHT, touched=True),
    Spot("roll", "CheckSmoke", ways.WELL, touched=True),
    Spot("roll", "CheckSmoke", ways.UNWELL, touched=True, waits=True),
    Spot("roll", "Healthy?", ways.WELL, touched=True),
    Spot("roll", "ReportFailure", ways.CRASHING, touched=True),
    Spot("roll", "Rolled", ways.STRAIGHT, touched=True),
    Spot("roll", "NotRolled", ways.CRASHING, touched=True),
)
NOT_TRIED = {
    (
        "deploy",
        "EndMigration",
    ): "on the way back of a recovery, which no abort changes: tests/e2e, a_stopped_migration_is_ended_by_the_sweep",
    (
        "deploy",
        "NotRecorded",
    ): "only entered where the ledger does not answer: no abort can be recorded either",
}
# What came of the release before the abort, which is refused.
RECORDED = {
    "Recorded?": Outcome.SUCCEEDED,
    "Succeeded": Outcome.SUCCEEDED,
    "Unchanged": Outcome.REFUSED,
    "Clean?": Outcome.FAILED_CLEAN,
    "FailedClean": Outcome.FAILED_CLEAN,
    "FailedDirty": Outcome.FAILED_DIRTY,
}


@cache
def _flow(machine: str) -> Flow:
    return flow_of(machine, json.loads((ROOT / "statemachines" / f"{machine}.asl.json").read_text()))


def _states(machine: str) -> set[str]:
    return {state for flow in _flow(machine).all() for state in flow.states}


def _once_recorded() -> set[str]:
    """The states of `deploy` that nothing leads to but a step that has recorded the end."""
    flow = _flow("deploy")
    before = reachable(flow.states, flow.start, frozenset({"Recorded?", "Clean?"}))
    return set(flow.states) - before


BEFORE = [spot for spot in SPOTS if (spot.machine, spot.state) not in {("deploy", s) for s in RECORDED}]
AFTER = [spot for spot in SPOTS if spot not in BEFORE]


@dataclass(frozen=True)
class Tried:
    """An abort in a state, the answer to it, and what became of the deployment."""

    run: Run
    by: str
    answer: Answer
    ended: Ended
    other: Deployment | None


def _abort(scene: Scene, spot: Spot, name: str) -> Tried:
    with scene.turn:
        run = Run.make(scene, spot, name)
        spot.way.go(run)
        answer = scene.somebody.abort(run.deployment, WHY)
        # A smoke check that is under way is not cut short: it finds its service well, after the abort.
        scene.smoke.well.add(name)
        run.let_go()
    ended = run.end()
    other = run.end_other()
    return Tried(run, scene.somebody.arn, answer, ended, other)


@pytest.fixture(scope="module")
def tried(shared_cloud: SampleCloud, request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Tried]]]:
    """By the spot's id; those of the tests that run, all at once."""
    wanted = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    spots = [spot for spot in SPOTS if spot.id in wanted]
    with (
        Smoke().answering() as smoke,
        Scene.make(shared_cloud, smoke).swept() as scene,
        ThreadPoolExecutor(len(spots)) as pool,
    ):
        yield {
            spot.id: pool.submit(_abort, scene, spot, f"abort{number:02}")
            for number, spot in enumerate(spots)
        }


def test_row_34_every_state_is_tried() -> None:
    """A state that somebody adds is tried, or has a reason here why it cannot be."""
    known = {(machine, state) for machine in MACHINES for state in _states(machine)}
    assert {(spot.machine, spot.state) for spot in SPOTS} | set(NOT_TRIED) == known
    assert set(RECORDED) == _once_recorded()


@pytest.mark.parametrize("spot", BEFORE, ids=lambda spot: spot.id)
def test_row_34_an_abort_takes_the_release_back(tried: Mapping[str, Future[Tried]], spot: Spot) -> None:
    """Abort at every state of `deploy` before its success is recorded: FailedClean.

    Guards the last write of `ledger.records.Ledger.end`, which decides once between an abort and a success
    (RecordSuccess, WaveHealthy?, Conclude end otherwise without it); the look for an abort in
    `steps.roll_service._Rolling.start` (RollWave, StartRollout touch a service); the tokens that
    `steps.stopping.stop` answers (Bake, AwaitRollout, AwaitApproval and StartRollout wait until their time is over).
    """
    one = tried[spot.id].result(ENDS_SECONDS * 2)
    run, ended = one.run, one.ended
    assert one.answer.done()["did"] == "aborting"
    assert spot.state in run.path(run.stood)
    why = f"aborted by {one.by}: {WHY}"
    deployment = ended.deployment
    assert deployment.outcome is Outcome.FAILED_CLEAN, deployment.explanation
    left = "" if spot.touched else "; nothing had been changed"
    if spot.state == "Migrated?":
        left = "; schema ahead: the migration of r1 ran and stays"
    assert deployment.explanation == f"{why}{left}"
    assert ended.outcomes == [Outcome.FAILED_CLEAN.value]
    assert not ended.timed_out
    assert ended.task_definitions == run.before
    last = ended.paths[-1]
    assert last[-2:] == list(FAILED[1:])
    assert ("RevertService" in last) is spot.touched
    if run.other is None:
        assert ended.owner is None
        assert ended.history == [run.deployment]
    else:
        assert ended.owner == run.other.id
        assert one.other is not None
        assert one.other.outcome is Outcome.FAILED_CLEAN
        assert sorted(ended.history) == sorted([run.deployment, run.other.id])


@pytest.mark.parametrize("spot", AFTER, ids=lambda spot: spot.id)
def test_row_34_afterwards_it_is_refused(tried: Mapping[str, Future[Tried]], spot: Spot) -> None:
    """Afterwards Refused: nothing of what was recorded changes.

    Guards the condition on the outcome in `ledger.interventions.Interventions.ask_abort`, and the look before it in
    `steps.control`; each holds alone.
    """
    one = tried[spot.id].result(ENDS_SECONDS * 2)
    run, ended = one.run, one.ended
    assert (one.answer.status, one.answer.code) == (409, "refused")
    assert spot.state in run.path(run.stood)
    assert ended.deployment.outcome is RECORDED[spot.state], ended.deployment.explanation
    assert "aborted" not in ended.deployment.explanation
    assert "abort requested" not in ended.timeline
    assert ended.outcomes == [RECORDED[spot.state].value]
    assert ended.history == [run.deployment]
    dirty = ended.deployment.outcome is Outcome.FAILED_DIRTY
    assert ended.owner == (run.deployment if dirty else None)
    rolled = ended.deployment.outcome is Outcome.SUCCEEDED
    digests = {run.scene.images[run.scene.commits[int(rolled)]]}
    if not dirty:
        assert set(run.system.digests().values()) == digests
    assert (run.cloud.ledger.current(run.name, ENVIRONMENT) is not None) is rolled
