"""What people did: aborts before the end, one decision a plan, a freeze at a time, commands recorded once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tidegate.domain.deployment import Deployment, Machine
from tidegate.domain.errors import AbortedError, ConflictError, TransientError
from tidegate.domain.freeze import Freeze
from tidegate.domain.intervention import APPROVED, REJECTED, Abort, Approval
from tidegate.domain.lock import Rank
from tidegate.domain.outcome import Outcome
from tidegate.ledger import keys
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.records import Ledger

from tests.support.clock import FakeClock
from tests.unit.ledger.meddling import ENVIRONMENT, SYSTEM, MeddledStore

PLACE = (SYSTEM, ENVIRONMENT)


class Shop:
    def __init__(self) -> None:
        self.store = MeddledStore()
        self.clock = FakeClock()
        self.people = Interventions(self.store, self.clock)
        self.ledger = Ledger(self.store, self.clock)

    def open(self, identity: str = "D1", machine: Machine = Machine.DEPLOY) -> Deployment:
        deployment = Deployment(identity, *PLACE, machine, f"arn:{identity}", self.ledger.now())
        return self.ledger.open(deployment, "deployment requested")

    def told(self, identity: str = "D1") -> list[str]:
        return [line.what for line in self.ledger.timeline(identity)]

    def asked(self, plan: str = "p1", identity: str = "D1") -> Approval:
        approval = Approval(identity, plan, self.ledger.now(), "ada", other=True, rank=Rank("01A", True))
        return self.people.ask_approval(*PLACE, approval)


@pytest.fixture
def shop() -> Shop:
    return Shop()


class TestAnAbort:
    def test_is_kept_told_and_looked_after_until_the_deployment_ends(self, shop: Shop) -> None:
        deployment = shop.open()
        assert shop.people.ask_abort("D1", deployment, "ada", "why")
        abort = Abort("ada", "why", shop.ledger.now())
        assert shop.people.abort_of("D1") == abort
        assert "abort requested" in shop.told()
        assert [item["type"] for item in shop.ledger.open_items()] == ["abort", "deployment"]
        shop.people.close_abort("D1")
        assert [item["type"] for item in shop.ledger.open_items()] == ["deployment"]
        assert shop.people.abort_of("D1") == abort, "who asked and why stays"

    def test_is_the_first_one(self, shop: Shop) -> None:
        deployment = shop.open()
        assert shop.people.ask_abort("D1", deployment, "ada", "first")
        assert shop.people.ask_abort("D1", deployment, "grace", "second")
        known = shop.people.abort_of("D1")
        assert known is not None
        assert known.by == "ada"
        assert shop.told().count("abort requested") == 1

    def test_of_one_that_has_ended_is_none(self, shop: Shop) -> None:
        before = shop.open()
        shop.ledger.end(before, Outcome.REFUSED, "why")
        assert not shop.people.ask_abort("D1", before, "ada", "late")
        assert shop.people.abort_of("D1") is None
        assert "abort requested" not in shop.told()

    def test_of_one_that_has_ended_is_none_also_where_it_was_asked_before(self, shop: Shop) -> None:
        """The first condition that fails decides, as in DynamoDB's answer."""
        deployment = shop.open()
        shop.people.ask_abort("D1", deployment, "ada", "why")
        shop.ledger.end(deployment, Outcome.FAILED_CLEAN, "taken back")
        assert not shop.people.ask_abort("D1", deployment, "grace", "late")

    def test_of_one_that_is_not_in_the_ledger_yet_waits_there_for_it(self, shop: Shop) -> None:
        assert shop.people.ask_abort("D1", None, "ada", "why")
        assert shop.people.ask_abort("D1", None, "grace", "again")
        deployment = shop.open()
        with pytest.raises(AbortedError):
            shop.ledger.end(deployment, Outcome.SUCCEEDED, "")

    def test_closed_where_there_is_none_makes_none(self, shop: Shop) -> None:
        shop.people.close_abort("D1")
        assert shop.people.abort_of("D1") is None

    def test_whose_answer_was_lost_is_there(self, shop: Shop) -> None:
        deployment = shop.open()
        shop.store.loses("transact")
        with pytest.raises(TransientError):
            shop.people.ask_abort("D1", deployment, "ada", "why")
        assert shop.people.ask_abort("D1", deployment, "ada", "why")
        assert shop.told().count("abort requested") == 1


