"""Row 22: somebody stops an execution by hand, in any state, against the real machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from tidegate.domain.outcome import Outcome

from tests.e2e.support import SampleCloud
from tests.faults import ways
from tests.faults.standing import ENDS_SECONDS, Ended, Run, Scene, Smoke, Spot
from tests.faults.test_aborts import RECORDED, SPOTS

pytestmark = pytest.mark.emulator

# Whose execution is stopped: the deployment's own, and with it the child that it waits for, or that child alone.
OWN, CHILD = "own", "child"


@dataclass(frozen=True)
class Stop:
    """An execution that is stopped in a state, and how its deployment ends all the same.

    `recorded` says that the end was recorded before: nothing has to be made good.
    """

    spot: Spot
    ends: Outcome = Outcome.FAILED_CLEAN
    whose: str = OWN
    recorded: bool = False

    @property
    def id(self) -> str:
        return f"{self.spot.id}-{self.whose}" if self.spot.machine == "roll" else self.spot.id

    @property
    def recovers(self) -> bool:
        """Whether the sweep has to start another execution."""
        return self.whose == OWN and not self.recorded


def _of_deploy(spot: Spot) -> Stop:
    ends = RECORDED.get(spot.state)
    return Stop(spot) if ends is None else Stop(spot, ends, recorded=True)


_FINISHED, _NOT_BEGUN = Outcome.SUCCEEDED, Outcome.FAILED_CLEAN
NOTHING_PLANNED = (
    Spot("deploy", "PlanRelease", ways.STRAIGHT),
    Spot("rollback", "PlanRelease", ways.ROLLING_BACK),
)
STOPS = (
    *(_of_deploy(spot) for spot in SPOTS if spot.machine == "deploy" and spot.state != "PlanRelease"),
    *(Stop(spot, whose=whose) for spot in SPOTS if spot.machine == "roll" for whose in (OWN, CHILD)),
    *(
        Stop(Spot("rollback", state, ways.ROLLING_BACK), ends)
        for state, ends in {
            "Planned?": _NOT_BEGUN,
            "AcquireLock": _NOT_BEGUN,
            "StillPlanned?": _FINISHED,
            "RollBackServices": _FINISHED,
            "RollService": _FINISHED,
            "RolledBack?": _FINISHED,
            "RecordSuccess": _FINISHED,
        }.items()
    ),
    *(
        Stop(Spot("rollback", state, ways.ROLLING_BACK), _FINISHED, recorded=True)
        for state in ("Recorded?", "Succeeded")
    ),
)


@dataclass(frozen=True)
class Stopped:
    run: Run
    ended: Ended | None
    """None where nothing was recorded that could end."""


def _stop(scene: Scene, spot: Spot, whose: str, name: str, *, planned: bool = True) -> Stopped:
    with scene.turn:
        run = Run.make(scene, spot, name)
        spot.way.go(run)
        run.stop(run.stood if whose == CHILD else run.executions[-1])
        # A smoke check that is under way is not cut short: its service gets well.
        scene.smoke.well.add(name)
        run.let_go()
    ended = run.end() if planned else None
    run.end_other()
    return Stopped(run, ended)


@pytest.fixture(scope="module")
def stopped(
    shared_cloud: SampleCloud, request: pytest.FixtureRequest
) -> Iterator[Mapping[str, Future[Stopped]]]:
    """By the stop's id; those of the tests that run, all at once."""
    wanted = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    stops = [
        *((stop.id, stop.spot, stop.whose, True) for stop in STOPS),
        *((spot.id, spot, OWN, False) for spot in NOTHING_PLANNED),
    ]
    stops = [entry for entry in stops if entry[0] in wanted]
    with (
        Smoke().answering() as smoke,
        Scene.make(shared_cloud, smoke).swept() as scene,
        ThreadPoolExecutor(len(stops)) as pool,
    ):
        yield {
            id_: pool.submit(_stop, scene, spot, whose, f"stop{number:02}", planned=planned)
            for number, (id_, spot, whose, planned) in enumerate(stops)
        }


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.id)
def test_row_22_what_was_stopped_is_finished_or_reverted(
    stopped: Mapping[str, Future[Stopped]], stop: Stop
) -> None:
    """StopExecution by hand in any state: the sweep finishes or reverts, frees the lock.

    Guards `steps.sweep._Sweep.deployment`, which starts the recovery (nothing ends without it), the take-over of the
    lock in `steps.taking_over.take_over` (what was rolled stays) and, for a child that is stopped alone, the look at
    `$failed` in WaveHealthy? of `deploy` (the release goes on without the service).
    """
    one = stopped[stop.id].result(ENDS_SECONDS * 2)
    run, ended = one.run, one.ended
    assert ended is not None
    assert stop.spot.state in run.path(run.stood)
    deployment = ended.deployment
    assert deployment.outcome is stop.ends, deployment.explanation
    assert ended.outcomes == [stop.ends.value]
    dirty = stop.ends is Outcome.FAILED_DIRTY
    others = [] if run.other is None else [run.other.id]
    waited_for = run.other is not None and run.other.outcome is None
    assert ended.owner == (deployment.id if dirty else others[0] if waited_for else None)
    assert sorted(ended.history) == sorted([deployment.id, *others])
    before = 1 if stop.spot.way is ways.RECOVERING else 0
    assert ended.timeline.count("recovery started") == before + stop.recovers
    if stop.recovers:
        assert ended.paths[-1][:3] == ["PlanRelease", "Planned?", "TakeOverLock"]
        assert ("RevertService" in ended.paths[-1]) is (stop.spot.touched and stop.spot.machine != "rollback")
    if not dirty:
        assert _digest(run) == run.scene.images[run.scene.commits[_released(stop)]]


@pytest.mark.parametrize("spot", NOTHING_PLANNED, ids=lambda spot: spot.id)
def test_row_22_what_was_stopped_before_it_was_planned_is_nothing(
    stopped: Mapping[str, Future[Stopped]], spot: Spot
) -> None:
    """StopExecution by hand in any state: of a run that has recorded nothing, nothing is left.

    Guards that PlanRelease, held before it did anything, was the first to write: a deployment that is recorded before
    there is an execution to carry it out would be found here.
    """
    run = stopped[spot.id].result(ENDS_SECONDS * 2).run
    assert run.path(run.executions[0]) == ["PlanRelease"]
    assert run.recorded() is None
    assert run.owner() is None


def _released(stop: Stop) -> int:
    """The number of the commit that runs in the end; 0 is what ran before anything was released."""
    if stop.spot.machine == "rollback":
        return int(stop.ends is not Outcome.SUCCEEDED)
    return int(stop.ends is Outcome.SUCCEEDED)


def _digest(run: Run) -> str:
    (digest,) = set(run.system.digests().values())
    return digest
