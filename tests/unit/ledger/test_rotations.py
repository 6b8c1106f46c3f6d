"""What the ledger keeps of rotations: under the fence, in one write, with the versions that are their own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tidegate.domain.deployment import Deployment, Line, Machine, Phase
from tidegate.domain.errors import LostLockError, TransientError
from tidegate.domain.outcome import Outcome
from tidegate.domain.rotation import RotationRun, SecretStanding
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Acquired, Locks
from tidegate.ledger.records import Ledger
from tidegate.ledger.rotations import Rotations

from tests.support.clock import FakeClock
from tests.support.store import FakeStore
from tests.unit.ledger.meddling import ENVIRONMENT, SYSTEM

PLACE = (SYSTEM, ENVIRONMENT)
RUN = RotationRun("v1", "v2", "app", "app_clone", "2026-03-02T09:00:00.000Z", replaces={"api": "ecs-svc/1"})
SECRET = "shop/production/database"
STANDING = SecretStanding(
    SECRET,
    version="v2",
    deployment="D0",
    attempt="D0",
    attempt_outcome="Rotated",
    rolled={"api": "ecs-svc/1"},
)


class Place:
    """An environment whose lock the rotation D1 holds."""

    def __init__(self) -> None:
        self.store, self.clock = FakeStore(), FakeClock()
        self.rotations = Rotations(self.store, self.clock)
        self.ledger = Ledger(self.store, self.clock)
        self.locks = Locks(self.store, self.clock)
        self.deployment = self.ledger.open(
            Deployment("D1", *PLACE, Machine.ROTATE, "arn:D1", self.ledger.now()), "rotation requested"
        )
        acquired = self.locks.acquire(*PLACE, "D1", "arn:D1", "token", "")
        assert isinstance(acquired, Acquired)
        self.fence = acquired.fence

    def save(self, *versions: str, unless_aborted: bool = False) -> None:
        self.rotations.save(
            replace(self.deployment, phase=Phase.ROTATING),
            RUN,
            Line(self.ledger.now(), "rotating"),
            Line(self.ledger.now(), "and more"),
            fence=self.fence,
            versions=versions,
            unless_aborted=unless_aborted,
        )

    def abort(self) -> None:
        assert Interventions(self.store, self.clock).ask_abort("D1", self.deployment, "ada", "why")

    @property
    def lines(self) -> list[str]:
        return [line.what for line in self.ledger.timeline("D1")]

    def untouched(self) -> bool:
        known = self.ledger.deployment(*PLACE, "D1")
        return (
            self.rotations.run_of("D1") is None
            and not self.rotations.wrote("v2")
            and known is not None
            and known.phase is Phase.PLANNED
            and "rotating" not in self.lines
        )


@pytest.fixture
def place() -> Place:
    return Place()


def test_nothing_is_known_before_anything_was_written(place: Place) -> None:
    assert place.untouched()
    assert place.rotations.standing(*PLACE, SECRET) is None
    assert place.rotations.standings(*PLACE) == []


def test_a_run_is_written_with_its_deployment_its_lines_and_its_versions(place: Place) -> None:
    place.save("v2", "v3")
    assert place.rotations.run_of("D1") == RUN
    assert [bool(place.rotations.wrote(version)) for version in ("v1", "v2", "v3")] == [False, True, True]
    known = place.ledger.deployment(*PLACE, "D1")
    assert known is not None
    assert known.phase is Phase.ROTATING
    assert sorted(place.lines) == ["and more", "rotating", "rotation requested"]


@pytest.mark.parametrize("lost", ["fails", "loses"])
def test_all_of_it_or_nothing_is_written(place: Place, lost: str) -> None:
    getattr(place.store, lost)("transact")
    with pytest.raises(TransientError):
        place.save("v2")
    assert place.untouched() is (lost == "fails")
    place.save("v2")
    assert place.rotations.run_of("D1") == RUN


def test_a_void_fence_writes_nothing(place: Place) -> None:
    place.locks.take_over(*PLACE, "D1", "arn:recovery")
    with pytest.raises(LostLockError):
        place.save("v2")
    assert place.untouched()


def test_a_deployment_that_has_ended_is_not_opened_again(place: Place) -> None:
    place.ledger.end(place.deployment, Outcome.FAILED_CLEAN, "why", fence=place.fence)
    with pytest.raises(LostLockError):
        place.save("v2")
    assert place.rotations.run_of("D1") is None


def test_an_abort_stops_only_who_minds_it(place: Place) -> None:
    """Guards the Check of `unless_aborted`."""
    place.abort()
    with pytest.raises(LostLockError):
        place.save("v2", unless_aborted=True)
    assert place.untouched()
    place.save("v2")
    assert place.rotations.run_of("D1") == RUN


class TestAStanding:
    def test_is_of_one_secret_in_one_environment(self, place: Place) -> None:
        other = replace(STANDING, secret="shop/production/token", version="t1")
        place.store.transact(
            [place.rotations.standing_write(*PLACE, standing) for standing in (STANDING, other)]
        )
        assert place.rotations.standing(*PLACE, SECRET) == STANDING
        assert place.rotations.standings(*PLACE) == [STANDING, other]
        assert place.rotations.standing(SYSTEM, "staging", SECRET) is None
        assert place.rotations.standings(SYSTEM, "staging") == []

    def test_keeps_its_last_success_when_another_attempt_fails(self, place: Place) -> None:
        place.store.transact([place.rotations.standing_write(*PLACE, STANDING)])
        place.store.transact([place.rotations.attempt_write(place.deployment, SECRET, "now", "FailedClean")])
        found = place.rotations.standing(*PLACE, SECRET)
        assert found == replace(STANDING, attempt="D1", attempt_at="now", attempt_outcome="FailedClean")

    def test_of_a_secret_that_was_only_tried_has_no_version(self, place: Place) -> None:
        place.store.transact([place.rotations.attempt_write(place.deployment, SECRET, "now", "FailedDirty")])
        found = place.rotations.standing(*PLACE, SECRET)
        assert found == SecretStanding(SECRET, attempt="D1", attempt_at="now", attempt_outcome="FailedDirty")