class TestTheEnd:
    @pytest.mark.parametrize(
        "outcome", [Outcome.SUCCEEDED, Outcome.NO_CHANGE, Outcome.REFUSED, Outcome.SUPERSEDED]
    )
    def test_of_a_deployment_that_is_to_be_taken_back_is_no_good_one(
        self, shop: Shop, outcome: Outcome
    ) -> None:
        deployment = shop.open()
        shop.people.ask_abort("D1", deployment, "ada", "why")
        with pytest.raises(AbortedError):
            shop.ledger.end(deployment, outcome, "")
        known = shop.ledger.deployment(*PLACE, "D1")
        assert known is not None
        assert known.outcome is None

    @pytest.mark.parametrize("outcome", [Outcome.FAILED_CLEAN, Outcome.FAILED_DIRTY])
    def test_of_one_that_was_taken_back_is_recorded(self, shop: Shop, outcome: Outcome) -> None:
        deployment = shop.open()
        shop.people.ask_abort("D1", deployment, "ada", "why")
        assert shop.ledger.end(deployment, outcome, "").outcome is outcome

    def test_of_a_rollback_is_what_it_is(self, shop: Shop) -> None:
        """One that has begun is finished."""
        deployment = shop.open(machine=Machine.ROLLBACK)
        shop.people.ask_abort("D1", deployment, "ada", "why")
        assert shop.ledger.end(deployment, Outcome.SUCCEEDED, "").outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize("before_call", range(4))
    def test_met_by_an_abort_at_any_call_is_either_a_success_or_taken_back(
        self, shop: Shop, before_call: int
    ) -> None:
        """Red without the condition on the abort in Ledger.end, or that on the outcome in ask_abort."""
        deployment = shop.open()
        accepted: list[bool] = []

        def abort() -> None:
            accepted.append(shop.people.ask_abort("D1", deployment, "ada", "why"))

        with shop.store.on_behalf_of("D1", rival=abort, before_call=before_call):
            try:
                succeeded = shop.ledger.end(deployment, Outcome.SUCCEEDED, "").outcome is Outcome.SUCCEEDED
            except AbortedError:
                succeeded = False
        if not accepted:
            abort()
        assert accepted == [not succeeded]
        assert (shop.people.abort_of("D1") is None) == succeeded

    @pytest.mark.parametrize("before_call", range(4))
    def test_that_comes_at_any_call_of_an_abort_is_either_as_well(self, shop: Shop, before_call: int) -> None:
        deployment = shop.open()
        ends: list[bool] = []

        def end() -> None:
            try:
                shop.ledger.end(deployment, Outcome.SUCCEEDED, "")
            except AbortedError:
                ends.append(False)
            else:
                ends.append(True)

        with shop.store.on_behalf_of("ada", rival=end, before_call=before_call):
            accepted = shop.people.ask_abort("D1", deployment, "ada", "why")
        if not ends:
            end()
        assert ends == [not accepted]


