"""Waiting for a person: the decision may come before the token, belongs to one plan, and an abort goes before it."""

from __future__ import annotations

import pytest
from tidegate.domain.deployment import Phase
from tidegate.domain.errors import TransientError
from tidegate.domain.intervention import Approval
from tidegate.steps import sweep

from tests.unit.steps.conftest import ENVIRONMENT, GRACE, SYSTEM, Answer, Shop, crashing

PLACE = SYSTEM, ENVIRONMENT


@pytest.fixture
def gated(shop: Shop) -> tuple[Shop, Answer]:
    shop.register(approval={"by": "other"})
    return shop, shop.release(2, actor="ada")


def approval(shop: Shop, planned: Answer) -> Approval:
    found = shop.people.approval(*PLACE, planned["deployment"])
    assert found is not None
    return found


def plan(shop: Shop, planned: Answer) -> str:
    found = shop.deployment(planned).plan
    assert found is not None
    return found.hash


def approve(shop: Shop, planned: Answer) -> None:
    given = {"deployment": planned["deployment"], "plan": plan(shop, planned)}
    assert shop.command("approve", **given)[0] == 200


def test_it_waits_without_the_lock_and_says_how_to_approve(gated: tuple[Shop, Answer]) -> None:
    shop, planned = gated
    assert shop.await_approval(planned) is None
    assert shop.owner is None
    assert shop.deployment(planned).phase is Phase.AWAITING_APPROVAL
    (event,) = shop.world.bus.of("Deployment Awaiting Approval")
    assert event["reason"] == (f"by somebody other than the author: tidegate approve {planned['deployment']}")
    known = approval(shop, planned)
    assert (known.author, known.other, known.plan) == ("ada", True, plan(shop, planned))


def test_a_decision_that_came_before_the_token_answers_it(gated: tuple[Shop, Answer]) -> None:
    """As for a task that is retried when its function had crashed."""
    shop, planned = gated
    shop.await_approval(planned, "lost")
    shop.world.executions.waiting.discard("lost")
    approve(shop, planned)
    told = shop.await_approval(planned, "again")
    assert told is not None
    assert told["outcome"] == "Approved"
    assert len(shop.world.bus.of("Deployment Awaiting Approval")) == 1, "nobody is asked twice"


def test_another_plan_is_asked_for_anew(gated: tuple[Shop, Answer]) -> None:
    """Red without the plan in Interventions.ask_approval: nobody approves what they have not seen."""
    shop, planned = gated
    shop.await_approval(planned, "first")
    approve(shop, planned)
    fence = shop.acquire(planned)
    seen = plan(shop, planned)
    uri = f"{shop.world.images.uri('shop-app')}@sha256:{1:064x}"
    shop.world.containers.add_task_definition("shop-api", uri, cpu="512")
    assert shop.plan_again(planned, fence)["outcome"] == "Approval"
    assert plan(shop, planned) != seen
    assert shop.await_approval(planned, "second") is None
    assert approval(shop, planned).decision is None
    assert shop.command("approve", deployment=planned["deployment"], plan=seen)[1]["error"]["field"] == "plan"
    approve(shop, planned)
    assert shop.answers["second"]["outcome"] == "Approved"


def test_who_has_asked_for_an_abort_is_not_asked_to_approve(gated: tuple[Shop, Answer]) -> None:
    shop, planned = gated
    shop.command("abort", deployment=planned["deployment"], reason="wrong commit")
    told = shop.await_approval(planned)
    assert told is not None
    assert (told["outcome"], told["reason"]) == ("Aborted", f"aborted by {GRACE}: wrong commit")
    assert shop.world.bus.of("Deployment Awaiting Approval") == []
    assert shop.ledger.tokens_of(planned["deployment"]) == []


def test_an_abort_goes_before_an_approval(gated: tuple[Shop, Answer]) -> None:
    shop, planned = gated
    shop.await_approval(planned, "lost")
    shop.world.executions.waiting.discard("lost")
    approve(shop, planned)
    shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "ada", "no")
    told = shop.await_approval(planned, "again")
    assert told is not None
    assert told["outcome"] == "Aborted"


def test_nothing_of_it_is_left_when_the_run_has_ended(gated: tuple[Shop, Answer]) -> None:
    """Nobody came: the task timed out. Red where the token stays, which the sweep would look after for a year."""
    shop, planned = gated
    shop.await_approval(planned)
    shop.world.executions.waiting.clear()
    shop.record(planned, "Fail", error={"name": "ApprovalExpired", "cause": "nobody approved it"})
    assert shop.people.approvals(*PLACE) == []
    assert shop.ledger.open_items() == []


def test_what_the_manifest_asks_for_by_the_time_of_its_turn_counts(shop: Shop) -> None:
    """Red where only another plan is written down: the author could approve, and the approval stayed for ever."""
    planned = shop.release(2, actor="ada")
    fence = shop.acquire(planned)
    shop.register(approval={"by": "other"})
    assert shop.plan_again(planned, fence)["outcome"] == "Approval"
    assert shop.await_approval(planned) is None
    assert approval(shop, planned).other
    shop.record(planned, "Fail", fence, error={"name": "ApprovalExpired", "cause": ""})
    assert shop.people.approvals(*PLACE) == []


def test_a_mess_waits_for_nobody_to_approve_it(gated: tuple[Shop, Answer]) -> None:
    """FailedDirty keeps the lock and nothing else: red where its approval stays, and later releases give way to it."""
    shop, planned = gated
    shop.await_approval(planned)
    approve(shop, planned)
    fence = shop.acquire(planned)
    shop.roll(planned, "api", fence)
    shop.world.containers.complete("shop-api")
    assert shop.record(planned, "Fail", fence, error=None)["outcome"] == "FailedDirty"
    assert shop.owner == planned["deployment"]
    assert shop.people.approvals(*PLACE) == []


@pytest.mark.parametrize("lost", ["fails", "loses"])
@pytest.mark.parametrize("number", range(8))
def test_a_crash_at_any_write_is_mended_by_the_retry(
    gated: tuple[Shop, Answer], lost: str, number: int
) -> None:
    shop, planned = gated
    with crashing(shop.world.store, "transact", lost, number):
        try:
            shop.await_approval(planned, "first")
            token = "first"
        except TransientError:
            shop.await_approval(planned, "second")
            token = "second"
    assert token not in shop.answers
    approve(shop, planned)
    sweep.run({}, shop.world.ports)
    assert shop.answers[token]["outcome"] == "Approved"
    assert shop.ledger.tokens_of(planned["deployment"]) == []
