"""What people do to a run or an environment: done or refused, and recorded with who, when and why."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from tidegate.domain.errors import TransientError
from tidegate.domain.intervention import same_person
from tidegate.domain.outcome import Outcome
from tidegate.ledger.records import Ledger
from tidegate.steps import control

from tests.unit.steps.conftest import ENVIRONMENT, GRACE, SYSTEM, Answer, Shop

PLACE = {"system": SYSTEM, "environment": ENVIRONMENT}
ADA = "arn:aws:iam::123456789012:user/ada"
NOW = "2026-03-02T09:00:01.000Z"


def recorded(shop: Shop) -> list[dict[str, Any]]:
    """Without what the index is made of, oldest first."""
    kept = ("command", "by", "reason", "did", "refused", "at", "system", "environment")
    found = [{name: item[name] for name in kept if name in item} for item in shop.people.commands()]
    return found[::-1]


def said(shop: Shop, **event: Any) -> tuple[int, dict[str, Any]]:
    answer = control.run(event, shop.world.ports)
    assert answer["headers"] == {"content-type": "application/json"}
    return answer["statusCode"], json.loads(answer["body"])


def signed(body: str, **more: Any) -> dict[str, Any]:
    return {
        "requestContext": {"requestId": "q", "authorizer": {"iam": {"userArn": GRACE}}},
        "body": body,
        **more,
    }


class TestWhoAsks:
    @pytest.mark.parametrize(
        "context",
        [
            None,
            {},
            {"authorizer": None},
            {"authorizer": {"iam": None}},
            {"authorizer": {"iam": {"userArn": ""}}},
            {"authorizer": {"iam": {"userArn": 7}}},
            {"authorizer": {"lambda": {"userArn": GRACE}}},
        ],
    )
    def test_is_in_no_request_that_iam_did_not_sign(self, shop: Shop, context: object) -> None:
        body = json.dumps({"command": "freeze", **PLACE, "reason": "why"})
        status, document = said(shop, requestContext=context, body=body)
        assert (status, document["error"]["code"]) == (403, "not_signed")
        assert shop.people.freeze(SYSTEM, ENVIRONMENT) is None

    def test_is_nothing_that_the_request_says(self, shop: Shop) -> None:
        """Neither in the body nor in a header."""
        body = json.dumps({"command": "freeze", **PLACE, "reason": "why", "by": ADA})
        status, document = said(shop, **signed(body))
        assert (status, document["error"]["field"]) == (400, "by")
        body = json.dumps({"command": "freeze", **PLACE, "reason": "why"})
        said(shop, **signed(body, headers={"x-amzn-iam-user-arn": ADA, "userArn": ADA}))
        frozen = shop.people.freeze(SYSTEM, ENVIRONMENT)
        assert frozen is not None
        assert frozen.by == GRACE


class TestARequest:
    @pytest.mark.parametrize("body", ["", "[]", "null", "{", '"abort"', "1"])
    def test_that_is_no_object_is_refused(self, shop: Shop, body: str) -> None:
        status, document = said(shop, **signed(body))
        assert (status, document["error"]["field"]) == (400, "body")

    def test_may_come_in_base64(self, shop: Shop) -> None:
        body = base64.b64encode(json.dumps({"command": "freeze", **PLACE, "reason": "é"}).encode()).decode()
        assert said(shop, **signed(body, isBase64Encoded=True))[0] == 200
        assert said(shop, **signed("***", isBase64Encoded=True))[1]["error"]["field"] == "body"

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            ({}, "command"),
            ({"command": "destroy"}, "command"),
            ({"command": ["abort"]}, "command"),
            ({"command": "abort"}, "reason"),
            ({"command": "abort", "reason": "why"}, "deployment"),
            ({"command": "abort", "reason": "why", "deployment": "run-1"}, "deployment"),
            ({"command": "abort", "reason": "", "deployment": "run-1"}, "reason"),
            ({"command": "abort", "reason": "why", "plan": "p"}, "plan"),
            ({"command": "approve"}, "deployment"),
            ({"command": "reject", "deployment": "D"}, "reason"),
            ({"command": "freeze", **PLACE}, "reason"),
            ({"command": "freeze", **PLACE, "reason": "w", "until": "soon"}, "until"),
            ({"command": "freeze", **PLACE, "reason": "w", "until": "2026-03-02T08:00Z"}, "until"),
            ({"command": "freeze", "system": "Shop", "environment": "production", "reason": "w"}, "system"),
            ({"command": "unfreeze", "system": SYSTEM}, "environment"),
            ({"command": "unfreeze", **PLACE, "until": "1h"}, "until"),
            ({"command": "unlock", **PLACE}, "reason"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, shop: Shop, request_: dict[str, Any], field: str) -> None:
        status, document = said(shop, **signed(json.dumps(request_)))
        assert status == 400
        assert document["error"]["code"] == "bad_input"
        assert document["error"]["field"] == field
        assert document["error"]["hint"]

    @pytest.mark.parametrize("command", ["freeze", "unfreeze", "unlock"])
    def test_for_a_system_that_nobody_registered_is_not_found(self, shop: Shop, command: str) -> None:
        status, document = shop.command(command, system="shpo", environment=ENVIRONMENT, reason="why")
        assert (status, document["error"]["code"], document["error"]["field"]) == (404, "not_found", "system")
        assert recorded(shop) == [], "a mistyped name makes no place"

    @pytest.mark.parametrize("command", ["abort", "approve", "reject"])
    def test_for_a_deployment_that_there_is_not_is_not_found(self, shop: Shop, command: str) -> None:
        identity = "01K0000000000000000000000A"
        status, document = shop.command(command, deployment=identity, reason="why")
        assert (status, document["error"]["field"]) == (404, "deployment")

    def test_that_the_table_does_not_take_now_may_be_tried_again(self, shop: Shop) -> None:
        shop.world.store.fails("transact", TransientError("throttled"))
        status, document = shop.command("freeze", **PLACE, reason="why")
        assert (status, document["error"]["code"]) == (503, "transient")
        assert shop.command("freeze", **PLACE, reason="why")[0] == 200


class TestTheRecord:
    def test_has_who_when_and_why(self, shop: Shop) -> None:
        assert shop.command("freeze", **PLACE, reason="stocktaking", until="2h") == (
            200,
            {
                "command": "freeze",
                "by": GRACE,
                "at": NOW,
                "did": "frozen",
                "until": "2026-03-02T11:00:01.000Z",
            },
        )
        assert recorded(shop) == [
            {"command": "freeze", "by": GRACE, "reason": "stocktaking", "did": "frozen", "at": NOW, **PLACE}
        ]

    def test_has_what_was_refused_as_well(self, shop: Shop) -> None:
        assert shop.command("unlock", **PLACE, reason="it hangs")[0] == 409
        (entry,) = recorded(shop)
        assert (entry["command"], entry["reason"], entry["by"]) == ("unlock", "it hangs", GRACE)
        assert "not locked" in entry["refused"]

    def test_of_a_request_that_came_twice_is_one(self, shop: Shop) -> None:
        """Lambda may give one request to a function twice; its id is the same."""
        event = signed(json.dumps({"command": "freeze", **PLACE, "reason": "why"}))
        for _ in range(2):
            assert said(shop, **event)[0] == 200
        assert len(recorded(shop)) == 1

    def test_of_a_deployment_is_under_its_place(self, shop: Shop) -> None:
        planned = shop.release(2)
        shop.command("abort", deployment=planned["deployment"], reason="wrong commit")
        (entry,) = recorded(shop)
        assert {name: entry[name] for name in PLACE} == PLACE
        assert (entry["reason"], entry["did"]) == ("wrong commit", "aborting")


class TestAbort:
    def test_stops_what_waits_and_says_who_and_why(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        assert shop.roll(planned, "api", fence, token="rolls") is None
        status, document = shop.command("abort", deployment=planned["deployment"], reason="wrong commit")
        assert (status, document["did"]) == (200, "aborting")
        assert shop.answers["rolls"] == {
            "outcome": "Aborted",
            "reason": f"aborted by {GRACE}: wrong commit",
            "fence": -1,
            "document": None,
        }
        line = shop.timeline(planned)[-1]
        assert (line.what, line.detail) == ("abort requested", f"aborted by {GRACE}: wrong commit")

    def test_asked_twice_keeps_who_was_first(self, shop: Shop) -> None:
        planned = shop.release(2)
        shop.command("abort", by=ADA, deployment=planned["deployment"], reason="first")
        assert shop.command("abort", deployment=planned["deployment"], reason="second")[0] == 200
        abort = shop.people.abort_of(planned["deployment"])
        assert abort is not None
        assert (abort.by, abort.reason) == (ADA, "first")

    def test_of_one_that_has_ended_is_refused_and_says_what_to_do(self, shop: Shop) -> None:
        done = shop.go_out(2)
        status, document = shop.command("abort", deployment=done["document"]["deployment"], reason="why")
        assert status == 409
        assert "Succeeded" in document["error"]["message"]
        assert document["error"]["hint"] == f"tidegate rollback {SYSTEM} {ENVIRONMENT} --reason …"
        assert shop.people.abort_of(done["document"]["deployment"]) is None

    def test_of_one_that_ends_in_the_same_moment_is_refused(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Red without the condition on the outcome in Interventions.ask_abort."""
        planned = shop.release(2)
        find = Ledger.find

        def then_it_ends(self: Any, identity: str) -> Any:
            found = find(self, identity)
            shop.ledger.end(shop.deployment(planned), Outcome.REFUSED, "in between")
            return found

        monkeypatch.setattr(Ledger, "find", then_it_ends)
        status, document = shop.command("abort", deployment=planned["deployment"], reason="why")
        assert (status, document["error"]["code"]) == (409, "refused")
        assert "has just ended" in document["error"]["message"]
        assert shop.people.abort_of(planned["deployment"]) is None

    def test_of_a_rollback_that_holds_the_lock_is_refused(self, shop: Shop) -> None:
        shop.go_out(2)
        back = shop.plan(step="PlanRollback")
        assert shop.command("abort", by=ADA, deployment=back["deployment"], reason="not yet")[0] == 200
        again = shop.plan(step="PlanRollback")
        shop.acquire(again, "again")
        status, document = shop.command("abort", deployment=again["deployment"], reason="why")
        assert status == 409
        assert "under way" in document["error"]["message"]

    @pytest.mark.parametrize("machine", ["deploy", "rollback"])
    def test_of_one_that_runs_and_is_not_in_the_ledger_yet_waits_for_it(
        self, shop: Shop, machine: str
    ) -> None:
        identity = "01K0000000000000000000000A"
        shop.world.executions.run(machine, identity)
        assert shop.command("abort", deployment=identity, reason="why")[0] == 200
        assert shop.people.abort_of(identity) is not None

    def test_of_one_that_never_was_in_the_ledger_and_ended_is_not_found(self, shop: Shop) -> None:
        identity = "01K0000000000000000000000A"
        shop.world.executions.end(shop.world.executions.run("deploy", identity))
        assert shop.command("abort", deployment=identity, reason="why")[0] == 404
        assert shop.people.abort_of(identity) is None

    def test_that_is_refused_is_recorded_with_the_deployment_it_was_about(self, shop: Shop) -> None:
        planned = shop.release(2)
        assert shop.command("approve", deployment=planned["deployment"], plan="any")[0] == 409
        (entry,) = shop.people.commands()
        assert entry["deployment"] == planned["deployment"]

    def test_whose_answer_to_the_task_is_lost_is_mended_by_asking_again(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        shop.roll(planned, "api", fence, token="rolls")
        shop.world.executions.fails("succeed")
        assert shop.command("abort", deployment=planned["deployment"], reason="why")[0] == 503
        assert shop.command("abort", deployment=planned["deployment"], reason="why")[0] == 200
        assert shop.answers["rolls"]["outcome"] == "Aborted"


@pytest.fixture
def asked(shop: Shop) -> tuple[Shop, Answer, str]:
    """A release of ada's that waits for somebody else, and its plan's hash."""
    shop.register(approval={"by": "other"})
    planned = shop.release(2, actor="ada")
    assert planned["outcome"] == "Approval"
    assert shop.await_approval(planned, "waits") is None
    plan = shop.deployment(planned).plan
    assert plan is not None
    return shop, planned, plan.hash


class TestApprove:
    def test_lets_the_release_go_on(self, asked: tuple[Shop, Answer, str]) -> None:
        shop, planned, plan = asked
        status, document = shop.command("approve", deployment=planned["deployment"], plan=plan)
        assert (status, document["did"], document["release"]) == (200, "approved", "r1")
        assert shop.answers["waits"] == {
            "outcome": "Approved",
            "reason": f"approved by {GRACE}",
            "fence": -1,
            "document": None,
        }
        assert shop.timeline(planned)[-1].what == "approved"
        approval = shop.people.approval(SYSTEM, ENVIRONMENT, planned["deployment"])
        assert approval is not None
        assert (approval.by, approval.decided_at) == (GRACE, shop.ledger.now())

    def test_of_another_plan_than_the_one_that_was_seen_is_refused(
        self, asked: tuple[Shop, Answer, str]
    ) -> None:
        shop, planned, _ = asked
        status, document = shop.command("approve", deployment=planned["deployment"], plan="sha256:old")
        assert (status, document["error"]["field"]) == (409, "plan")
        assert "waits" not in shop.answers

    def test_without_a_plan_is_refused(self, asked: tuple[Shop, Answer, str]) -> None:
        shop, planned, _ = asked
        status, document = shop.command("approve", deployment=planned["deployment"])
        assert (status, document["error"]["field"]) == (400, "plan")

    @pytest.mark.parametrize("by", [ADA, "arn:aws:sts::123456789012:assumed-role/Developer/ada@example.com"])
    def test_by_the_author_is_refused_where_it_has_to_be_another(
        self, asked: tuple[Shop, Answer, str], by: str
    ) -> None:
        shop, planned, plan = asked
        status, document = shop.command("approve", by=by, deployment=planned["deployment"], plan=plan)
        assert status == 409
        assert "somebody else" in document["error"]["message"]
        assert "waits" not in shop.answers
        assert shop.command("reject", by=by, deployment=planned["deployment"], reason="no")[0] == 200

    def test_by_the_author_is_good_where_any_person_will_do(self, shop: Shop) -> None:
        shop.register(approval="required")
        planned = shop.release(2, actor="ada")
        shop.await_approval(planned, "waits")
        plan = shop.deployment(planned).plan
        assert plan is not None
        given = {"deployment": planned["deployment"], "plan": plan.hash}
        assert shop.command("approve", by=ADA, **given)[0] == 200

    def test_of_what_waits_for_none_is_refused(self, shop: Shop) -> None:
        planned = shop.release(2)
        status, document = shop.command("approve", deployment=planned["deployment"], plan="p")
        assert (status, document["error"]["message"]) == (
            409,
            f"deployment {planned['deployment']} waits for no approval",
        )

    def test_asked_again_by_the_same_person_tells_the_run_that_was_not_told(
        self, asked: tuple[Shop, Answer, str]
    ) -> None:
        """Red where a decision of one's own counts as somebody else's."""
        shop, planned, plan = asked
        shop.await_approval(planned, "waits")
        given = {"deployment": planned["deployment"], "plan": plan}
        shop.world.executions.fails("succeed")
        assert shop.command("approve", by=GRACE, **given)[0] == 503
        assert shop.command("approve", by=GRACE, **given)[0] == 200
        assert shop.answers["waits"]["outcome"] == "Approved"

    def test_comes_once(self, asked: tuple[Shop, Answer, str]) -> None:
        shop, planned, plan = asked
        shop.command("reject", by=ADA, deployment=planned["deployment"], reason="on Monday")
        status, document = shop.command("approve", deployment=planned["deployment"], plan=plan)
        assert status == 409
        assert f"rejected by {ADA}: on Monday" in document["error"]["message"]

    def test_a_moment_after_another_decided_is_refused(
        self, asked: tuple[Shop, Answer, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Red without the condition on the decision in Interventions.decide."""
        shop, planned, plan = asked
        place = SYSTEM, ENVIRONMENT

        def meanwhile(one: str, other: str) -> bool:
            approval = shop.people.approval(*place, planned["deployment"])
            assert approval is not None
            assert shop.people.decide(*place, approval, "Rejected", ADA, "on Monday")
            return same_person(one, other)

        monkeypatch.setattr("tidegate.steps.control.same_person", meanwhile)
        status, document = shop.command("approve", deployment=planned["deployment"], plan=plan)
        assert (status, "rejected by" in document["error"]["message"]) == (409, True)

    def test_whose_answer_to_the_task_is_lost_stays_decided(self, asked: tuple[Shop, Answer, str]) -> None:
        """The sweep answers it then (test_sweep)."""
        shop, planned, plan = asked
        shop.world.executions.fails("succeed")
        assert shop.command("approve", deployment=planned["deployment"], plan=plan)[0] == 503
        approval = shop.people.approval(SYSTEM, ENVIRONMENT, planned["deployment"])
        assert approval is not None
        assert approval.decision == "Approved"


def test_a_rejection_ends_the_release_refused(asked: tuple[Shop, Answer, str]) -> None:
    shop, planned, _ = asked
    status, document = shop.command("reject", deployment=planned["deployment"], reason="on Monday")
    assert (status, document["did"]) == (200, "rejected")
    told = shop.answers["waits"]
    assert told["outcome"] == "Rejected"
    assert told["document"]["outcome"] == "Refused"
    assert told["document"]["reason"] == f"rejected by {GRACE}: on Monday"
    shop.record(planned, "Conclude", document=told["document"])
    assert shop.deployment(planned).outcome is Outcome.REFUSED
    assert shop.people.approvals(SYSTEM, ENVIRONMENT) == []


class TestFreeze:
    def test_without_an_end_holds_until_it_is_lifted(self, shop: Shop) -> None:
        assert shop.command("freeze", **PLACE, reason="stocktaking")[1]["until"] is None
        assert shop.release(2)["outcome"] == "Refused"
        assert shop.command("unfreeze", **PLACE)[1]["did"] == "unfrozen"
        assert shop.release(2)["outcome"] == "Ready"

    def test_takes_the_place_of_the_one_before(self, shop: Shop) -> None:
        shop.command("freeze", **PLACE, reason="first", until="1h")
        shop.command("freeze", **PLACE, reason="second", until="2h")
        frozen = shop.people.freeze(SYSTEM, ENVIRONMENT)
        assert frozen is not None
        assert (frozen.reason, frozen.until) == ("second", "2026-03-02T11:00:02.000Z")

    def test_is_not_lifted_where_there_is_none(self, shop: Shop) -> None:
        status, document = shop.command("unfreeze", **PLACE)
        assert (status, document["error"]["field"]) == (409, "environment")


def dirty(shop: Shop) -> Answer:
    """A release that ended FailedDirty, and whose execution has ended too."""
    planned = shop.release(2)
    fence = shop.acquire(planned, "dirty")
    shop.ledger.end(shop.deployment(planned), Outcome.FAILED_DIRTY, "a mess", fence=fence)
    shop.world.executions.end(shop.deployment(planned).execution, "FAILED")
    return planned


class TestUnlock:
    def test_of_what_a_failure_left_behind_says_so_in_its_timeline(self, shop: Shop) -> None:
        planned = dirty(shop)
        status, document = shop.command("unlock", **PLACE, reason="mended by hand")
        assert (status, document["did"], document["owner"]) == (200, "unlocked", planned["deployment"])
        assert shop.owner is None
        line = shop.timeline(planned)[-1]
        assert (line.what, line.detail) == ("unlocked", f"by {GRACE}: mended by hand")

    def test_tells_the_next_one_that_waits(self, shop: Shop) -> None:
        dirty(shop)
        following = shop.release(3)
        assert shop.acquire(following, "waits") == 0
        shop.command("unlock", **PLACE, reason="mended")
        assert shop.owner == following["deployment"]
        assert shop.answers["waits"] == {"outcome": "Acquired", "fence": 2}

    @pytest.mark.parametrize(
        ("arrange", "said"),
        [
            (lambda shop: None, "is not locked"),
            (lambda shop: shop.acquire(shop.release(2)), "holds the lock and runs"),
        ],
    )
    def test_is_refused(self, shop: Shop, arrange: Callable[[Shop], object], said: str) -> None:
        arrange(shop)
        before = shop.owner
        status, document = shop.command("unlock", **PLACE, reason="why")
        assert (status, document["error"]["field"]) == (409, "environment")
        assert said in document["error"]["message"]
        assert shop.owner == before

    def test_is_refused_while_a_recovery_runs_that_has_not_taken_over_yet(self, shop: Shop) -> None:
        """Red where only the lock's own execution is looked at."""
        planned = shop.release(2)
        shop.acquire(planned)
        shop.world.executions.end(shop.deployment(planned).execution, "ABORTED")
        assert "the sweep takes it over" in shop.command("unlock", **PLACE, reason="w")[1]["error"]["message"]
        deployment = shop.deployment(planned)
        shop.ledger.save(
            type(deployment).from_json(
                {**deployment.to_json(), "execution": shop.world.executions.run("deploy", "recovery-1")}
            )
        )
        assert "holds the lock and runs" in shop.command("unlock", **PLACE, reason="w")[1]["error"]["message"]

    def test_while_the_one_that_failed_still_runs_is_refused(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        shop.ledger.end(shop.deployment(planned), Outcome.FAILED_DIRTY, "a mess", fence=fence)
        assert shop.command("unlock", **PLACE, reason="why")[0] == 409
        assert shop.owner == planned["deployment"]

    def test_of_an_owner_that_is_in_no_ledger(self, shop: Shop) -> None:
        shop.locks.acquire(SYSTEM, ENVIRONMENT, "gone", "arn:gone", "t", "")
        assert shop.command("unlock", **PLACE, reason="why")[1]["owner"] == "gone"
        assert shop.owner is None
