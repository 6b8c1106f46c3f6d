"""How a rotation ends: the point of no return, the standing, the way back, and what is left when there is none."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.deployment import Phase
from tidegate.domain.errors import LostLockError, NotFoundError, TransientError
from tidegate.domain.outcome import Outcome
from tidegate.domain.rollout import Direction
from tidegate.domain.rotation import version_of
from tidegate.steps import roll_service

from tests.support.secrets import FIRST
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Answer, crashing
from tests.unit.steps.rotating import SECRET, Rotating, taking

Begun = tuple[Answer, int]


@pytest.fixture
def shop() -> Rotating:
    return Rotating()


@pytest.fixture
def begun(shop: Rotating) -> Begun:
    return shop.started()


@pytest.fixture
def restarted(shop: Rotating) -> Begun:
    return shop.restarted()


def taken_over(shop: Rotating, planned: Answer) -> None:
    shop.locks.take_over(SYSTEM, ENVIRONMENT, planned["deployment"], "arn:recovery")


class TestThePointOfNoReturn:
    def test_is_passed_when_every_consumer_started_anew(self, shop: Rotating, restarted: Begun) -> None:
        planned, fence = restarted
        assert shop.record(planned, "BeginRetire", fence) == {"outcome": "Retire", "reason": ""}
        assert shop.run_of(planned).retiring
        assert shop.deployment(planned).phase is Phase.RETIRING
        assert shop.told(planned, "every consumer has the new value") == "api, worker"

    def test_is_passed_where_nobody_takes_the_secret(self, shop: Rotating) -> None:
        for service in ("api", "worker"):
            taking(shop, service, "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other-AbCdEf")
        planned, fence = shop.started()
        assert shop.record(planned, "BeginRetire", fence)["outcome"] == "Retire"
        assert shop.told(planned, "every consumer has the new value") == "none"

    def test_is_not_passed_while_one_was_not_rolled(self, shop: Rotating, begun: Begun) -> None:
        planned, fence = begun
        shop.restart(planned, "worker", fence)
        told = shop.record(planned, "BeginRetire", fence)
        assert (told["outcome"], told["reason"].partition(":")[0]) == ("NotRolled", "api")
        assert not shop.run_of(planned).retiring

    def test_is_not_passed_where_another_deployment_of_ecs_took_its_place(
        self, shop: Rotating, restarted: Begun
    ) -> None:
        """Guards `_runs` by the id: the task definition is the same."""
        planned, fence = restarted
        taking(shop, "api")
        told = shop.record(planned, "BeginRetire", fence)
        assert told["outcome"] == "NotRolled"
        assert told["reason"] == "api: another ECS deployment took the place of ours"
        assert shop.told(planned, "a service does not run what was rolled out") == "api"

    def test_is_not_passed_before_ecs_has_decided(self, shop: Rotating, begun: Begun) -> None:
        planned, fence = begun
        shop.restart(planned, "worker", fence)
        shop.roll(planned, "api", fence)
        assert shop.record(planned, "BeginRetire", fence)["outcome"] == "NotRolled"

    def test_waits_for_tasks_that_drain(self, shop: Rotating, begun: Begun) -> None:
        """They hold the value before: its user must work until they are gone."""
        planned, fence = begun
        shop.restart(planned, "worker", fence)
        shop.roll(planned, "api", fence)
        service = shop.world.containers.service("shop-api")
        service.change(service.primary.id, rollout_state="COMPLETED")
        told = shop.record(planned, "BeginRetire", fence)
        assert (told["outcome"], told["reason"].rpartition(" ")[2]) == ("Draining", "api")
        assert not shop.run_of(planned).retiring
        shop.settle("api")
        assert shop.record(planned, "BeginRetire", fence)["outcome"] == "Retire"

    def test_does_not_wait_for_what_has_no_task_any_more(self, shop: Rotating, begun: Begun) -> None:
        """Guards INACTIVE in `_with_tasks`."""
        planned, fence = begun
        before = shop.primary("api")
        shop.restart(planned, "worker", fence)
        shop.roll(planned, "api", fence)
        service = shop.world.containers.service("shop-api")
        service.change(service.primary.id, rollout_state="COMPLETED")
        service.change(before, status="INACTIVE")
        assert shop.record(planned, "BeginRetire", fence)["outcome"] == "Retire"

    def test_is_not_passed_while_an_alarm_rings(self, shop: Rotating) -> None:
        shop.settings(bake={"for": "2m", "alarms": ["errors"]})
        planned, fence = shop.restarted()
        shop.world.alarms.alarming.add("errors")
        told = shop.record(planned, "BeginRetire", fence)
        assert told["outcome"] == "NotRolled"
        assert "errors" in told["reason"]
        (report,) = shop.ledger.reports(planned["deployment"])
        assert report.alarms == ("errors",)

    def test_is_not_passed_by_one_that_has_not_begun(self, shop: Rotating) -> None:
        planned = shop.asked()
        with pytest.raises(NotFoundError):
            shop.record(planned, "BeginRetire", shop.acquire(planned))

    def test_is_not_passed_after_an_abort(self, shop: Rotating, restarted: Begun) -> None:
        """Guards `unless_aborted`: the abort came after the last look at it."""
        planned, fence = restarted
        shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "grace", "wait")
        told = shop.record(planned, "BeginRetire", fence)
        assert told["outcome"] == "Aborted"
        assert "wait" in told["reason"]
        assert not shop.run_of(planned).retiring
        assert shop.deployment(planned).phase is Phase.ROTATING

    def test_is_not_passed_under_a_void_fence(self, shop: Rotating, restarted: Begun) -> None:
        planned, fence = restarted
        taken_over(shop, planned)
        with pytest.raises(LostLockError):
            shop.record(planned, "BeginRetire", fence)
        assert not shop.run_of(planned).retiring

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    def test_is_passed_once(self, shop: Rotating, restarted: Begun, lost: str) -> None:
        planned, fence = restarted
        with crashing(shop.world.store, "transact", lost, 0), pytest.raises(TransientError):
            shop.record(planned, "BeginRetire", fence)
        # What would stand in the way before does not any more.
        if lost == "loses":
            taking(shop, "api")
            shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "grace", "too late")
        assert shop.record(planned, "BeginRetire", fence)["outcome"] == "Retire"
        assert [line.what for line in shop.timeline(planned)].count("every consumer has the new value") == 1

    def test_once_passed_still_needs_the_lock(self, shop: Rotating, restarted: Begun) -> None:
        """Guards `insist_on_lock` in `begin_retire`: two executions must not both go on to Retire."""
        planned, fence = restarted
        shop.record(planned, "BeginRetire", fence)
        taken_over(shop, planned)
        with pytest.raises(LostLockError):
            shop.record(planned, "BeginRetire", fence)


class TestOneThatWentWell:
    def test_is_how_the_secret_stands_since(self, shop: Rotating, restarted: Begun) -> None:
        planned, fence = restarted
        begun_at = shop.run_of(planned).at
        shop.world.clock.advance(30)
        shop.record(planned, "BeginRetire", fence)
        rolled = {key: shop.primary(key) for key in ("api", "worker")}
        ended = shop.record(planned, "Rotated", fence, version="v-retired")
        assert ended["outcome"] == "Rotated"
        standing = shop.standing()
        assert (standing.version, standing.deployment, standing.user) == (
            "v-retired",
            planned["deployment"],
            "app_clone",
        )
        assert (standing.promoted_at, standing.rotated_at) == (begun_at, shop.ledger.now())
        assert (standing.actor, dict(standing.rolled)) == ("ada", rolled)
        assert (standing.attempt, standing.attempt_outcome) == (planned["deployment"], "Rotated")
        assert shop.rotations.standings(SYSTEM, ENVIRONMENT) == [standing]

    def test_without_a_version_its_own_is_current(self, shop: Rotating, restarted: Begun) -> None:
        planned, fence = restarted
        shop.record(planned, "BeginRetire", fence)
        shop.record(planned, "Rotated", fence, version=None)
        assert shop.standing().version == version_of(planned["deployment"])

    def test_is_announced_counted_and_frees_the_lock(self, shop: Rotating) -> None:
        ended = shop.rotate()
        (event,) = shop.world.bus.of("Rotation Succeeded")
        assert (event["outcome"], event["deployment"]) == ("Rotated", ended["document"]["deployment"])
        assert {key: entry["outcome"] for key, entry in event["services"].items()} == {
            "api": "Restarted",
            "worker": "Restarted",
        }
        assert shop.world.metrics.total("Rotated", system=SYSTEM) == 1
        assert shop.owner is None
        assert shop.ledger.current(SYSTEM, ENVIRONMENT) is None, "it releases nothing"

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize("number", range(2))
    def test_ends_once(self, shop: Rotating, restarted: Begun, lost: str, number: int) -> None:
        planned, fence = restarted
        shop.record(planned, "BeginRetire", fence)
        with crashing(shop.world.store, "transact", lost, number), pytest.raises(TransientError):
            shop.record(planned, "Rotated", fence, version="v")
        for _ in range(2):
            assert shop.record(planned, "Rotated", fence, version="v")["outcome"] == "Rotated"
        assert [line.what for line in shop.timeline(planned)].count("Rotated") == 1
        assert 1 <= len(shop.world.bus.of("Rotation Succeeded")) <= 2
        assert shop.owner is None

    def test_under_a_void_fence_does_not(self, shop: Rotating, restarted: Begun) -> None:
        planned, fence = restarted
        shop.record(planned, "BeginRetire", fence)
        taken_over(shop, planned)
        with pytest.raises(LostLockError):
            shop.record(planned, "Rotated", fence, version="v")
        assert shop.rotations.standing(SYSTEM, ENVIRONMENT, SECRET) is None

    def test_an_adoption_has_succeeded_and_leaves_the_standing_alone(self, shop: Rotating) -> None:
        planned = shop.asked(adopt="apply", statements="5e1d")
        fence = shop.acquire(planned)
        ended = shop.record(planned, "Rotated", fence, version=None)
        assert (ended["outcome"], ended["document"]["reason"]) == (
            "Succeeded",
            f"secret {SECRET} can be rotated",
        )
        assert shop.rotations.standing(SYSTEM, ENVIRONMENT, SECRET) is None
        assert shop.owner is None


class TestTheWayBack:
    def test_starts_every_consumer_anew(self, shop: Rotating, begun: Begun) -> None:
        """Guards `replaces`: also one that had not rolled, since ECS may have started tasks in between."""
        planned, fence = begun
        shop.restart(planned, "worker", fence)
        told = shop.restore(planned, fence)
        assert (told["outcome"], told["waves"]) == ("Restored", [{"services": ["worker", "api"]}])
        run = shop.run_of(planned)
        assert (run.restored, run.previous) == (True, FIRST)
        assert dict(run.replaces) == {key: shop.primary(key) for key in ("api", "worker")}
        assert shop.deployment(planned).phase is Phase.COMPENSATING
        assert shop.told(planned, "the value before is current again") == "starting anew: worker, api"

    def test_is_not_gone_where_the_new_value_was_never_current(self, shop: Rotating, begun: Begun) -> None:
        planned, fence = begun
        before = shop.run_of(planned)
        told = shop.restore(planned, fence, "NotPromoted")
        assert (told["outcome"], told["waves"]) == ("NotPromoted", [])
        assert shop.run_of(planned) == before

    def test_is_not_gone_by_one_that_never_began(self, shop: Rotating) -> None:
        planned = shop.asked()
        told = shop.restore(planned, shop.acquire(planned), "NotPromoted")
        assert (told["outcome"], told["waves"]) == ("NotPromoted", [])

    def test_is_gone_by_whoever_finds_the_value_back_already(self, shop: Rotating, begun: Begun) -> None:
        """A recovery: `rotate_secret` finds the old value current, and only the ledger knows that it was not."""
        planned, fence = begun
        shop.restore(planned, fence)
        replaced = shop.run_of(planned).replaces
        shop.roll(planned, "api", fence, "Revert")
        told = shop.restore(planned, fence, "NotPromoted")
        assert (told["outcome"], told["waves"]) == ("Restored", [{"services": ["worker", "api"]}])
        assert shop.run_of(planned).replaces == replaced, "what the way back has started stays"

    def test_needs_the_lock(self, shop: Rotating, begun: Begun) -> None:
        planned, fence = begun
        taken_over(shop, planned)
        with pytest.raises(LostLockError):
            shop.restore(planned, fence)
        assert not shop.run_of(planned).restored

    def test_is_not_gone_after_the_end(self, shop: Rotating) -> None:
        ended = shop.rotate()
        place = {"system": SYSTEM, "environment": ENVIRONMENT, **ended["document"]}
        assert shop.restore(place, 1)["outcome"] == "Rotated"

    def test_of_nobody_is_short(self, shop: Rotating) -> None:
        for service in ("api", "worker"):
            taking(shop, service, "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other-AbCdEf")
        planned, fence = shop.started()
        assert shop.restore(planned, fence)["waves"] == []
        assert shop.fail(planned, fence, "Restored")["outcome"] == "FailedClean"


class TestOneThatFailed:
    def test_before_it_had_begun_has_changed_nothing(self, shop: Rotating) -> None:
        planned = shop.asked()
        document = shop.fail(planned, shop.acquire(planned))
        assert document["outcome"] == "FailedClean"
        assert (
            document["reason"]
            == "Test: the new value opens nothing; no consumer was started with the new value"
        )

    def test_before_the_new_value_was_current_restarts_nobody(self, shop: Rotating, begun: Begun) -> None:
        planned, fence = begun
        shop.restore(planned, fence, "NotPromoted")
        document = shop.fail(planned, fence, "NotPromoted")
        assert document["outcome"] == "FailedClean"
        assert document["reason"].endswith("; no consumer was started with the new value")
        assert shop.world.containers.called("update_service") == 0
        assert shop.owner is None

    def test_is_clean_when_every_consumer_has_started_with_the_value_before(
        self, shop: Rotating, begun: Begun
    ) -> None:
        planned, fence = begun
        shop.restart(planned, "worker", fence)
        shop.restore(planned, fence)
        for service in ("worker", "api"):
            shop.restart(planned, service, fence, "Revert")
        document = shop.fail(planned, fence, "Restored")
        assert document["outcome"] == "FailedClean"
        assert document["reason"].endswith("; the value before is current again")
        assert {key: entry["outcome"] for key, entry in document["services"].items()} == {
            "api": "Reverted",
            "worker": "Reverted",
        }

    def test_is_dirty_where_one_did_not_start_anew(self, shop: Rotating, begun: Begun) -> None:
        """Guards the id in `_runs`: `api` runs the same task definition, but its tasks may hold the new value."""
        planned, fence = begun
        shop.restart(planned, "worker", fence)
        shop.restore(planned, fence)
        shop.restart(planned, "worker", fence, "Revert")
        document = shop.fail(planned, fence, "Restored")
        assert document["outcome"] == "FailedDirty"
        assert document["reason"].endswith("but did not start with it: api")
        assert {key: entry["outcome"] for key, entry in document["services"].items()} == {
            "api": "NotReverted",
            "worker": "Reverted",
        }
        assert shop.owner == planned["deployment"]

    def test_is_dirty_where_one_started_and_did_not_settle(self, shop: Rotating, begun: Begun) -> None:
        planned, fence = begun
        shop.restore(planned, fence)
        shop.restart(planned, "worker", fence, "Revert")
        shop.roll(planned, "api", fence, "Revert")
        assert shop.fail(planned, fence, "Restored")["outcome"] == "FailedDirty"

    def test_is_dirty_where_another_deployment_took_the_place_of_the_way_back(
        self, shop: Rotating, begun: Begun
    ) -> None:
        planned, fence = begun
        shop.restore(planned, fence)
        for service in ("worker", "api"):
            shop.restart(planned, service, fence, "Revert")
        taking(shop, "api")
        assert shop.fail(planned, fence, "Restored")["outcome"] == "FailedDirty"

    @pytest.mark.parametrize("restored", [None, "Restored"])
    def test_is_dirty_where_nobody_knows_which_value_is_current(
        self, shop: Rotating, begun: Begun, restored: str | None
    ) -> None:
        """Restore itself has failed, or nobody could record that it has not."""
        planned, fence = begun
        document = shop.fail(planned, fence, restored)
        assert document["outcome"] == "FailedDirty"
        assert shop.owner == planned["deployment"]
        if restored is None:
            assert document["reason"].endswith("; which value is current could not be put right")

    def test_is_clean_where_somebody_else_was_first(self, shop: Rotating, begun: Begun) -> None:
        """Row 24. The swap of Promote has failed, and Restore finds a version that is neither the new nor the old one:
        nothing of ours is to be put right."""
        planned, fence = begun
        document = shop.fail(planned, fence, "Moved")
        assert document["outcome"] == "FailedClean"
        assert shop.world.containers.called("update_service") == 0

    @pytest.mark.parametrize("restored", ["NotPromoted", "Moved"])
    def test_is_dirty_where_the_value_was_moved_after_a_service_had_rolled(
        self, shop: Rotating, begun: Begun, restored: str
    ) -> None:
        """Guards `rolled` in `how_it_failed`. Row 24: Restore finds a current version that is not ours, but tasks of
        `worker` started with ours."""
        planned, fence = begun
        shop.restart(planned, "worker", fence)
        if restored == "NotPromoted":
            shop.restore(planned, fence, restored)
        document = shop.fail(planned, fence, restored)
        assert document["outcome"] == "FailedDirty"
        assert document["reason"].endswith("not current, but was already rolled out to: worker")
        assert shop.owner == planned["deployment"]

    def test_is_judged_by_the_ledger_where_the_way_back_was_begun_before(
        self, shop: Rotating, begun: Begun
    ) -> None:
        """A recovery finds the old value current and dies before it says more: nobody has started with it yet."""
        planned, fence = begun
        shop.restore(planned, fence)
        document = shop.fail(planned, fence, "NotPromoted")
        assert document["outcome"] == "FailedDirty"
        assert document["reason"].endswith("did not start with it: worker, api")

    def test_after_the_point_of_no_return_is_dirty(self, shop: Rotating, restarted: Begun) -> None:
        planned, fence = restarted
        shop.record(planned, "BeginRetire", fence)
        document = shop.fail(planned, fence)
        assert document["outcome"] == "FailedDirty"
        assert document["reason"].endswith("but the old credential may still work")
        assert {entry["outcome"] for entry in document["services"].values()} == {"Restarted"}

    def test_is_announced_as_a_rotation(self, shop: Rotating, restarted: Begun) -> None:
        planned, fence = restarted
        shop.record(planned, "BeginRetire", fence)
        shop.fail(planned, fence)
        (event,) = shop.world.bus.of("Rotation Failed")
        assert (event["outcome"], event["severity"]) == ("FailedDirty", "critical")
        assert shop.world.bus.of("Deployment Failed") == []

    def test_is_the_last_attempt_and_leaves_the_last_success(self, shop: Rotating) -> None:
        """Guards `attempted`."""
        done = shop.rotate()
        before = shop.standing()
        planned, fence = shop.started(previous=before.version)
        shop.restore(planned, fence, "NotPromoted")
        shop.fail(planned, fence, "NotPromoted")
        standing = shop.standing()
        assert (standing.deployment, standing.version) == (done["document"]["deployment"], before.version)
        assert (standing.attempt, standing.attempt_outcome) == (planned["deployment"], "FailedClean")

    def test_an_adoption_is_no_attempt(self, shop: Rotating) -> None:
        planned = shop.asked(adopt="apply", statements="5e1d")
        shop.fail(planned, shop.acquire(planned))
        assert shop.rotations.standing(SYSTEM, ENVIRONMENT, SECRET) is None

    def test_says_why_where_a_person_took_it_back(self, shop: Rotating, begun: Begun) -> None:
        planned, fence = begun
        shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "grace", "wrong secret")
        shop.restore(planned, fence, "NotPromoted")
        assert "wrong secret" in shop.fail(planned, fence, "NotPromoted")["reason"]


class TestASecondRecovery:
    def test_goes_on_with_what_the_first_had_begun(self, shop: Rotating, begun: Begun) -> None:
        planned, fence = begun
        shop.restart(planned, "worker", fence)
        shop.restore(planned, fence)
        shop.restart(planned, "worker", fence, "Revert")
        back = shop.primary("worker")
        taken = shop.locks.take_over(SYSTEM, ENVIRONMENT, planned["deployment"], "arn:recovery")
        assert taken is not None
        shop.restore(planned, taken.fence, "NotPromoted")
        for service in ("worker", "api"):
            shop.restart(planned, service, taken.fence, "Revert")
        assert shop.primary("worker") == back, "one that is back is not started a third time"
        assert shop.fail(planned, taken.fence, "Restored")["outcome"] == "FailedClean"

    def test_after_the_point_of_no_return_goes_forward(self, shop: Rotating, restarted: Begun) -> None:
        planned, fence = restarted
        shop.record(planned, "BeginRetire", fence)
        taken = shop.locks.take_over(SYSTEM, ENVIRONMENT, planned["deployment"], "arn:recovery")
        assert taken is not None
        ended = shop.record(planned, "Rotated", taken.fence, version="v")
        assert ended["outcome"] == "Rotated"
        assert shop.deployment(planned).outcome is Outcome.ROTATED


class TestOneThatDidNotHearThatItMayRetire:
    """BeginRetire was written and its answer lost for good: the machine goes back, and has disabled nothing."""

    @pytest.fixture
    def unheard(self, shop: Rotating, restarted: Begun) -> Begun:
        planned, fence = restarted
        shop.record(planned, "BeginRetire", fence)
        assert shop.restore(planned, fence)["waves"] == [{"services": ["worker", "api"]}]
        return restarted

    def test_is_clean_when_every_consumer_is_back(self, shop: Rotating, unheard: Begun) -> None:
        """Guards `forward_only` in `how_it_failed`."""
        planned, fence = unheard
        for service in ("worker", "api"):
            shop.restart(planned, service, fence, "Revert")
        assert shop.fail(planned, fence, "Restored")["outcome"] == "FailedClean"

    def test_goes_on_going_back_when_it_is_recovered(self, shop: Rotating, unheard: Begun) -> None:
        """Guards `forward_only` in `_recover`: Retire refuses where the old value is current, and nobody would start
        the consumers."""
        planned, _ = unheard
        again = shop.plan(shop.execution("rotate"), "PlanRotation", recover=planned["deployment"])
        assert (again["outcome"], again["retiring"], again["previous"]) == ("Recover", False, FIRST)


class TestTheTasksOfTheWayBack:
    def test_are_new_though_the_task_definition_is_the_same(self, shop: Rotating, begun: Begun) -> None:
        """Guards `_replaced` in steps.roll_service: whoever adopts the PRIMARY leaves tasks with the new value."""
        planned, fence = begun
        shop.restart(planned, "worker", fence)
        rolled = shop.primary("worker")
        shop.restore(planned, fence)
        assert shop.roll(planned, "worker", fence, "Revert") is None, "ECS has something to decide"
        assert shop.primary("worker") != rolled

    def test_are_new_for_a_consumer_that_had_not_rolled(self, shop: Rotating, begun: Begun) -> None:
        """Row 27: auto scaling may have started some between Promote and the way back."""
        planned, fence = begun
        before = shop.primary("api")
        shop.restore(planned, fence)
        assert shop.roll(planned, "api", fence, "Revert") is None
        assert shop.primary("api") != before

    def test_are_new_though_ecs_went_back_by_itself(self, shop: Rotating, begun: Begun) -> None:
        """Row 28. The circuit breaker started its tasks while the new value was current."""
        planned, fence = begun
        shop.roll(planned, "worker", fence)
        shop.world.containers.fail("shop-worker")
        breakers = shop.primary("worker")
        shop.restore(planned, fence)
        assert shop.roll(planned, "worker", fence, "Revert") is None
        assert shop.primary("worker") != breakers
        shop.settle("worker")
        shop.restart(planned, "api", fence, "Revert")
        assert shop.fail(planned, fence, "Restored")["outcome"] == "FailedClean"

    @pytest.mark.parametrize("method", ["update_service", "transact"])
    def test_are_started_once(self, shop: Rotating, begun: Begun, method: str) -> None:
        """A retry finds a PRIMARY that is none of `replaces`: its own."""
        planned, fence = begun
        shop.restore(planned, fence)
        calls = shop.world.containers.called("update_service")
        if method == "update_service":
            shop.world.containers.loses("update_service")
            with pytest.raises(TransientError):
                shop.roll(planned, "api", fence, "Revert", token="first")
        else:
            with crashing(shop.world.store, "transact", "fails", 1), pytest.raises(TransientError):
                shop.roll(planned, "api", fence, "Revert", token="first")
        started = shop.primary("api")
        shop.roll(planned, "api", fence, "Revert", token="second")
        assert shop.primary("api") == started
        assert shop.world.containers.called("update_service") == calls + 1
        rollout = shop.ledger.rollout(planned["deployment"], "api", Direction.REVERT)
        assert rollout is not None
        assert rollout.ecs_deployment == started

    def test_on_the_way_forward_are_started_once_too(self, shop: Rotating, begun: Begun) -> None:
        planned, fence = begun
        before = shop.primary("worker")
        shop.world.containers.loses("update_service")
        with pytest.raises(TransientError):
            shop.roll(planned, "worker", fence)
        started = shop.primary("worker")
        shop.roll(planned, "worker", fence)
        assert before != started == shop.primary("worker")

    def test_of_a_release_are_left_to_ecs(self, shop: Rotating) -> None:
        """`_replaced` is of rotations alone: a release adopts the circuit breaker's own way back."""
        planned = shop.release(2)
        fence = shop.acquire(planned)
        shop.roll(planned, "worker", fence)
        shop.world.containers.fail("shop-worker")
        breakers = shop.primary("worker")
        shop.roll(planned, "worker", fence, "Revert")
        assert shop.primary("worker") == breakers


