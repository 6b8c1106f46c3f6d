"""What a release has to pass: freezes, the order of pushes, the environment before, ECR's scan.

Of a scan: closed where nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tidegate.domain.freeze import Freeze
from tidegate.domain.manifest import parse_manifest
from tidegate.domain.release import Standing, Verdict
from tidegate.domain.request import DeployRequest, parse_deploy
from tidegate.ports import Scan
from tidegate.steps.gates import gates, scan_refusal

from tests.support.fakes import FakeAlarms, World
from tests.unit.steps.conftest import ENVIRONMENT, GRACE, REPOSITORY, SYSTEM, Answer, Shop, digest, manifest


def _refusal(scan: Scan | None, fail_on: str | None = "HIGH") -> str | None:
    world = World()
    world.images.push(REPOSITORY, digest(1))
    if scan is not None:
        world.images.set_scan(REPOSITORY, digest(1), scan)
    settings = {"region": "eu-west-1", "cluster": "c"} | ({"scan": {"fail_on": fail_on}} if fail_on else {})
    view = parse_manifest(manifest(environments={ENVIRONMENT: settings})).environments[ENVIRONMENT]
    return scan_refusal(world.ports, view, [("app", REPOSITORY, digest(1))])


@pytest.mark.parametrize("status", ["COMPLETE", "ACTIVE"])
@pytest.mark.parametrize(
    ("findings", "fail_on", "refused"),
    [
        ({}, "INFORMATIONAL", False),
        ({"CRITICAL": 1}, "CRITICAL", True),
        ({"HIGH": 9}, "CRITICAL", False),
        ({"CRITICAL": 1}, "HIGH", True),
        ({"HIGH": 0}, "HIGH", False),
        ({"MEDIUM": 1}, "LOW", True),
        ({"INFORMATIONAL": 1}, "LOW", False),
        ({"INFORMATIONAL": 1}, "INFORMATIONAL", True),
        ({"UNDEFINED": 5}, "INFORMATIONAL", False),
    ],
)
def test_findings_at_or_above_the_severity(
    status: str, findings: dict[str, int], fail_on: str, refused: bool
) -> None:
    assert (_refusal(Scan(status, findings), fail_on) is not None) == refused


def test_the_refusal_counts_the_worst_first_and_names_the_limit() -> None:
    said = _refusal(Scan("COMPLETE", {"LOW": 4, "HIGH": 2, "CRITICAL": 1}))
    assert said == "image app: ECR's scan found 1 CRITICAL, 2 HIGH (fail_on: HIGH)"


@pytest.mark.parametrize(
    "status",
    [
        "PENDING",
        "IN_PROGRESS",
        "FAILED",
        "UNSUPPORTED_IMAGE",
        "LIMIT_EXCEEDED",
        "SCAN_ELIGIBILITY_EXPIRED",
        "NEW",
    ],
)
def test_a_scan_without_a_result_refuses(status: str) -> None:
    assert status in str(_refusal(Scan(status)))


def test_no_scan_refuses() -> None:
    assert "was not scanned" in str(_refusal(None))


def test_an_environment_that_asks_for_none_does_not_look() -> None:
    assert _refusal(Scan("COMPLETE", {"CRITICAL": 1}), None) is None


SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/database-AbCdEf"
# 2026-03-02, 09:00 UTC, on which the clock of the tests begins, is a Monday.
NIGHT = {"from": "Mon 08:00", "to": "Mon 10:00", "timezone": "UTC"}


def reason(planned: Answer, outcome: str = "Refused") -> str:
    assert planned["outcome"] == outcome
    return str(planned["document"]["reason"])


class TestFreezes:
    def test_of_a_person_names_who_and_why_and_how_to_lift_it(self, shop: Shop) -> None:
        shop.command("freeze", system=SYSTEM, environment=ENVIRONMENT, reason="stocktaking")
        said = reason(shop.release(2))
        assert f"is frozen until it is lifted by {GRACE}: stocktaking" in said
        assert f"tidegate unfreeze {SYSTEM} {ENVIRONMENT}" in said

    def test_of_a_person_runs_out(self, shop: Shop) -> None:
        shop.command("freeze", system=SYSTEM, environment=ENVIRONMENT, reason="lunch", until="1h")
        assert "until 2026-03-02T10:00:01.000Z" in reason(shop.release(2))
        shop.world.clock.advance(hours=1)
        assert shop.release(2)["outcome"] == "Ready"

    def test_of_the_manifest_name_the_window_and_when_it_ends(self, shop: Shop) -> None:
        shop.register(freeze=[{"from": "Sun 00:00", "to": "Sun 12:00"}, NIGHT])
        said = reason(shop.release(2))
        assert "frozen from Mon 08:00 to Mon 10:00 (UTC), until 2026-03-02T10:00:00.000Z" in said
        shop.world.clock.advance(hours=1)
        assert shop.release(2)["outcome"] == "Ready"

    def test_hold_back_what_waited_for_the_lock_meanwhile(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        shop.command("freeze", system=SYSTEM, environment=ENVIRONMENT, reason="why")
        assert "is frozen" in reason(shop.plan_again(planned, fence))

    def test_of_another_environment_is_none_of_this_one(self, shop: Shop) -> None:
        shop.people.put_freeze(SYSTEM, "staging", Freeze("ada", "why", shop.ledger.now()))
        assert shop.release(2)["outcome"] == "Ready"

    def test_hold_back_a_restart_which_passes_everything_else(self, shop: Shop) -> None:
        restart = {"secret": SECRET, "version": "v", "at": shop.ledger.now()}
        shop.register(after="staging", scan={"fail_on": "LOW"}, approval="required")
        assert shop.plan(restart=restart, trigger="event")["outcome"] == "NoChange"
        shop.register(freeze=[NIGHT])
        assert "is frozen" in reason(shop.plan(restart=restart, trigger="event"))


class TestOrder:
    EARLY, LATE = "01K0000000000000000000000A", "01K0000000000000000000000B"

    def pushed(self, shop: Shop, version: int, order: str) -> Answer:
        return shop.release(version, trigger="event", order=order)

    def released(self, shop: Shop, planned: Answer) -> None:
        fence = shop.acquire(planned, planned["deployment"])
        for service in ("api", "worker"):
            shop.roll(planned, service, fence)
            shop.world.containers.complete(f"shop-{service}")
        assert shop.record(planned, "Succeed", fence)["outcome"] == "Succeeded"

    def test_an_earlier_push_that_is_ready_late_is_superseded(self, shop: Shop) -> None:
        self.released(shop, self.pushed(shop, 3, self.LATE))
        said = reason(self.pushed(shop, 2, self.EARLY), "Superseded")
        assert "a later push was released to production before (r1 runs there)" in said

    def test_and_so_it_is_under_the_lock(self, shop: Shop) -> None:
        early = self.pushed(shop, 2, self.EARLY)
        self.released(shop, self.pushed(shop, 3, self.LATE))
        assert shop.plan_again(early, shop.acquire(early, "early"))["outcome"] == "Superseded"

    def test_a_person_may_release_it(self, shop: Shop) -> None:
        self.released(shop, self.pushed(shop, 3, self.LATE))
        assert shop.release(2)["outcome"] == "Ready"

    def test_a_rollback_does_not_let_it_pass(self, shop: Shop) -> None:
        """The order never falls: red where it is that of what runs."""
        shop.go_out(2)
        self.released(shop, self.pushed(shop, 3, self.LATE))
        back = shop.plan(step="PlanRollback")
        self.released(shop, back)
        shop.world.images.push(REPOSITORY, digest(4), "c4")
        assert self.pushed(shop, 4, self.EARLY)["outcome"] == "Superseded"

    def test_a_later_push_and_one_of_the_same_moment_pass(self, shop: Shop) -> None:
        self.released(shop, self.pushed(shop, 2, self.EARLY))
        assert self.pushed(shop, 3, self.EARLY)["outcome"] == "Ready"
        assert self.pushed(shop, 3, self.LATE)["outcome"] == "Ready"

    def test_what_has_no_order_is_not_held_back(self, shop: Shop) -> None:
        self.released(shop, self.pushed(shop, 2, self.EARLY))
        assert shop.release(3, trigger="event")["outcome"] == "Ready"


class TestAfter:
    @pytest.fixture
    def promoted(self, shop: Shop) -> Shop:
        shop.register(after="staging")
        return shop

    def stands(self, shop: Shop, verdict: Verdict) -> None:
        made = shop.ledger.ensure_release(SYSTEM, "c2", {"app": digest(2)})
        standing = Standing(made.number, verdict, "D", shop.ledger.now())
        shop.world.store.transact([shop.ledger.standing_write(SYSTEM, "staging", standing)])

    def test_what_has_succeeded_there_passes(self, promoted: Shop) -> None:
        self.stands(promoted, Verdict.SUCCEEDED)
        assert promoted.release(2)["outcome"] == "Ready"

    @pytest.mark.parametrize(
        ("verdict", "said"),
        [
            (Verdict.ROLLED_BACK, "r1 was rolled back in staging"),
            (Verdict.FAILED, "r1 failed in staging"),
        ],
    )
    def test_what_was_taken_back_there_is_refused(self, promoted: Shop, verdict: Verdict, said: str) -> None:
        self.stands(promoted, verdict)
        assert said in reason(promoted.release(2))

    def test_what_never_was_there_is_refused(self, promoted: Shop) -> None:
        assert "this release has not succeeded in staging" in reason(promoted.release(2))
        promoted.ledger.ensure_release(SYSTEM, "c2", {"app": digest(2)})
        assert "r1 has not succeeded in staging" in reason(promoted.release(2))

    def test_the_same_images_of_another_commit_have_to_pass_anew(self, promoted: Shop) -> None:
        self.stands(promoted, Verdict.SUCCEEDED)
        assert promoted.plan(commit="c3", images={"app": {"digest": digest(2)}})["outcome"] == "Refused"

    def test_is_asked_again_under_the_lock(self, promoted: Shop) -> None:
        self.stands(promoted, Verdict.SUCCEEDED)
        planned = promoted.release(2)
        fence = promoted.acquire(planned)
        self.stands(promoted, Verdict.ROLLED_BACK)
        assert promoted.plan_again(planned, fence)["outcome"] == "Refused"


def test_a_rollback_passes_every_gate(shop: Shop) -> None:
    shop.go_out(2)
    shop.go_out(3)
    shop.register(
        freeze=[NIGHT],
        after="staging",
        scan={"fail_on": "LOW"},
        approval={"by": "other"},
        bake={"for": "5m", "alarms": ["a"]},
    )
    shop.world.alarms.alarming.add("a")
    shop.command("freeze", system=SYSTEM, environment=ENVIRONMENT, reason="why")
    back = shop.plan(step="PlanRollback")
    assert (back["outcome"], back["bake"]) == ("Ready", 0)
    assert shop.plan_again(back, shop.acquire(back, "back"))["outcome"] == "Ready"


@pytest.mark.parametrize(
    ("arrange", "outcome", "said"),
    [
        (lambda alarms: alarms.alarming.add("b"), "Refused", "alarm b is in ALARM already"),
        (lambda alarms: alarms.unknown.add("b"), "Refused", "CloudWatch has no alarm b"),
    ],
)
def test_alarms_that_could_tell_nothing_refuse_a_bake(
    shop: Shop, arrange: Callable[[FakeAlarms], object], outcome: str, said: str
) -> None:
    shop.register(bake={"for": "5m", "alarms": ["a", "b"]})
    arrange(shop.world.alarms)
    assert said in reason(shop.release(2), outcome)


def test_the_gates_tell_what_they_ask_for_and_all_that_refuse(shop: Shop) -> None:
    """As `tidegate plan` shows them."""
    shop.register(freeze=[NIGHT], after="staging", scan={"fail_on": "HIGH"})
    view = parse_manifest(json.loads(shop.world.registry.texts[SYSTEM, ENVIRONMENT])).for_environment(
        ENVIRONMENT
    )
    request = parse_deploy({"system": SYSTEM, "environment": ENVIRONMENT, "commit": "c2", "trigger": "event"})
    assert isinstance(request, DeployRequest)
    found = list(gates(shop.world.ports, view, request, "c2", {}))
    assert [(gate.name, gate.asks, gate.refusal is None) for gate in found] == [
        ("freeze", "Mon 08:00 to Mon 10:00 UTC", False),
        ("order", "a push that is not older than what was released", True),
        ("repeated", "an event brings nothing back", True),
        ("after", "staging", False),
        ("scan", "fail_on HIGH", True),
    ]
