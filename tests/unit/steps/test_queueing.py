"""Who gives way to whom: the latest release takes the place of those that wait, a rollback goes before all."""

from __future__ import annotations

import pytest
from tidegate.domain.errors import TransientError
from tidegate.domain.outcome import Outcome

from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, Answer, Shop, crashing, digest
from tests.unit.steps.rotating import Rotating, taking


@pytest.fixture
def held(shop: Shop) -> Shop:
    """A release of version 2 holds the lock."""
    for version in range(4, 9):
        shop.world.images.push(REPOSITORY, digest(version), f"c{version}")
    shop.acquire(shop.release(2), "owner")
    return shop


def superseded(shop: Shop, token: str, older: Answer, newer: Answer) -> bool:
    told = shop.answers.get(token)
    return (
        told is not None
        and told["outcome"] == "Superseded"
        and told["document"]["deployment"] == older["deployment"]
        and newer["deployment"] in told["reason"]
    )


class TestLatest:
    def test_the_newer_takes_the_place_of_those_that_wait_and_never_of_the_one_that_runs(
        self, held: Shop
    ) -> None:
        first, second = held.release(3), held.release(4)
        held.acquire(first, "first")
        assert "first" not in held.answers
        held.acquire(second, "second")
        assert superseded(held, "first", first, second)
        assert held.queue == [second["deployment"]]
        assert "Aborted" not in str(held.answers["owner"])

    def test_the_one_that_gave_way_ends_superseded_and_leaves_the_lock_alone(self, held: Shop) -> None:
        first, owner = held.release(3), held.owner
        held.acquire(first, "first")
        held.acquire(held.release(4), "second")
        held.record(first, "Conclude", document=held.answers["first"]["document"])
        assert held.deployment(first).outcome is Outcome.SUPERSEDED
        assert held.owner == owner

    def test_an_older_push_that_comes_late_gives_way_itself(self, held: Shop) -> None:
        """Its build took longer: the order is that of the pushes."""
        older, newer = "01K0000000000000000000000A", "01K0000000000000000000000B"
        second = held.release(4, trigger="event", order=newer)
        held.acquire(second, "second")
        first = held.release(3, trigger="event", order=older)
        held.acquire(first, "first")
        assert superseded(held, "first", first, second)
        assert held.queue == [second["deployment"]]
        assert "second" not in held.answers

    def test_what_an_event_brings_leaves_a_person_in_the_queue(self, held: Shop) -> None:
        """Red where only the order decides."""
        asked = held.release(3, actor="ada")
        held.acquire(asked, "asked")
        pushed = held.release(4, trigger="event")
        held.acquire(pushed, "pushed")
        assert held.queue == [asked["deployment"], pushed["deployment"]]
        assert not {"asked", "pushed"} & held.answers.keys()

    def test_what_a_person_asks_for_takes_the_place_of_an_event(self, held: Shop) -> None:
        pushed = held.release(3, trigger="event")
        held.acquire(pushed, "pushed")
        asked = held.release(4)
        held.acquire(asked, "asked")
        assert superseded(held, "pushed", pushed, asked)

    def test_one_that_waits_for_a_person_gives_way_as_well(self, held: Shop) -> None:
        held.register(approval="required")
        first = held.release(3)
        held.await_approval(first, "first")
        second = held.release(4)
        held.await_approval(second, "second")
        assert superseded(held, "first", first, second)
        assert "second" not in held.answers

    def test_one_that_waits_for_a_person_gives_way_to_one_in_the_queue(self, held: Shop) -> None:
        newer = held.release(4, trigger="event", order="01K0000000000000000000000B")
        held.acquire(newer, "newer")
        held.register(approval="required")
        older = held.release(3, trigger="event", order="01K0000000000000000000000A")
        held.await_approval(older, "older")
        assert superseded(held, "older", older, newer)

    def test_a_restart_neither_gives_way_nor_takes_a_place(self, held: Shop) -> None:
        pushed = held.release(3, trigger="event")
        held.acquire(pushed, "pushed")
        secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-AbCdEf"
        content = {
            "family": "shop-api",
            "containerDefinitions": [
                {
                    "name": "app",
                    "image": f"x@sha256:{1:064x}",
                    "secrets": [{"name": "S", "valueFrom": secret}],
                }
            ],
        }
        held.world.references.secrets.add(secret)
        registered = held.world.containers.register(content, {})
        held.world.containers.supersede("shop-api", registered.arn)
        held.world.containers.complete("shop-api")
        held.world.clock.advance(10)
        restart = {"secret": secret, "version": "v", "at": held.ledger.now()}
        again = held.plan(restart=restart, trigger="event")
        held.acquire(again, "again")
        assert held.queue == [pushed["deployment"], again["deployment"]]
        held.acquire(held.release(4, trigger="event"), "newer")
        assert "again" not in held.answers
        assert held.answers["pushed"]["outcome"] == "Superseded"

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize("method", ["succeed", "transact"])
    @pytest.mark.parametrize("number", range(6))
    def test_a_crash_at_any_call_is_mended_by_the_retry(
        self, held: Shop, method: str, lost: str, number: int
    ) -> None:
        first, second = held.release(3), held.release(4)
        held.acquire(first, "first")
        fake = held.world.executions if method == "succeed" else held.world.store
        with crashing(fake, method, lost, number):
            try:
                held.acquire(second, "second")
            except TransientError:
                held.acquire(second, "second-again")
        assert superseded(held, "first", first, second)
        assert held.queue == [second["deployment"]]