class TestAnApproval:
    def test_is_asked_for_once_for_a_plan(self, shop: Shop) -> None:
        approval = shop.asked()
        shop.clock.advance(60)
        assert shop.asked() == approval
        assert shop.people.approvals(*PLACE) == [approval]

    def test_that_was_decided_is_the_answer_to_the_same_plan(self, shop: Shop) -> None:
        shop.open()
        assert shop.people.decide(*PLACE, shop.asked(), APPROVED, "grace", "good")
        known = shop.asked()
        assert (known.decision, known.by, known.reason) == (APPROVED, "grace", "good")
        assert known.rank == Rank("01A", True)
        assert "approved" in shop.told()

    def test_of_another_plan_is_asked_for_anew(self, shop: Shop) -> None:
        shop.open()
        shop.people.decide(*PLACE, shop.asked("p1"), APPROVED, "grace", "")
        assert shop.asked("p2").decision is None
        assert len(shop.people.approvals(*PLACE)) == 1

    def test_is_decided_once(self, shop: Shop) -> None:
        shop.open()
        approval = shop.asked()
        assert shop.people.decide(*PLACE, approval, REJECTED, "grace", "no")
        assert not shop.people.decide(*PLACE, approval, APPROVED, "ada", "yes")
        known = shop.people.approval(*PLACE, "D1")
        assert known is not None
        assert known.told == "rejected by grace: no"
        assert "approved" not in shop.told()

    def test_of_a_plan_that_has_changed_since_it_was_read_is_not_decided(self, shop: Shop) -> None:
        """Red without the plan in the condition: somebody would approve what they have not seen."""
        shop.open()
        seen = shop.asked("p1")
        shop.asked("p2")
        assert not shop.people.decide(*PLACE, seen, APPROVED, "grace", "")
        known = shop.people.approval(*PLACE, "D1")
        assert known is not None
        assert (known.plan, known.decision) == ("p2", None)

    def test_that_another_attempt_asks_for_meanwhile_is_a_conflict(self, shop: Shop) -> None:
        approval = Approval("D1", "p1", shop.ledger.now(), "ada")

        def rival() -> None:
            shop.people.ask_approval(*PLACE, replace(approval, plan="p2"))

        with shop.store.on_behalf_of("D1", rival=rival, before_call=1), pytest.raises(ConflictError):
            shop.people.ask_approval(*PLACE, approval)
        assert [known.plan for known in shop.people.approvals(*PLACE)] == ["p2"]

    def test_is_of_one_environment_and_forgotten_with_it(self, shop: Shop) -> None:
        shop.asked()
        shop.asked(identity="D2")
        assert shop.people.approvals(SYSTEM, "staging") == []
        shop.people.forget_approval(*PLACE, "D1")
        assert [approval.deployment for approval in shop.people.approvals(*PLACE)] == ["D2"]
        shop.people.forget_approval(*PLACE, "D1")


class TestAFreeze:
    def test_is_one_at_a_time_and_of_one_environment(self, shop: Shop) -> None:
        first = Freeze("ada", "first", shop.ledger.now(), "2026-03-02T10:00:00.000Z")
        shop.people.put_freeze(*PLACE, first)
        assert shop.people.freeze(*PLACE) == first
        second = replace(first, reason="second", until=None)
        shop.people.put_freeze(*PLACE, second)
        assert shop.people.freeze(*PLACE) == second
        assert shop.people.freeze(SYSTEM, "staging") is None

    def test_is_lifted_also_where_there_is_none(self, shop: Shop) -> None:
        shop.people.put_freeze(*PLACE, Freeze("ada", "why", shop.ledger.now()))
        for _ in range(2):
            shop.people.lift_freeze(*PLACE)
            assert shop.people.freeze(*PLACE) is None


class TestTheRecord:
    def test_has_each_command_once_newest_first(self, shop: Shop) -> None:
        for number in (1, 2, 2):
            shop.people.record(*PLACE, f"C{number}", {"command": "freeze", "by": "ada", "until": None})
            shop.clock.advance(1)
        found = list(shop.people.commands())
        assert [item["id"] for item in found] == ["C2", "C1"]
        assert found[0]["kind"] == keys.COMMANDS
        assert "until" not in found[0]

    def test_is_read_from_a_moment_on(self, shop: Shop) -> None:
        shop.people.record(*PLACE, "C1", {"command": "freeze"})
        shop.clock.advance(10)
        shop.people.record(SYSTEM, "staging", "C2", {"command": "unfreeze"})
        assert [item["id"] for item in shop.people.commands(since="2026-03-02T09:00:05")] == ["C2"]

    def test_leaves_nothing_for_the_sweep(self, shop: Shop) -> None:
        shop.people.record(*PLACE, "C1", {"command": "freeze"})
        shop.people.put_freeze(*PLACE, Freeze("ada", "why", shop.ledger.now()))
        assert shop.ledger.open_items() == []