def test_an_abort_stops_what_rolls_and_leaves_what_goes_back(shop: Rotating, begun: Begun) -> None:
    planned, fence = begun
    shop.roll(planned, "worker", fence, token="rolls")
    status, _ = shop.command("abort", deployment=planned["deployment"], reason="wrong secret")
    assert status == 200
    assert shop.answers["rolls"]["outcome"] == "Aborted"
    shop.restore(planned, fence)
    assert shop.roll(planned, "worker", fence, "Revert", token="back") is None
    shop.settle("worker")
    assert shop.answers["back"]["outcome"] == "Rolled"


def test_an_abort_after_the_point_of_no_return_is_refused(shop: Rotating, restarted: Begun) -> None:
    """Guards `Phase.RETIRING` in `can_be_aborted`: nothing would listen, and its end would tell of the abort."""
    planned, fence = restarted
    shop.record(planned, "BeginRetire", fence)
    status, told = shop.command("abort", deployment=planned["deployment"], reason="too late")
    assert status == 409
    assert "disabling the old credential" in str(told)
    assert shop.people.abort_of(planned["deployment"]) is None


def test_a_report_of_a_consumer_names_it(shop: Rotating, begun: Begun) -> None:
    planned, fence = begun
    shop.roll(planned, "worker", fence)
    shop.world.containers.crash_task("shop-worker", exit_code=3)
    shop.world.containers.fail("shop-worker")
    event: dict[str, Any] = {
        "step": "Report",
        **shop.place(planned),
        "service": "worker",
        "direction": "Roll",
    }
    event |= {"fence": fence, "outcome": "RolledBack", "reason": "its tasks crashed"}
    roll_service.run(event, shop.world.ports)
    shop.restore(planned, fence)
    assert "worker: container app exited with code 3" in shop.fail(planned, fence, "Restored")["reason"]
