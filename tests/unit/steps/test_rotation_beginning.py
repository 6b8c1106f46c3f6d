"""Before a secret's value changes: who may still hold the value before, and what is written first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tidegate.domain.deployment import Phase
from tidegate.domain.errors import LostLockError, TransientError
from tidegate.domain.outcome import Outcome
from tidegate.domain.rotation import SecretStanding, version_of
from tidegate.ledger.time import iso, parse_iso
from tidegate.steps.rotation_ending import attempted

from tests.support.secrets import FIRST
from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, SYSTEM, Answer, crashing
from tests.unit.steps.rotating import SECRET, Rotating, taking


def shifted(shop: Rotating, service: str, seconds: float) -> None:
    """ECS' clock is off: what it said of the service's start is moved."""
    found = shop.world.containers.service(f"shop-{service}")
    found.deployments = [
        replace(entry, created_at=iso(parse_iso(entry.created_at) + timedelta(seconds=seconds)))
        for entry in found.deployments
    ]


@pytest.fixture
def shop() -> Rotating:
    return Rotating()


@pytest.fixture
def planned(shop: Rotating) -> Answer:
    return shop.asked()


@pytest.fixture
def fence(shop: Rotating, planned: Answer) -> int:
    return shop.acquire(planned)


class TestWhatIsWritten:
    def test_is_what_the_way_back_needs(self, shop: Rotating, planned: Answer, fence: int) -> None:
        assert shop.begin(planned, fence) == {"outcome": "Begun", "reason": ""}
        run = shop.run_of(planned)
        assert (run.previous, run.version) == (FIRST, version_of(planned["deployment"]))
        assert (run.user, run.next_user, run.at) == ("app", "app_clone", shop.ledger.now())
        assert (run.restored, run.retiring, dict(run.replaces)) == (False, False, {})
        assert shop.deployment(planned).phase is Phase.ROTATING
        assert shop.told(planned, "rotating") == f"{SECRET}: app, then app_clone"

    def test_names_no_user_where_there_is_none_to_tell(
        self, shop: Rotating, planned: Answer, fence: int
    ) -> None:
        shop.begin(planned, fence, user="app", next_user="app")
        assert shop.told(planned, "rotating") == SECRET

    def test_are_the_versions_that_it_is_going_to_write(
        self, shop: Rotating, planned: Answer, fence: int
    ) -> None:
        """Also the one that Retire makes of a token, or its event would restart everybody."""
        versions = [version_of(planned["deployment"], part) for part in ("", "retired")]
        assert not any(map(shop.rotations.wrote, versions))
        shop.begin(planned, fence)
        assert all(map(shop.rotations.wrote, versions))
        assert not shop.rotations.wrote(FIRST), "somebody else's"

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    def test_stays_as_it_was_written_first(
        self, shop: Rotating, planned: Answer, fence: int, lost: str
    ) -> None:
        with crashing(shop.world.store, "transact", lost, 0), pytest.raises(TransientError):
            shop.begin(planned, fence)
        shop.begin(planned, fence)
        before = shop.run_of(planned)
        shop.world.clock.advance(30)
        assert shop.begin(planned, fence)["outcome"] == "Begun"
        assert shop.run_of(planned) == before, "since when the new value may be current does not move"
        assert [line.what for line in shop.timeline(planned)].count("rotating") == 1


class TestAVoidFence:
    def test_writes_nothing(self, shop: Rotating, planned: Answer, fence: int) -> None:
        shop.locks.take_over(SYSTEM, ENVIRONMENT, planned["deployment"], "arn:recovery")
        with pytest.raises(LostLockError):
            shop.begin(planned, fence)
        assert shop.rotations.run_of(planned["deployment"]) is None
        assert not shop.rotations.wrote(version_of(planned["deployment"]))

    def test_does_not_go_on_with_what_it_wrote_before(
        self, shop: Rotating, planned: Answer, fence: int
    ) -> None:
        """Guards `insist_on_lock` in `begin_rotation`: the retry writes nothing, so nothing else would notice."""
        shop.begin(planned, fence)
        shop.locks.take_over(SYSTEM, ENVIRONMENT, planned["deployment"], "arn:recovery")
        with pytest.raises(LostLockError):
            shop.begin(planned, fence)


def test_an_abort_is_heard_before_anything_is_written(shop: Rotating, planned: Answer, fence: int) -> None:
    shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "grace", "not now")
    told = shop.begin(planned, fence)
    assert told["outcome"] == "Aborted"
    assert "not now" in told["reason"]
    assert shop.rotations.run_of(planned["deployment"]) is None


class TestWhoHoldsTheValueBefore:
    def test_is_who_started_before_the_current_one_was_made(
        self, shop: Rotating, planned: Answer, fence: int
    ) -> None:
        """Somebody else changed the value by hand: its user is the one whose password would be overwritten."""
        taking(shop, "worker")
        told = shop.begin(planned, fence, created_at=shop.ledger.now())
        assert told["outcome"] == "NotReady"
        assert told["reason"].partition(":")[0].startswith("api ")
        assert f"--cluster {CLUSTER} --service shop-api)" in told["reason"]
        assert shop.rotations.run_of(planned["deployment"]) is None

    def test_also_one_whose_last_tasks_have_not_drained(
        self, shop: Rotating, planned: Answer, fence: int
    ) -> None:
        """Guards `any` over all deployments of the service: the newest one alone says too little."""
        made = shop.ledger.now()
        shop.world.clock.advance(5)
        for service in ("api", "worker"):
            shop.world.containers.supersede(f"shop-{service}", f"shop-{service}")
        assert shop.begin(planned, fence, created_at=made)["reason"].startswith("api and worker ")
        for service in ("api", "worker"):
            shop.world.containers.complete(f"shop-{service}")
        assert shop.begin(planned, fence, created_at=made)["outcome"] == "Begun"

    def test_not_one_that_has_no_task_any_more(self, shop: Rotating, planned: Answer, fence: int) -> None:
        before = shop.primary("api")
        made = shop.ledger.now()
        shop.world.clock.advance(5)
        taking(shop, "worker")
        shop.world.containers.supersede("shop-api", "shop-api")
        shop.world.containers.service("shop-api").change(before, status="INACTIVE")
        assert shop.begin(planned, fence, created_at=made)["outcome"] == "Begun"

    def test_nobody_where_it_is_not_known_when_the_value_was_made(
        self, shop: Rotating, planned: Answer, fence: int
    ) -> None:
        assert shop.begin(planned, fence, created_at=None)["outcome"] == "Begun"

    def test_is_compared_as_time_and_not_as_text(self, shop: Rotating, planned: Answer, fence: int) -> None:
        """`…:00Z` sorts behind `…:00.000Z`, and is the same moment."""
        made = shop.world.containers.service("shop-worker").primary.created_at
        assert made.endswith(".000Z")
        assert shop.begin(planned, fence, created_at=made.replace(".000Z", "Z"))["outcome"] == "Begun"


def test_an_abort_after_it_was_written_is_heard_later(shop: Rotating, planned: Answer, fence: int) -> None:
    """Its answer was lost. `Aborted` here would end the run without a look at the secret."""
    shop.begin(planned, fence)
    shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "grace", "not now")
    assert shop.begin(planned, fence)["outcome"] == "Begun"


def test_what_was_noticed_is_told(shop: Rotating, planned: Answer, fence: int) -> None:
    noticed = "version 7f3c, which somebody else has made AWSPENDING, loses that label"
    shop.begin(planned, fence, sessions=2, noticed=noticed)
    told = shop.told(planned, "rotating")
    assert told == f"{SECRET}: app, then app_clone; app_clone has 2 open sessions; {noticed}"


class TestAfterOneThatFailedDirty:
    def test_whoever_may_have_its_value_starts_anew_first(self, shop: Rotating) -> None:
        """Guards `suspects`: the next rotation would set another password for the user that their tasks log in as."""
        first, fence = shop.restarted()
        shop.restore(first, fence)
        shop.restart(first, "api", fence, "Revert")
        assert shop.fail(first, fence, "Restored")["outcome"] == "FailedDirty"
        shop.locks.release(SYSTEM, ENVIRONMENT, first["deployment"])
        planned = shop.asked()
        later = shop.acquire(planned, "later")
        told = shop.begin(planned, later)
        assert (told["outcome"], told["reason"].partition(" may")[0]) == ("NotReady", "worker")
        taking(shop, "worker")
        assert shop.begin(planned, later)["outcome"] == "Begun"

    def test_also_where_the_sweep_gave_it_up(self, shop: Rotating) -> None:
        first, _ = shop.restarted()
        write = attempted(shop.world.ports, shop.deployment(first), Outcome.FAILED_DIRTY)
        shop.world.store.transact(write)
        assert set(shop.standing().suspects) == {shop.primary("api"), shop.primary("worker")}

    def test_nobody_once_a_rotation_has_succeeded(self, shop: Rotating) -> None:
        known = SecretStanding(SECRET, suspects=("ecs-svc/1",))
        shop.world.store.transact([shop.rotations.standing_write(SYSTEM, ENVIRONMENT, known)])
        assert shop.rotate()["outcome"] == "Rotated"
        assert shop.standing().suspects == ()


class TestAfterARotation:
    @pytest.fixture
    def current(self, shop: Rotating) -> str:
        """The version that the rotation before has made current."""
        done = shop.rotate()
        assert done["outcome"] == "Rotated"
        shop.world.clock.advance(60)
        return version_of(done["document"]["deployment"])

    def test_its_consumers_have_its_value(self, shop: Rotating, current: str) -> None:
        shop.started(previous=current, created_at=shop.ledger.now())

    @pytest.mark.parametrize("off", [-300, 300])
    def test_they_have_it_though_a_clock_is_off(self, shop: Rotating, current: str, off: int) -> None:
        """Row 19. Guards `rolled` in `_is_stale`: ECS' clock and ours are five minutes apart."""
        for service in ("api", "worker"):
            shifted(shop, service, off)
        shop.started(previous=current)

    def test_who_started_before_its_promotion_has_not(self, shop: Rotating, current: str) -> None:
        """Guards `promoted_at` of the standing: the version itself was made earlier than it became current."""
        planned = shop.asked()
        fence = shop.acquire(planned)
        standing = shop.standing()
        moved = replace(standing, promoted_at=shop.ledger.now(), rolled={})
        shop.world.store.transact([shop.rotations.standing_write(SYSTEM, ENVIRONMENT, moved)])
        told = shop.begin(planned, fence, previous=current, created_at="2026-01-01T00:00:00Z")
        assert told["outcome"] == "NotReady"

    def test_who_was_started_by_an_older_deployment_of_ecs_has_not(
        self, shop: Rotating, current: str
    ) -> None:
        """What was rolled is known by its ECS deployment, not by its service."""
        taking(shop, "api")
        shifted(shop, "api", -3600)
        planned = shop.asked()
        told = shop.begin(planned, shop.acquire(planned), previous=current)
        assert (told["outcome"], told["reason"].partition(" ")[0]) == ("NotReady", "api")
        assert "worker" not in told["reason"]

    def test_and_a_change_by_hand_only_the_version_counts(self, shop: Rotating, current: str) -> None:
        """Guards `standing.version == previous` in `_since` and for `rolled`."""
        planned = shop.asked()
        fence = shop.acquire(planned)
        told = shop.begin(planned, fence, previous="by-hand", created_at=shop.ledger.now())
        assert (told["outcome"], told["reason"][:15]) == ("NotReady", "api and worker ")
        for service in ("api", "worker"):
            taking(shop, service)
        assert (
            shop.begin(planned, fence, previous="by-hand", created_at=shop.ledger.now())["outcome"] == "Begun"
        )


def test_an_attempt_that_failed_says_nothing_of_the_value(
    shop: Rotating, planned: Answer, fence: int
) -> None:
    """The standing of a secret that was only tried has no version."""
    known = SecretStanding(SECRET, attempt="D0", attempt_outcome="FailedClean")
    shop.world.store.transact([shop.rotations.standing_write(SYSTEM, ENVIRONMENT, known)])
    assert shop.begin(planned, fence)["outcome"] == "Begun"