def held_by(shop: Shop) -> Answer:
    return {"system": SYSTEM, "environment": ENVIRONMENT, "deployment": shop.owner}


def test_with_fifo_each_gets_its_turn(held: Shop) -> None:
    held.register(queue="fifo")
    first, second = held.release(3), held.release(4)
    held.acquire(first, "first")
    held.acquire(second, "second")
    assert held.queue == [first["deployment"], second["deployment"]]
    assert not {"first", "second"} & held.answers.keys()


class TestARollback:
    @pytest.fixture
    def busy(self, held: Shop) -> tuple[Shop, Answer]:
        """Version 2 went out; 3 rolls, 4 waits for the lock."""
        owner = held_by(held)
        held.record(owner, "Fail", 1, error={"name": "Test", "cause": ""})
        held.go_out(2)
        rolling = held.release(3)
        fence = held.acquire(rolling, "rolling")
        held.roll(rolling, "api", fence, token="rolls")
        held.acquire(held.release(4), "waits")
        return held, rolling

    def test_takes_the_running_one_back_and_supersedes_those_that_wait(
        self, busy: tuple[Shop, Answer]
    ) -> None:
        shop, rolling = busy
        back = shop.plan(step="PlanRollback", actor="ada", reason="it burns")
        assert shop.acquire(back, "back") == 0
        assert shop.answers["waits"]["outcome"] == "Superseded"
        assert shop.answers["rolls"]["outcome"] == "Aborted"
        abort = shop.people.abort_of(rolling["deployment"])
        assert abort is not None
        assert abort.told == f"aborted by ada: rollback {back['deployment']}: it burns"
        assert shop.queue == [back["deployment"]]

    def test_leaves_one_alone_that_takes_itself_back_already(self, busy: tuple[Shop, Answer]) -> None:
        """What reverts is what the rollback wants."""
        shop, rolling = busy
        shop.world.containers.complete("shop-api")
        assert shop.roll(rolling, "api", shop.deployment(rolling).fence, "Revert", "reverts") is None
        shop.acquire(shop.plan(step="PlanRollback"), "back")
        assert "reverts" not in shop.answers

    def test_supersedes_those_that_wait_for_a_person(self, busy: tuple[Shop, Answer]) -> None:
        shop, _ = busy
        shop.register(approval="required")
        asked = shop.release(5)
        shop.await_approval(asked, "asked")
        shop.acquire(shop.plan(step="PlanRollback"), "back")
        assert shop.answers["asked"]["outcome"] == "Superseded"

    def test_supersedes_one_that_waits_for_a_person_while_nobody_has_the_lock(self, shop: Shop) -> None:
        """Guards `supersede_waiting` in steps.lock._acquire: an approval would undo the rollback."""
        shop.go_out(2)
        shop.register(approval="required")
        asked = shop.release(3)
        assert shop.await_approval(asked) is None
        rollback = shop.plan(step="PlanRollback", to="previous")
        assert shop.acquire(rollback) > 0
        assert shop.answers["approval-token"]["outcome"] == "Superseded"
        assert rollback["deployment"] in shop.answers["approval-token"]["reason"]

    def test_waits_behind_another_rollback_that_runs(self, held: Shop) -> None:
        """Red where everything that holds the lock is aborted: half a rollback is no state that anybody ran."""
        held.record(held_by(held), "Fail", 1, error={"name": "Test", "cause": ""})
        held.go_out(2)
        one, two = held.plan(step="PlanRollback"), held.plan(step="PlanRollback")
        held.roll(one, "api", held.acquire(one, "one"), token="rolls-back")
        held.acquire(two, "two")
        assert held.people.abort_of(one["deployment"]) is None
        assert "rolls-back" not in held.answers
        assert held.queue == [two["deployment"]]

    def test_takes_the_lock_over_from_a_mess_but_not_while_that_still_runs(self, held: Shop) -> None:
        owner = held_by(held)
        held.record(owner, "Fail", 1, error={"name": "Test", "cause": ""})
        held.go_out(2)
        messy = held.release(3)
        fence = held.acquire(messy, "messy")
        held.ledger.end(held.deployment(messy), Outcome.FAILED_DIRTY, "a mess", fence=fence)
        back = held.plan(step="PlanRollback")
        held.acquire(back, "back")
        assert held.owner == messy["deployment"], "its execution runs"
        assert "back" not in held.answers

        held.world.executions.end(held.deployment(messy).execution, "FAILED")
        held.acquire(back, "back-again")
        assert held.owner == back["deployment"]
        assert held.answers["back-again"]["outcome"] == "Acquired"

    def test_clearing_the_way_twice_is_the_same(self, busy: tuple[Shop, Answer]) -> None:
        shop, rolling = busy
        back = shop.plan(step="PlanRollback", actor="ada")
        shop.acquire(back, "back")
        first = shop.people.abort_of(rolling["deployment"])
        shop.acquire(back, "back-again")
        assert shop.people.abort_of(rolling["deployment"]) == first
        assert shop.queue == [back["deployment"]]
        assert [line.what for line in shop.timeline(rolling)].count("abort requested") == 1

    def test_goes_before_all_that_join_later(self, busy: tuple[Shop, Answer]) -> None:
        shop, _ = busy
        back = shop.plan(step="PlanRollback")
        shop.acquire(back, "back")
        later = shop.release(6)
        shop.acquire(later, "later")
        again = shop.plan(step="PlanRollback", to="r0")
        shop.acquire(again, "again")
        assert shop.queue[:2] == [back["deployment"], again["deployment"]]
        assert shop.answers["later"]["outcome"] == "Superseded"

    @pytest.mark.parametrize("lost", ["fails", "loses"])
    @pytest.mark.parametrize("method", ["succeed", "transact"])
    @pytest.mark.parametrize("number", range(8))
    def test_a_crash_at_any_call_is_mended_by_the_retry(
        self, busy: tuple[Shop, Answer], method: str, lost: str, number: int
    ) -> None:
        shop, rolling = busy
        back = shop.plan(step="PlanRollback")
        fake = shop.world.executions if method == "succeed" else shop.world.store
        with crashing(fake, method, lost, number):
            try:
                shop.acquire(back, "back")
            except TransientError:
                shop.acquire(back, "back-again")
        assert shop.answers["waits"]["outcome"] == "Superseded"
        assert shop.answers["rolls"]["outcome"] == "Aborted"
        assert shop.queue == [back["deployment"]]
        assert shop.people.abort_of(rolling["deployment"]) is not None


