"""A change of a service's count: a deployment of its own kind, which releases nothing and puts back what it cannot
reach."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.errors import LostLockError, OutsideError, TransientError
from tidegate.domain.outcome import Outcome
from tidegate.domain.rollout import Direction
from tidegate.domain.scaling import Bounds
from tidegate.ledger.records import Ledger
from tidegate.steps import roll_service, sweep, wake
from tidegate.steps.resuming import awaited_count

from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, SYSTEM, Answer, Shop, digest

PLACE = SYSTEM, ENVIRONMENT
WORKER = "shop-worker"
STEADY = {
    "detail-type": "ECS Service Action",
    "resources": [f"arn:aws:ecs:eu-west-1:123456789012:service/{CLUSTER}/{WORKER}"],
    "detail": {
        "eventName": "SERVICE_STEADY_STATE",
        "clusterArn": f"arn:aws:ecs:eu-west-1:123456789012:cluster/{CLUSTER}",
    },
}


def ask(shop: Shop, count: int, service: str = "worker", **more: Any) -> Answer:
    return shop.plan(scale={"service": service, "count": count}, **more)


def desired(shop: Shop) -> int:
    return shop.world.containers.service(WORKER).desired_count


def told(shop: Shop) -> str | None:
    return shop.world.registry.counts.get((*PLACE, "worker"))


def scaled(shop: Shop, count: int) -> Answer:
    planned = ask(shop, count)
    fence = shop.acquire(planned, f"lock-{planned['deployment']}")
    shop.roll(planned, "worker", fence)
    shop.world.containers.settle(WORKER)
    wake.run(STEADY, shop.world.ports)
    return shop.record(planned, "Succeed", fence)


class TestPlanning:
    def test_is_about_that_service_alone(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        assert (planned["outcome"], planned["waves"]) == ("Ready", [{"services": ["worker"]}])
        plan = shop.deployment(planned).plan
        assert plan is not None
        assert plan.scale is not None
        assert [service.key for service in plan.services] == ["worker"]
        assert (plan.scale.count, plan.scale.before, plan.scale.autoscaled) == (5, 2, False)
        assert (planned["bake"], planned["migration"]) == (0, 0)

    def test_makes_no_release_and_adopts_nothing(self, shop: Shop) -> None:
        ask(shop, 5)
        assert shop.ledger.release(SYSTEM, 1) is None
        assert shop.ledger.standings(*PLACE) == []

    def test_names_what_runs(self, shop: Shop) -> None:
        shop.go_out(2)
        assert shop.deployment(ask(shop, 5)).release_name == "r1"

    def test_the_timeline_says_who_and_what(self, shop: Shop) -> None:
        (line,) = shop.timeline(ask(shop, 0))
        assert line.what == "scaling requested by ada"
        assert line.detail == "worker: 2 to no tasks: it does nothing until somebody scales it up"

    def test_a_service_that_is_not_in_the_manifest_is_refused(self, shop: Shop) -> None:
        planned = ask(shop, 5, "wroker")
        assert planned["outcome"] == "Refused"
        assert planned["reason"].startswith(
            "scale.service: the registered manifest of shop has no service wroker"
        )
        assert "api, worker" in planned["reason"]

    def test_a_daemon_takes_no_count(self, shop: Shop) -> None:
        shop.world.containers.service(WORKER).scheduling_strategy = "DAEMON"
        assert "scheduling strategy is DAEMON" in ask(shop, 5)["reason"]

    def test_another_service_that_could_not_be_brought_back_is_no_obstacle(self, shop: Shop) -> None:
        shop.world.containers.service("shop-api").circuit_breaker = False
        assert shop.release(2)["outcome"] == "Refused"
        assert ask(shop, 5)["outcome"] == "Ready"

    def test_passes_a_freeze_and_asks_nobody(self, shop: Shop) -> None:
        """It is what on-call does in one."""
        shop.register(approval="required")
        shop.command("freeze", system=SYSTEM, environment=ENVIRONMENT, reason="the sale")
        assert shop.release(2)["outcome"] == "Refused"
        assert ask(shop, 5)["outcome"] == "Ready"

    def test_what_is_so_already_is_no_change(self, shop: Shop) -> None:
        scaled(shop, 5)
        planned = ask(shop, 5)
        assert planned["outcome"] == "NoChange"
        assert planned["reason"] == "worker has a desired count of 5 already"

    def test_what_nobody_was_told_of_is_told(self, shop: Shop) -> None:
        """Somebody has scaled it in the console: a stack update would take that back."""
        assert told(shop) is None
        done = scaled(shop, 2)
        assert done["outcome"] == "Succeeded"
        assert told(shop) == "2"
        assert shop.world.containers.called("set_desired_count") == 0

    def test_somebody_elses_rollout_of_it_ends_first(self, shop: Shop) -> None:
        containers = shop.world.containers
        containers.supersede("shop-api", containers.add_task_definition("shop-api").arn)
        assert ask(shop, 5)["planned_fence"] == 0
        containers.supersede(WORKER, containers.add_task_definition(WORKER).arn)
        planned = ask(shop, 5)
        assert planned["planned_fence"] == -1
        assert shop.plan_again(planned, shop.acquire(planned))["busy"]["ecs_service"] == WORKER

    def test_what_changed_while_it_waited_counts(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        shop.world.containers.set_desired_count(CLUSTER, WORKER, 4)
        shop.plan_again(planned, shop.acquire(planned))
        plan = shop.deployment(planned).plan
        assert plan is not None
        assert plan.scale is not None
        assert plan.scale.before == 4


class TestAutoScaling:
    @pytest.fixture
    def kept(self, shop: Shop) -> Shop:
        shop.world.scaling.targets[CLUSTER, WORKER] = Bounds(1, 4)
        return shop

    @pytest.mark.parametrize("count", [0, 5])
    def test_would_undo_what_is_outside_its_bounds(self, kept: Shop, count: int) -> None:
        planned = ask(kept, count)
        assert planned["outcome"] == "Refused"
        assert "auto scaling keeps it between 1 and 4 tasks" in planned["reason"]
        assert f"service/{CLUSTER}/{WORKER}" in planned["reason"]

    def test_keeps_the_count_to_itself(self, kept: Shop) -> None:
        """A parameter that a stack takes the count from would fight with it."""
        done = scaled(kept, 4)
        assert done["outcome"] == "Succeeded"
        assert told(kept) is None

    def test_may_change_it_again_at_once(self, kept: Shop) -> None:
        planned = ask(kept, 4)
        fence = kept.acquire(planned)
        kept.roll(planned, "worker", fence, token="t")
        kept.world.containers.service(WORKER).desired_count = 3
        kept.world.containers.settle(WORKER)
        wake.run(STEADY, kept.world.ports)
        assert kept.answers["t"]["outcome"] == "Rolled"
        assert kept.record(planned, "Succeed", fence)["outcome"] == "Succeeded"

    def test_that_cannot_be_asked_is_not_guessed(self, shop: Shop) -> None:
        denied = OutsideError(
            "application-autoscaling:DescribeScalableTargets: AccessDeniedException", hint="allow it"
        )
        shop.world.scaling.fails("bounds", denied)
        planned = ask(shop, 5)
        assert planned["outcome"] == "Refused"
        assert "cannot be told: application-autoscaling:DescribeScalableTargets" in planned["reason"]
        assert "allow it" in planned["reason"]

    def test_that_does_not_answer_is_asked_again(self, shop: Shop) -> None:
        shop.world.scaling.fails("bounds")
        with pytest.raises(TransientError):
            ask(shop, 5)


class TestScaling:
    def test_sets_the_count_and_starts_no_deployment(self, shop: Shop) -> None:
        before = shop.world.containers.service(WORKER).primary
        done = scaled(shop, 5)
        assert desired(shop) == 5
        assert shop.world.containers.service(WORKER).primary == before
        assert shop.world.containers.called("update_service") == 0
        assert done["outcome"] == "Succeeded"
        assert done["document"]["services"] == {
            "worker": {
                "outcome": "Scaled",
                "task_definition": before.task_definition,
                "digest": digest(1),
                "desired": 5,
            }
        }
        assert shop.owner is None

    def test_waits_until_as_many_run(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        assert shop.roll(planned, "worker", fence, token="t") is None
        shop.world.containers.settle(WORKER, running=4)
        assert wake.run(STEADY, shop.world.ports)["resumed"] == 0
        shop.world.containers.settle(WORKER)
        assert wake.run(STEADY, shop.world.ports)["resumed"] == 1
        assert shop.answers["t"] == {"outcome": "Rolled", "reason": "5 of 5 tasks run", "smoke": None}
        assert {"scaling", "desired count reached"} <= {line.what for line in shop.timeline(planned)}
        assert shop.ledger.tokens_of(planned["deployment"]) == []

    def test_a_lost_event_is_made_good_by_the_sweep(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        shop.roll(planned, "worker", shop.acquire(planned), token="t")
        shop.world.containers.settle(WORKER)
        sweep.run({}, shop.world.ports)
        assert shop.answers["t"]["outcome"] == "Rolled"

    def test_an_event_that_came_before_the_token_is_not_missed(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        shop.world.containers.set_desired_count(CLUSTER, WORKER, 5)
        shop.world.containers.settle(WORKER)
        answer = shop.roll(planned, "worker", fence)
        assert answer is not None
        assert answer["outcome"] == "Rolled"
        assert shop.ledger.waiting_for(awaited_count(CLUSTER, WORKER)) == []

    def test_tells_iac_the_count_and_no_image(self, shop: Shop) -> None:
        scaled(shop, 0)
        assert told(shop) == "0"
        assert shop.world.registry.images == {}

    def test_changes_neither_what_is_current_nor_any_verdict(self, shop: Shop) -> None:
        shop.go_out(2)
        before = shop.ledger.current(*PLACE), shop.ledger.standings(*PLACE)
        scaled(shop, 5)
        assert (shop.ledger.current(*PLACE), shop.ledger.standings(*PLACE)) == before

    def test_a_retry_sets_nothing_twice(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        shop.world.containers.loses("set_desired_count")
        with pytest.raises(TransientError):
            shop.roll(planned, "worker", fence, token="first")
        assert shop.ledger.rollout(planned["deployment"], "worker", Direction.ROLL) is not None
        assert shop.roll(planned, "worker", fence, token="second") is None
        assert shop.world.containers.called("set_desired_count") == 1

    def test_who_has_lost_the_lock_sets_nothing(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        shop.locks.take_over(*PLACE, planned["deployment"], "arn:another")
        with pytest.raises(LostLockError):
            shop.roll(planned, "worker", fence)
        assert desired(shop) == 2

    def test_who_loses_it_right_before_sets_nothing(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Guards `insist_on_lock`: ECS knows no fence."""
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        real = Ledger.save_rollout

        def save(ledger: Ledger, *args: Any, **more: Any) -> None:
            real(ledger, *args, **more)
            shop.locks.take_over(*PLACE, planned["deployment"], "arn:another")

        monkeypatch.setattr(Ledger, "save_rollout", save)
        with pytest.raises(LostLockError):
            shop.roll(planned, "worker", fence)
        assert desired(shop) == 2

    def test_an_answer_that_was_lost_after_the_end_still_tells_iac(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        shop.roll(planned, "worker", fence)
        shop.world.containers.settle(WORKER)
        shop.world.registry.fails("publish_count")
        with pytest.raises(TransientError):
            shop.record(planned, "Succeed", fence)
        shop.record(planned, "Succeed", fence)
        assert told(shop) == "5"

    def test_what_comes_after_it_keeps_the_count(self, shop: Shop) -> None:
        scaled(shop, 5)
        shop.go_out(2)
        assert desired(shop) == 5
        assert told(shop) == "5"


class TestPuttingBack:
    def failed(self, shop: Shop) -> tuple[Answer, int]:
        """Two of five tasks found no capacity, and its time is over."""
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        shop.roll(planned, "worker", fence, token="t")
        shop.world.containers.settle(WORKER, running=3)
        shop.world.containers.event(WORKER, "was unable to place a task. Reason: Capacity is unavailable.")
        return planned, fence

    def test_says_what_is_missing(self, shop: Shop) -> None:
        planned, fence = self.failed(shop)
        event = {
            "step": "Report",
            **shop.place(planned),
            "service": "worker",
            "direction": "Roll",
            "fence": fence,
            "outcome": "Stuck",
            "reason": "ECS had not decided within 1800 s",
        }
        roll_service.run(event, shop.world.ports)
        (report,) = shop.ledger.reports(planned["deployment"])
        assert report.summary() == "worker: 3 of 5 tasks run (ECS had not decided within 1800 s)"
        assert "Capacity is unavailable" in report.events[0]

    def test_ends_clean_with_the_count_before(self, shop: Shop) -> None:
        planned, fence = self.failed(shop)
        assert shop.record(planned, "BeginCompensation", fence)["waves"] == [{"services": ["worker"]}]
        answer = shop.roll(planned, "worker", fence, "Revert")
        assert answer is not None, "the count is back; which of its tasks run is not asked"
        assert answer["outcome"] == "Rolled"
        done = shop.record(planned, "Fail", fence, error=None)
        assert done["outcome"] == Outcome.FAILED_CLEAN.value
        assert done["document"]["services"]["worker"]["desired"] == 2
        assert desired(shop) == 2
        assert told(shop) is None
        assert shop.owner is None
        assert shop.ledger.standings(*PLACE) == []

    def test_ends_dirty_where_the_count_is_not_back(self, shop: Shop) -> None:
        planned, fence = self.failed(shop)
        shop.record(planned, "BeginCompensation", fence)
        done = shop.record(planned, "Fail", fence, error=None)
        assert done["outcome"] == Outcome.FAILED_DIRTY.value
        assert "not back on the previous count: worker" in done["document"]["reason"]
        assert shop.owner == planned["deployment"]

    def test_an_abort_takes_it_back(self, shop: Shop) -> None:
        planned, fence = self.failed(shop)
        shop.command("abort", deployment=planned["deployment"], reason="enough")
        assert shop.answers["t"]["outcome"] == "Aborted"
        shop.record(planned, "BeginCompensation", fence)
        shop.roll(planned, "worker", fence, "Revert")
        done = shop.record(planned, "Fail", fence, error=None)
        assert done["outcome"] == "FailedClean"
        assert "enough" in done["document"]["reason"]

    def test_an_abort_before_it_began_changes_nothing(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "grace", "no")
        answer = shop.roll(planned, "worker", fence)
        assert answer is not None
        assert answer["outcome"] == "Aborted"
        assert desired(shop) == 2
        assert shop.record(planned, "BeginCompensation", fence)["waves"] == []

    def test_an_abort_while_it_begins_is_heard(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        """Guards the look behind the token: whoever asked found none to answer."""
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        real = Ledger.save_rollout

        def save(ledger: Ledger, *args: Any, **more: Any) -> None:
            real(ledger, *args, **more)
            shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "grace", "no")

        monkeypatch.setattr(Ledger, "save_rollout", save)
        answer = shop.roll(planned, "worker", fence)
        assert answer is not None
        assert answer["outcome"] == "Aborted"
        assert shop.ledger.tokens_of(planned["deployment"]) == []

    def test_an_abort_in_the_last_moment_comes_in_time(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        shop.roll(planned, "worker", fence)
        shop.world.containers.settle(WORKER)
        shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "grace", "no")
        assert shop.record(planned, "Succeed", fence)["outcome"] == "Drifted"
        assert told(shop) is None

    def test_a_call_that_comes_late_does_not_set_it_again(self, shop: Shop) -> None:
        """Its time was over, everything is being taken back under the same fence, and Lambda delivers it once more."""
        planned, fence = self.failed(shop)
        shop.record(planned, "BeginCompensation", fence)
        shop.roll(planned, "worker", fence, "Revert")
        answer = shop.roll(planned, "worker", fence, token="late")
        assert answer is not None
        assert answer["outcome"] == "Stuck"
        assert desired(shop) == 2
        assert shop.record(planned, "Fail", fence, error=None)["outcome"] == "FailedClean"

    def test_a_plan_that_comes_late_does_not_forget_the_count_before(self, shop: Shop) -> None:
        """Lambda delivers PlanAgain once more when the count is set: it is not what was there before."""
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        shop.plan_again(planned, fence)
        shop.roll(planned, "worker", fence)
        late = shop.plan_again(planned, fence)
        assert (late["outcome"], late["waves"]) == ("Ready", planned["waves"])
        plan = shop.deployment(planned).plan
        assert plan is not None
        assert plan.scale is not None
        assert plan.scale.before == 2

    def test_somebody_else_has_changed_it_meanwhile(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        shop.roll(planned, "worker", fence)
        shop.world.containers.settle(WORKER)
        shop.world.containers.service(WORKER).desired_count = 9
        assert shop.record(planned, "Succeed", fence)["outcome"] == "Drifted"

    def test_what_somebody_else_has_changed_is_not_waited_for(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        shop.roll(planned, "worker", shop.acquire(planned), token="t")
        shop.world.containers.service(WORKER).desired_count = 9
        shop.world.containers.settle(WORKER)
        sweep.run({}, shop.world.ports)
        assert "t" not in shop.answers, "ECS may not have heard of it yet"
        shop.world.clock.advance(121)
        sweep.run({}, shop.world.ports)
        assert shop.answers["t"]["outcome"] == "Stuck"
        assert "its desired count is 9, not 5" in shop.answers["t"]["reason"]

    def test_the_service_is_gone(self, shop: Shop) -> None:
        planned = ask(shop, 5)
        fence = shop.acquire(planned)
        shop.roll(planned, "worker", fence, token="t")
        shop.world.containers.delete_service(WORKER)
        wake.run(STEADY, shop.world.ports)
        assert shop.answers["t"]["outcome"] == "Stuck"


class TestOthers:
    def test_it_waits_its_turn_and_nothing_takes_its_place(self, shop: Shop) -> None:
        shop.register(queue="latest")
        shop.acquire(shop.release(2), "owner")
        waiting = ask(shop, 5)
        assert shop.acquire(waiting, "scale") == 0
        newer = shop.release(3)
        shop.acquire(newer, "newer")
        assert shop.queue == [waiting["deployment"], newer["deployment"]]

    def test_one_that_waits_survives_a_rollback(self, shop: Shop) -> None:
        """Guards `waiting.scales` in steps.queueing."""
        shop.go_out(2)
        shop.go_out(3)
        shop.acquire(shop.release(2), "owner")
        waiting = ask(shop, 5)
        shop.acquire(waiting, "scale")
        rollback = shop.plan(step="PlanRollback")
        shop.acquire(rollback, "rollback")
        assert "scale" not in shop.answers
        assert waiting["deployment"] in shop.queue

    def test_a_rollback_does_not_take_it_for_a_release(self, shop: Shop) -> None:
        shop.go_out(2)
        shop.go_out(3)
        shop.acquire(ask(shop, 5), "scale")
        assert shop.deployment(shop.plan(step="PlanRollback")).release_name == "r1"
