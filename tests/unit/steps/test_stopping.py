"""An abort reaches a run at whatever it waits for; where it waits for nothing, the next look of the run finds it."""

from __future__ import annotations

import pytest
from tidegate.domain.deployment import Deployment
from tidegate.domain.errors import TransientError
from tidegate.domain.intervention import Abort
from tidegate.domain.outcome import Outcome
from tidegate.steps import roll_service, stopping, sweep

from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, SYSTEM, Answer, Shop, crashing

ABORT = Abort("grace", "wrong commit", "2026-03-02T09:00:00.000Z")
TOLD = "aborted by grace: wrong commit"


def ask(shop: Shop, planned: Answer) -> None:
    """The record alone, as after a crash of whoever asked."""
    assert shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "grace", "wrong commit")


def stop(shop: Shop, planned: Answer) -> int:
    return stopping.stop(shop.world.ports, shop.deployment(planned), stopping.aborted(ABORT))


def aborts(shop: Shop, token: str) -> bool:
    told = shop.answers.get(token)
    return told is not None and (told["outcome"], told["reason"]) == ("Aborted", TOLD)


class TestWhatWaits:
    def test_in_the_queue_is_told_and_leaves_it(self, shop: Shop) -> None:
        shop.acquire(shop.release(2), "owner")
        waiting = shop.release(3)
        shop.acquire(waiting, "waits")
        assert stop(shop, waiting) == 1
        assert aborts(shop, "waits")
        assert shop.queue == []
        assert stop(shop, waiting) == 0

    def test_for_a_person_is_told(self, shop: Shop) -> None:
        shop.register(approval="required")
        planned = shop.release(2)
        shop.await_approval(planned, "waits")
        assert stop(shop, planned) == 1
        assert aborts(shop, "waits")
        assert shop.ledger.tokens_of(planned["deployment"]) == []

    def test_for_ecs_is_told_for_every_service(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        for service in ("api", "worker"):
            shop.roll(planned, service, fence, token=service)
        assert stop(shop, planned) == 2
        assert aborts(shop, "api")
        assert aborts(shop, "worker")

    def test_for_somebody_elses_deployment_is_told(self, shop: Shop) -> None:
        planned = shop.release(2)
        shop.acquire(planned)
        moving = shop.world.containers.supersede(
            "shop-api", shop.world.containers.add_task_definition("shop-api").arn
        )
        busy = {"service": "api", "cluster": CLUSTER, "ecs_service": "shop-api", "ecs_deployment": moving.id}
        event = {"step": "Await", **shop.place(planned), "busy": busy, "execution": "arn:deploy"}
        roll_service.run({**event, "token": shop.world.executions.wait("waits")}, shop.world.ports)
        assert stop(shop, planned) == 1
        assert aborts(shop, "waits")

    def test_for_alarms_is_told_once_for_all_of_them(self, shop: Shop) -> None:
        shop.register(bake={"for": "5m", "alarms": ["a", "b"]})
        planned = shop.release(2)
        shop.bake(planned, shop.acquire(planned), "bakes")
        assert stop(shop, planned) == 1
        assert aborts(shop, "bakes")
        assert shop.ledger.open_items()
        assert shop.ledger.tokens_of(planned["deployment"]) == []

    def test_on_its_way_back_is_left_alone(self, shop: Shop) -> None:
        """Red where every token is answered: the abort would stop what it asks for."""
        planned = shop.release(2)
        fence = shop.acquire(planned)
        shop.roll(planned, "api", fence, token="rolls")
        shop.world.containers.complete("shop-api")
        shop.roll(planned, "api", fence, "Revert", token="reverts")
        assert stop(shop, planned) == 1
        assert "reverts" not in shop.answers
        assert len(shop.ledger.tokens_of(planned["deployment"])) == 1

    def test_of_a_rollback_that_has_begun_is_left_alone(self, shop: Shop) -> None:
        """Whoever asked saw it before it had the lock: half a rollback is no state that anybody ran."""
        shop.go_out(2)
        back = shop.plan(step="PlanRollback")
        fence = shop.acquire(back, "back")
        shop.roll(back, "api", fence, token="rolls")
        ask(shop, back)
        assert stop(shop, back) == 0
        assert shop.roll(back, "worker", fence, token="rolls-too") is None
        sweep.run({}, shop.world.ports)
        assert not {"rolls", "rolls-too"} & shop.answers.keys()

    def test_of_another_deployment_hears_nothing(self, shop: Shop) -> None:
        owner, waiting = shop.release(2), shop.release(3)
        fence = shop.acquire(owner, "owner")
        shop.roll(owner, "api", fence, token="rolls")
        shop.acquire(waiting, "waits")
        stop(shop, waiting)
        assert "rolls" not in shop.answers


class TestAnAbortThatNobodyWasToldOf:
    def test_is_found_when_the_lock_is_asked_for(self, shop: Shop) -> None:
        planned = shop.release(2)
        ask(shop, planned)
        shop.acquire(planned, "token")
        assert aborts(shop, "token")
        shop.record(planned, "Fail", int(shop.answers["token"]["fence"]), error=None)
        assert shop.owner is None
        assert shop.deployment(planned).outcome is Outcome.FAILED_CLEAN
        assert shop.deployment(planned).explanation == f"{TOLD}; nothing had been changed"

    def test_is_found_when_it_joins_the_queue(self, shop: Shop) -> None:
        shop.acquire(shop.release(2), "owner")
        waiting = shop.release(3)
        ask(shop, waiting)
        shop.acquire(waiting, "waits")
        assert aborts(shop, "waits")
        assert shop.queue == []

    def test_is_found_when_it_plans_under_the_lock(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        ask(shop, planned)
        assert shop.plan_again(planned, fence)["outcome"] == "Aborted"

    def test_is_found_before_a_service_is_touched(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        ask(shop, planned)
        shop.roll(planned, "api", fence, token="rolls")
        assert aborts(shop, "rolls")
        assert shop.world.containers.called("register") == 0
        assert shop.ledger.rollouts(planned["deployment"]) == [], "it needs no way back"

    def test_is_found_when_the_token_is_there(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        """Asked for while ECS was being changed: red without the look behind keep_token."""
        planned = shop.release(2)
        fence = shop.acquire(planned)
        update = shop.world.containers.update_service

        def meanwhile(*args: object, **more: object) -> object:
            ask(shop, planned)
            return update(*args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(shop.world.containers, "update_service", meanwhile)
        shop.roll(planned, "api", fence, token="rolls")
        assert aborts(shop, "rolls")
        assert shop.record(planned, "BeginCompensation", fence)["waves"] == [{"services": ["api"]}]

    def test_is_found_when_the_bake_begins(self, shop: Shop) -> None:
        shop.register(bake={"for": "5m", "alarms": ["a", "b"]})
        planned = shop.release(2)
        fence = shop.acquire(planned)
        ask(shop, planned)
        told = shop.bake(planned, fence, "bakes")
        assert told is not None
        assert told["outcome"] == "Aborted"
        assert shop.ledger.tokens_of(planned["deployment"]) == []

    def test_is_told_by_the_sweep(self, shop: Shop) -> None:
        planned = shop.release(2)
        shop.roll(planned, "api", shop.acquire(planned), token="rolls")
        ask(shop, planned)
        sweep.run({}, shop.world.ports)
        assert aborts(shop, "rolls")


class TestTheSweep:
    IDENTITY = "01K0000000000000000000000A"

    def asked_unseen(self, shop: Shop) -> str:
        arn = shop.world.executions.run("deploy", self.IDENTITY)
        assert shop.command("abort", deployment=self.IDENTITY, reason="why")[0] == 200
        return arn

    def test_keeps_an_abort_for_a_run_that_is_not_in_the_ledger_yet(self, shop: Shop) -> None:
        self.asked_unseen(shop)
        sweep.run({}, shop.world.ports)
        assert len(shop.ledger.open_items()) == 1

    def test_closes_that_of_a_run_that_never_was_recorded(self, shop: Shop) -> None:
        """Its input was refused: red where the sweep looks for it each minute, for ever."""
        shop.world.executions.end(self.asked_unseen(shop))
        sweep.run({}, shop.world.ports)
        assert shop.ledger.open_items() == []
        assert shop.people.abort_of(self.IDENTITY) is not None

    def test_closes_that_of_a_run_that_has_ended(self, shop: Shop) -> None:
        planned = shop.release(2)
        ask(shop, planned)
        shop.ledger.end(shop.deployment(planned), Outcome.FAILED_CLEAN, "crashed behind it")
        sweep.run({}, shop.world.ports)
        assert shop.ledger.open_items() == []


@pytest.mark.parametrize("lost", ["fails", "loses"])
@pytest.mark.parametrize("method", ["succeed", "transact"])
@pytest.mark.parametrize("number", range(4))
def test_a_crash_in_between_is_mended_by_doing_it_again(
    shop: Shop, method: str, lost: str, number: int
) -> None:
    """Told before it is taken off: red the other way round, where a crash leaves a task that nobody knows of."""
    first = shop.release(2)
    fence = shop.acquire(first, "owner")
    for service in ("api", "worker"):
        shop.roll(first, service, fence, token=service)
    waiting = shop.release(3)
    shop.acquire(waiting, "waits")
    fake = shop.world.executions if method == "succeed" else shop.world.store
    for planned in (first, waiting):
        with crashing(fake, method, lost, number):
            try:
                stop(shop, planned)
            except TransientError:
                stop(shop, planned)
    assert {"api", "worker", "waits"} <= shop.answers.keys()
    assert shop.queue == []
    assert shop.ledger.tokens_of(first["deployment"]) == []


class TestWithdraw:
    def test_does_not_reach_one_that_has_got_the_lock(self, shop: Shop) -> None:
        """It was read as waiting a moment before: red where `stop` is used for those that give way."""
        planned = shop.release(2)
        before: Deployment = shop.deployment(planned)
        shop.roll(planned, "api", shop.acquire(planned), token="rolls")
        assert stopping.withdraw(shop.world.ports, before, stopping.superseded(before, "why")) == 0
        assert "rolls" not in shop.answers

    def test_answers_with_how_it_ends(self, shop: Shop) -> None:
        shop.acquire(shop.release(2), "owner")
        waiting = shop.release(3)
        shop.acquire(waiting, "waits")
        deployment = shop.deployment(waiting)
        stopping.withdraw(shop.world.ports, deployment, stopping.superseded(deployment, "why"))
        assert shop.answers["waits"] == {
            "outcome": "Superseded",
            "reason": "why",
            "fence": -1,
            "document": {
                "outcome": "Superseded",
                "deployment": waiting["deployment"],
                "release": "r2",
                "reason": "why",
                "services": {},
            },
        }
        assert shop.locks.waiters(SYSTEM, ENVIRONMENT) == []
