"""Once a minute: what events missed, what died, what nobody heard of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tidegate.domain.build import BuildOutcome
from tidegate.domain.errors import TransientError
from tidegate.domain.outcome import Outcome
from tidegate.ledger import keys
from tidegate.ledger.locks import Locks
from tidegate.ports import Execution, Put, Started
from tidegate.steps import lock, sweep

from tests.unit.steps.building import MAIN, SOURCE, Yard
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Answer, Shop
from tests.unit.steps.rotating import Rotating


def _run(shop: Shop) -> dict[str, int]:
    return dict(sweep.run({}, shop.world.ports))


def test_nothing_open_is_nothing_to_do(shop: Shop) -> None:
    shop.go_out(2)
    assert _run(shop) == {"open": 0, "resumed": 0, "recovered": 0, "handed_over": 0, "builds_ended": 0}


def test_a_lost_ecs_event_costs_a_minute(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.roll(planned, "api", fence, token="waits")
    assert _run(shop)["resumed"] == 0
    shop.world.containers.complete("shop-api")
    assert _run(shop)["resumed"] == 1
    assert shop.world.executions.answers["waits"]["outcome"] == "Rolled"


def test_a_stopped_run_is_recovered_by_another_execution(shop: Shop) -> None:
    planned = shop.release(2)
    shop.acquire(planned)
    execution = shop.deployment(planned).execution
    assert _run(shop)["recovered"] == 0, "it still runs"

    shop.world.executions.end(execution, "ABORTED")
    assert _run(shop)["recovered"] == 1
    (started,) = shop.world.executions.started
    assert started.machine == "deploy"
    assert started.payload == {"system": SYSTEM, "environment": ENVIRONMENT, "recover": planned["deployment"]}
    assert _run(shop)["recovered"] == 0, "the recovery runs now"
    assert any("ABORTED" in str(line.detail) for line in shop.timeline(planned))


def test_a_sweep_that_is_late_does_not_write_over_what_the_recovery_began(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red where the deployment is saved as it was read (`read` in `Ledger.save`)."""
    planned = shop.release(2)
    shop.acquire(planned)
    shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
    shop.world.clock.advance(60)
    start = shop.world.executions.start

    def start_and_take_over(machine: str, name: str, payload: Mapping[str, Any]) -> Started:
        started = start(machine, name, payload)
        event = {"step": "TakeOver", **shop.place(planned), "execution": started.arn}
        assert lock.run(event, shop.world.ports)["outcome"] == "Taken"
        return started

    monkeypatch.setattr(shop.world.executions, "start", start_and_take_over)
    assert _run(shop)["recovered"] == 0
    assert shop.deployment(planned).fence == 2
    assert [line.what for line in shop.timeline(planned)].count("recovery started") == 0


def test_a_recovery_that_dies_is_tried_again_then_given_up_with_a_page(shop: Shop) -> None:
    planned = shop.release(2)
    shop.acquire(planned)
    for _ in range(sweep.MAX_RECOVERIES + 1):
        shop.world.executions.end(shop.deployment(planned).execution, "FAILED")
        _run(shop)
    assert shop.deployment(planned).outcome is Outcome.FAILED_DIRTY
    assert [event["severity"] for event in shop.world.bus.of("Lock Stuck")] == ["critical"]
    assert not Locks(shop.world.store, shop.world.clock).read(SYSTEM, ENVIRONMENT).free


def test_a_lock_left_by_a_run_that_ended_is_handed_on(shop: Shop) -> None:
    """As after a crash between the record and the release of the lock."""
    first, second = shop.release(2), shop.release(3)
    fence = shop.acquire(first, "one")
    shop.acquire(second, "two")
    shop.ledger.end(shop.deployment(first), Outcome.FAILED_CLEAN, "crashed after the record", fence=fence)
    assert _run(shop)["handed_over"] == 1
    assert shop.world.executions.answers["two"]["outcome"] == "Acquired"