class TestARotation:
    @pytest.fixture
    def shop(self) -> Rotating:
        """Version 2 went out; both services take the secret."""
        shop = Rotating()
        shop.go_out(2)
        for service in ("api", "worker"):
            taking(shop, service)
        return shop

    def test_that_runs_is_taken_back_by_a_rollback(self, shop: Rotating) -> None:
        planned, fence = shop.started()
        shop.roll(planned, "worker", fence, token="rolls")
        back = shop.plan(step="PlanRollback", actor="ada", reason="it burns")
        assert shop.acquire(back, "back") == 0
        assert shop.answers["rolls"]["outcome"] == "Aborted"
        shop.restore(planned, fence)
        for service in ("worker", "api"):
            shop.restart(planned, service, fence, "Revert")
        assert "it burns" in shop.fail(planned, fence, "Restored")["reason"]
        assert shop.answers["back"]["outcome"] == "Acquired"

    def test_that_disables_the_old_credential_is_waited_for(self, shop: Rotating) -> None:
        """Guards `Phase.RETIRING` in `can_be_aborted`."""
        planned, fence = shop.restarted()
        shop.record(planned, "BeginRetire", fence)
        back = shop.plan(step="PlanRollback")
        assert shop.acquire(back, "back") == 0
        assert shop.people.abort_of(planned["deployment"]) is None
        assert shop.record(planned, "Rotated", fence, version="v")["outcome"] == "Rotated"
        assert shop.answers["back"]["outcome"] == "Acquired"

    def test_that_waits_stays_in_the_queue_behind_a_rollback(self, shop: Rotating) -> None:
        """Guards `not waiting.rotation`: it brings no release that a rollback would undo."""
        shop.acquire(shop.release(3), "owner")
        planned = shop.asked()
        assert shop.acquire(planned, "rotation") == 0
        back = shop.plan(step="PlanRollback")
        shop.acquire(back, "back")
        assert "rotation" not in shop.answers
        assert shop.queue == [back["deployment"], planned["deployment"]]

    def test_neither_gives_way_nor_takes_a_place(self, shop: Rotating) -> None:
        shop.settings(queue="latest")
        shop.acquire(shop.release(3), "owner")
        pushed = shop.release(2, trigger="event", order="01K0000000000000000000000A")
        assert pushed["outcome"] == "Ready"
        shop.acquire(pushed, "pushed")
        planned = shop.asked()
        shop.acquire(planned, "rotation")
        assert "pushed" not in shop.answers
        newer = shop.release(3, trigger="event", order="01K0000000000000000000000B")
        shop.acquire(newer, "newer")
        assert shop.answers["pushed"]["outcome"] == "Superseded"
        assert "rotation" not in shop.answers