def test_a_dirty_lock_stays(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.ledger.end(shop.deployment(planned), Outcome.FAILED_DIRTY, "a person is needed", fence=fence)
    assert _run(shop)["handed_over"] == 0
    assert Locks(shop.world.store, shop.world.clock).read(SYSTEM, ENVIRONMENT).owner == planned["deployment"]


def test_a_hand_over_nobody_heard_of_is_told_again(shop: Shop) -> None:
    """As after a crash between the transaction and SendTaskSuccess."""
    first, second = shop.release(2), shop.release(3)
    shop.acquire(first, "one")
    shop.acquire(second, "two")
    Locks(shop.world.store, shop.world.clock).release(SYSTEM, ENVIRONMENT, first["deployment"])
    assert "two" not in shop.world.executions.answers
    assert _run(shop)["handed_over"] == 1
    assert shop.world.executions.answers["two"] == {"outcome": "Acquired", "fence": 2}


def test_a_free_lock_with_a_waiter_is_handed_over(shop: Shop) -> None:
    planned = shop.release(2)
    shop.world.executions.wait("waits")
    locks = Locks(shop.world.store, shop.world.clock)
    free = locks.read(SYSTEM, ENVIRONMENT)
    waiter = {"seq": 1, "deployment": planned["deployment"], "execution": shop.deployment(planned).execution}
    waiter |= {"token": "waits", "reason": "", "since": shop.ledger.now(), "type": "waiter"}
    waiter |= {"system": SYSTEM, "environment": ENVIRONMENT, "kind": keys.OPEN, "at": shop.ledger.now()}
    shop.world.store.transact([Put(keys.waiter(SYSTEM, ENVIRONMENT, 1), waiter)])
    assert free.free
    assert _run(shop)["handed_over"] == 1
    assert shop.world.executions.answers["waits"]["fence"] == 1


def test_one_that_cannot_be_mended_does_not_keep_the_others_from_it(shop: Shop) -> None:
    planned = shop.release(2)
    shop.acquire(planned)
    shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
    other = shop.release(3)
    shop.world.executions.end(shop.deployment(other).execution, "TIMED_OUT")
    shop.world.executions.fails("describe", TransientError("throttled"))
    with pytest.raises(sweep.SweepError, match="throttled"):
        _run(shop)
    assert len(shop.world.executions.started) == 1


class TestBuilds:
    @pytest.fixture
    def yard(self) -> Yard:
        return Yard()

    def test_one_whose_execution_runs_is_left_alone(self, yard: Yard) -> None:
        yard.start(yard.push())
        assert _run(yard)["builds_ended"] == 0

    @pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED", "SUCCEEDED", None])
    def test_one_whose_execution_died_has_failed_and_says_so_once(
        self, yard: Yard, status: str | None
    ) -> None:
        selected = yard.push()
        arn = yard.build(selected).execution
        if status is None:
            yard.world.executions.forget(arn)
        else:
            yard.world.executions.end(arn, status)
        assert [_run(yard)["builds_ended"] for _ in range(2)] == [1, 0]
        assert yard.build(selected).outcome is BuildOutcome.FAILED
        (event,) = yard.world.bus.of("Build Failed")
        assert f"its execution ended as {status or 'vanished'}" in event["reason"]
        assert yard.builds.last_commit(SYSTEM, MAIN, SOURCE) is None, "the next push builds it"

    def test_one_that_ended_in_the_meantime_has_not_failed(
        self, yard: Yard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its last step was slower than the sweep's look at the index."""
        selected = yard.push()
        yard.world.executions.end(yard.build(selected).execution)
        asked = yard.world.executions.describe

        def ends(arn: str) -> Execution | None:
            yard.builds.end(yard.build(selected), BuildOutcome.FAILED, "told already")
            return asked(arn)

        monkeypatch.setattr(yard.world.executions, "describe", ends)
        assert _run(yard)["builds_ended"] == 0
        assert yard.world.bus.events == []

    def test_its_token_goes_when_codebuild_has_ended_too(self, yard: Yard) -> None:
        selected = yard.push()
        id_ = yard.start(selected)
        yard.world.executions.end(yard.build(selected).execution, "ABORTED")
        yard.world.executions.waiting.clear()
        _run(yard)
        yard.finish(id_)
        assert _run(yard)["resumed"] == 0
        assert yard.ledger.open_items() == []

    def test_a_lost_event_of_codebuild_costs_a_minute(self, yard: Yard) -> None:
        selected = yard.push()
        yard.finish(yard.start(selected))
        assert _run(yard)["resumed"] == 1
        assert yard.publish(selected)["outcome"] == "Built"
        assert len(yard.deployed()) == 1

    def test_one_that_cannot_be_asked_about_does_not_hold_up_the_others(self, yard: Yard) -> None:
        for commit in ("d4", "d5"):
            yard.world.executions.end(yard.build(yard.push(commit)).execution, "ABORTED")
        yard.world.executions.fails("describe", TransientError("throttled"))
        with pytest.raises(sweep.SweepError, match="build: throttled"):
            _run(yard)
        assert len(yard.world.bus.of("Build Failed")) == 1


class TestWhatPeopleDid:
    def test_an_approval_whose_answer_was_lost_is_told(self, shop: Shop) -> None:
        shop.register(approval="required")
        planned = shop.release(2)
        shop.await_approval(planned, "waits")
        assert _run(shop)["resumed"] == 0, "nobody has decided"
        plan = shop.deployment(planned).plan
        assert plan is not None
        shop.world.executions.fails("succeed")
        shop.command("approve", deployment=planned["deployment"], plan=plan.hash)
        assert _run(shop)["resumed"] == 1
        assert shop.answers["waits"]["outcome"] == "Approved"
        assert _run(shop)["resumed"] == 0

    def test_an_abort_that_reached_the_first_of_two_services_reaches_the_second(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        for service in ("api", "worker"):
            shop.roll(planned, service, fence, token=service)
        shop.world.executions.loses("succeed")
        assert shop.command("abort", deployment=planned["deployment"], reason="why")[0] == 503
        assert len({"api", "worker"} & shop.answers.keys()) == 1
        _run(shop)
        assert {shop.answers[token]["outcome"] for token in ("api", "worker")} == {"Aborted"}

    def test_an_abort_of_one_that_waits_in_the_queue_takes_it_off(self, shop: Shop) -> None:
        shop.acquire(shop.release(2), "owner")
        waiting = shop.release(3)
        shop.acquire(waiting, "waits")
        shop.people.ask_abort(waiting["deployment"], shop.deployment(waiting), "ada", "why")
        _run(shop)
        assert shop.answers["waits"]["outcome"] == "Aborted"
        assert shop.queue == []


class TestARollbackBehindAMess:
    @pytest.fixture
    def messy(self, shop: Shop) -> tuple[Shop, Answer]:
        """The rollback came while the execution that failed still ran; that has ended since."""
        shop.go_out(2)
        planned = shop.release(3)
        fence = shop.acquire(planned, "messy")
        shop.ledger.end(shop.deployment(planned), Outcome.FAILED_DIRTY, "a mess", fence=fence)
        back = shop.plan(step="PlanRollback")
        assert shop.acquire(back, "back") == 0
        return shop, back

    def test_gets_the_lock_when_the_mess_runs_no_more(self, messy: tuple[Shop, Answer]) -> None:
        shop, back = messy
        assert _run(shop)["handed_over"] == 0, "it still runs"
        owner = shop.ledger.find(shop.owner or "")
        assert owner is not None
        shop.world.executions.end(owner.execution, "FAILED")
        assert _run(shop)["handed_over"] == 1
        assert shop.owner == back["deployment"]
        assert shop.answers["back"] == {"outcome": "Acquired", "fence": 3}

    def test_is_the_only_one_that_does(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned, "messy")
        shop.ledger.end(shop.deployment(planned), Outcome.FAILED_DIRTY, "a mess", fence=fence)
        shop.world.executions.end(shop.deployment(planned).execution, "FAILED")
        shop.acquire(shop.release(3), "waits")
        assert _run(shop)["handed_over"] == 0
        assert "waits" not in shop.answers


class TestARotation:
    def test_that_was_stopped_is_recovered_by_its_own_machine(self) -> None:
        shop = Rotating()
        planned, _ = shop.started()
        shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
        assert _run(shop)["recovered"] == 1
        (started,) = shop.world.executions.started
        assert (started.machine, started.payload["recover"]) == ("rotate", planned["deployment"])
        execution = {"id": started.arn, "name": started.name, "started_at": shop.ledger.now()}
        again = shop.plan(execution, "PlanRotation", recover=planned["deployment"])
        assert (again["outcome"], again["deployment"]) == ("Recover", planned["deployment"])

    def test_that_cannot_be_recovered_is_told_as_one(self) -> None:
        """Guards `ended.event` in `_give_up`."""
        shop = Rotating()
        planned, _ = shop.started()
        for _ in range(sweep.MAX_RECOVERIES + 1):
            shop.world.executions.end(shop.deployment(planned).execution, "FAILED")
            _run(shop)
        assert shop.deployment(planned).outcome is Outcome.FAILED_DIRTY
        assert [event["severity"] for event in shop.world.bus.of("Rotation Failed")] == ["critical"]
