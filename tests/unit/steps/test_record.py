"""How runs end: exactly once, with the truth about every service."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tidegate.domain.errors import LostLockError, OutsideError, TransientError
from tidegate.domain.outcome import Outcome
from tidegate.domain.release import Standing, Verdict
from tidegate.ledger.locks import Locks
from tidegate.steps import record

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Answer, Shop, digest


def _free(shop: Shop) -> bool:
    return Locks(shop.world.store, shop.world.clock).read(SYSTEM, ENVIRONMENT).free


def test_a_success_is_current_published_and_frees_the_lock(shop: Shop) -> None:
    done = shop.go_out(2)
    assert done["document"] == {
        "outcome": "Succeeded",
        "deployment": done["document"]["deployment"],
        "release": "r1",
        "reason": "",
        "services": {
            key: {
                "outcome": "Rolled",
                "task_definition": shop.world.containers.service(f"shop-{key}").primary.task_definition,
                "digest": digest(2),
            }
            for key in ("api", "worker")
        },
    }
    current = shop.ledger.current(SYSTEM, ENVIRONMENT)
    assert current is not None
    assert (current.release, current.fence) == (1, 1)
    assert shop.world.registry.images[SYSTEM, ENVIRONMENT, "app"].endswith(digest(2))
    assert _free(shop)
    assert len(shop.world.bus.of("Deployment Succeeded")) == 1
    assert shop.world.metrics.total("Succeeded", system=SYSTEM) == 1


def test_a_service_that_runs_something_else_is_no_success(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    for service in ("api", "worker"):
        shop.roll(planned, service, fence)
        shop.world.containers.complete(f"shop-{service}")
    shop.world.containers.supersede(
        "shop-worker", shop.world.containers.add_task_definition("shop-worker").arn
    )
    assert shop.record(planned, "Succeed", fence)["outcome"] == "Drifted"
    assert shop.deployment(planned).outcome is None
    assert not _free(shop)


def test_succeeding_twice_is_the_same_success(shop: Shop) -> None:
    done = shop.go_out(2)
    identity = done["document"]["deployment"]
    event = {
        "step": "Succeed",
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "deployment": identity,
        "fence": 1,
    }
    assert record.run(event, shop.world.ports)["document"] == done["document"]
    assert len(shop.world.bus.of("Deployment Succeeded")) == 1


def _rolled(shop: Shop) -> tuple[Answer, int]:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    for service in ("api", "worker"):
        shop.roll(planned, service, fence)
        shop.world.containers.complete(f"shop-{service}")
    return planned, fence


def test_the_image_is_published_by_the_retry_when_the_first_attempt_could_not(shop: Shop) -> None:
    planned, fence = _rolled(shop)
    shop.world.registry.fails("publish_image")
    with pytest.raises(TransientError):
        shop.record(planned, "Succeed", fence)
    assert shop.record(planned, "Succeed", fence)["outcome"] == "Succeeded"
    assert shop.world.registry.images[SYSTEM, ENVIRONMENT, "app"].endswith(digest(2))
    assert _free(shop)


def test_an_end_that_could_not_be_announced_is_announced_by_the_retry(shop: Shop) -> None:
    planned, fence = _rolled(shop)
    shop.world.bus.fails("emit")
    with pytest.raises(TransientError):
        shop.record(planned, "Succeed", fence)
    shop.record(planned, "Succeed", fence)
    assert len(shop.world.bus.of("Deployment Succeeded")) == 1
    assert shop.world.metrics.total("Succeeded") == 1


def test_a_dirty_failure_pages_even_if_its_first_announcement_was_throttled(shop: Shop) -> None:
    planned, fence = _crash(shop)
    shop.world.bus.fails("emit")
    with pytest.raises(TransientError):
        shop.record(planned, "Fail", fence, error=None)  # type: ignore[arg-type]
    assert shop.world.metrics.total("FailedDirty") == 1
    shop.record(planned, "Fail", fence, error=None)  # type: ignore[arg-type]
    assert [detail["severity"] for detail in shop.world.bus.of("Deployment Failed")] == ["critical"]
    assert shop.world.metrics.total("FailedDirty") == 1


def test_no_step_frees_the_lock_of_a_dirty_failure(shop: Shop) -> None:
    planned, fence = _crash(shop)
    answer = shop.record(planned, "Fail", fence, error=None)  # type: ignore[arg-type]
    shop.record(planned, "Conclude", document=answer["document"])  # type: ignore[arg-type]
    assert not _free(shop)


def test_a_refusal_under_the_lock_is_announced_by_the_retry(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    document = {"outcome": "Refused", "deployment": planned["deployment"], "reason": "why"}
    shop.world.bus.fails("emit")
    with pytest.raises(TransientError):
        shop.record(planned, "Conclude", fence, document=document)
    shop.record(planned, "Conclude", fence, document=document)
    assert len(shop.world.bus.of("Deployment Refused")) == 1
    assert _free(shop)


def test_who_has_handed_the_lock_on_publishes_no_image(shop: Shop) -> None:
    planned, fence = _rolled(shop)
    shop.record(planned, "Succeed", fence)
    published = shop.world.registry.called("publish_image")
    shop.record(planned, "Succeed", fence)
    assert shop.world.registry.called("publish_image") == published


def test_a_success_that_was_recorded_is_not_taken_back(shop: Shop) -> None:
    """The machine compensates whatever it catches of RecordSuccess, also what comes after the success."""
    planned, fence = _rolled(shop)
    shop.world.registry.fails("publish_image", OutsideError("access denied"))
    with pytest.raises(OutsideError):
        shop.record(planned, "Succeed", fence)
    assert shop.record(planned, "BeginCompensation", fence)["waves"] == []
    assert shop.record(planned, "Fail", fence, error={"name": "OutsideError"})["outcome"] == "Succeeded"
    assert _free(shop)


def test_compensation_takes_what_was_touched_newest_wave_first(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.roll(planned, "api", fence)
    assert shop.record(planned, "BeginCompensation", fence)["waves"] == [{"services": ["api"]}]
    shop.roll(planned, "worker", fence)
    assert shop.record(planned, "BeginCompensation", fence)["waves"] == [
        {"services": ["worker"]},
        {"services": ["api"]},
    ]


def _crash(shop: Shop) -> tuple[object, int]:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.roll(planned, "api", fence)
    shop.world.containers.complete("shop-api")
    shop.roll(planned, "worker", fence)
    shop.world.containers.fail("shop-worker")
    shop.roll(planned, "worker", fence, "Revert")
    shop.world.containers.complete("shop-worker")
    return planned, fence


def test_failed_clean_only_when_every_service_is_back(shop: Shop) -> None:
    planned, fence = _crash(shop)
    shop.roll(planned, "api", fence, "Revert")  # type: ignore[arg-type]
    shop.world.containers.complete("shop-api")
    answer = shop.record(planned, "Fail", fence, error=None)  # type: ignore[arg-type]
    assert answer["outcome"] == "FailedClean"
    assert {entry["outcome"] for entry in answer["document"]["services"].values()} == {"Reverted"}
    assert _free(shop)
    assert shop.world.bus.of("Deployment Failed")[0]["severity"] == "warning"


def test_a_service_still_on_the_new_release_is_dirty_and_keeps_the_lock(shop: Shop) -> None:
    planned, fence = _crash(shop)
    answer = shop.record(planned, "Fail", fence, error=None)  # type: ignore[arg-type]
    assert answer["outcome"] == "FailedDirty"
    assert answer["document"]["services"]["api"]["outcome"] == "NotReverted"
    assert "api" in answer["document"]["reason"]
    assert not _free(shop)
    assert shop.world.bus.of("Deployment Failed")[0]["severity"] == "critical"


def test_a_run_that_changed_nothing_fails_clean(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    answer = shop.record(planned, "Fail", fence, error={"name": "Boom", "cause": "why"})
    assert answer["outcome"] == "FailedClean"
    assert answer["document"]["reason"] == "Boom: why; nothing had been changed"
    assert _free(shop)


def test_of_a_failed_function_only_its_message_is_told(shop: Shop) -> None:
    planned = shop.release(2)
    cause = '{"errorMessage": "ecs says \\"no\\"", "errorType": "OutsideError", "stackTrace": ["/var/task/app'
    answer = shop.record(planned, "Fail", error={"name": "OutsideError", "cause": cause})
    assert answer["document"]["reason"] == 'OutsideError: ecs says "no"; nothing had been changed'


def test_a_run_that_waited_too_long_leaves_the_queue(shop: Shop) -> None:
    first, second = shop.release(2), shop.release(3)
    shop.acquire(first, "one")
    shop.acquire(second, "two")
    answer = shop.record(second, "Fail", -1, error={"name": "States.Timeout", "cause": ""})
    assert answer["outcome"] == "FailedClean"
    assert Locks(shop.world.store, shop.world.clock).waiters(SYSTEM, ENVIRONMENT) == []


def test_a_run_that_was_never_planned_fails_clean(shop: Shop) -> None:
    event = {
        "step": "Fail",
        "system": None,
        "environment": None,
        "deployment": None,
        "fence": -1,
        "execution": shop.execution(),
        "request": {"system": SYSTEM, "environment": ENVIRONMENT},
        "error": {"name": "OutsideError", "cause": "AccessDenied"},
    }
    answer = record.run(event, shop.world.ports)
    assert answer["outcome"] == "FailedClean"
    assert "AccessDenied" in answer["document"]["reason"]


def test_a_stale_run_cannot_end_a_deployment_that_was_taken_over(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    Locks(shop.world.store, shop.world.clock).take_over(
        SYSTEM, ENVIRONMENT, planned["deployment"], "arn:recovery"
    )
    with pytest.raises(LostLockError):
        shop.record(planned, "Fail", fence, error=None)
    assert shop.deployment(planned).outcome is None


def test_a_refusal_is_recorded_and_announced_once(shop: Shop) -> None:
    planned = shop.plan(commit="c9")
    for _ in range(2):
        answer = shop.record(planned, "Conclude", document=planned["document"], execution={})
    assert answer["outcome"] == "Refused"
    assert shop.deployment(planned).outcome is Outcome.REFUSED
    assert len(shop.world.bus.of("Deployment Refused")) == 1


def test_a_refused_input_that_is_no_deployment_is_announced(shop: Shop) -> None:
    planned = shop.plan(system="shpo", commit="c2")
    answer = shop.record(planned, "Conclude", document=planned["document"])
    assert answer["outcome"] == "Refused"
    assert "not registered" in shop.world.bus.of("Deployment Refused")[0]["reason"]


def test_a_rollback_marks_what_it_left_and_keeps_the_order(shop: Shop) -> None:
    shop.go_out(2)
    shop.go_out(3)
    back = shop.plan(step="PlanRollback")
    fence = shop.acquire(back, "back")
    for service in ("api", "worker"):
        shop.roll(back, service, fence)
        shop.world.containers.complete(f"shop-{service}")
    assert shop.record(back, "Succeed", fence)["document"]["release"] == "r1"
    verdicts = {entry.release: entry.verdict for entry in shop.ledger.standings(SYSTEM, ENVIRONMENT)}
    assert verdicts == {0: Verdict.SUCCEEDED, 1: Verdict.SUCCEEDED, 2: Verdict.ROLLED_BACK}
    again = shop.plan(step="PlanRollback")
    assert shop.deployment(again).release_name == "r0", "a second rollback goes further back"


def test_a_rollback_over_a_hundred_releases_fits_one_transaction(shop: Shop) -> None:
    shop.go_out(2)
    for number in range(2, 120):
        standing = Standing(number, Verdict.SUCCEEDED, "D", f"2026-03-02T10:00:00.{number:03d}Z")
        shop.ledger.adopt(SYSTEM, ENVIRONMENT, standing)
    shop.go_out(3)
    back = shop.plan(step="PlanRollback", to="r1")
    fence = shop.acquire(back, "back")
    for service in ("api", "worker"):
        shop.roll(back, service, fence)
        shop.world.containers.complete(f"shop-{service}")
    assert shop.record(back, "Succeed", fence)["outcome"] == "Succeeded"
    further = shop.plan(step="PlanRollback")
    assert shop.deployment(further).release_name == "r0"


def test_a_failed_release_is_remembered_as_failed(shop: Shop) -> None:
    planned, fence = _crash(shop)
    shop.roll(planned, "api", fence, "Revert")  # type: ignore[arg-type]
    shop.world.containers.complete("shop-api")
    shop.record(planned, "Fail", fence, error=None)  # type: ignore[arg-type]
    standing = shop.ledger.standing(SYSTEM, ENVIRONMENT, 1)
    assert standing is not None
    assert standing.verdict is Verdict.FAILED
    assert "failed" in shop.release(2, trigger="event")["document"]["reason"]


class TestAnAbortInTheLastMoment:
    def test_is_no_success_and_everything_goes_back(self, shop: Shop) -> None:
        """Red without the condition in Ledger.end: all services roll, then both are recorded."""
        planned, fence = _rolled(shop)
        shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "ada", "wrong commit")
        assert shop.record(planned, "Succeed", fence)["outcome"] == record.NOT_RECORDED
        assert shop.ledger.current(SYSTEM, ENVIRONMENT) is None
        assert shop.ledger.standing(SYSTEM, ENVIRONMENT, 1) is None
        assert shop.world.registry.images == {}
        assert shop.world.bus.of("Deployment Succeeded") == []
        assert len(shop.record(planned, "BeginCompensation", fence)["waves"]) == 2
        for service in ("worker", "api"):
            shop.roll(planned, service, fence, "Revert")
            shop.world.containers.complete(f"shop-{service}")
        ended = shop.record(planned, "Fail", fence, error=None)
        assert (ended["outcome"], ended["document"]["reason"]) == (
            "FailedClean",
            "aborted by ada: wrong commit",
        )
        assert shop.world.metrics.total("Succeeded") == 0
        assert shop.ledger.open_items() == []

    def test_of_one_that_changed_nothing_ends_it_as_aborted(self, shop: Shop) -> None:
        """Whoever asked is told that it was taken back, not that it had nothing to do."""
        planned = shop.release(2)
        fence = shop.acquire(planned)
        shop.people.ask_abort(planned["deployment"], shop.deployment(planned), "ada", "why")
        document = {"outcome": "NoChange", "deployment": planned["deployment"], "reason": "same images"}
        ended = shop.record(planned, "Conclude", fence, document=document)
        assert (ended["outcome"], ended["document"]["reason"]) == (
            "FailedClean",
            "aborted by ada: why; nothing had been changed",
        )
        assert _free(shop)

    def test_does_not_stop_a_rollback(self, shop: Shop) -> None:
        shop.go_out(2)
        back = shop.plan(step="PlanRollback")
        fence = shop.acquire(back, "back")
        for service in ("api", "worker"):
            shop.roll(back, service, fence)
            shop.world.containers.complete(f"shop-{service}")
        shop.people.ask_abort(back["deployment"], shop.deployment(back), "ada", "why")
        assert shop.record(back, "Succeed", fence)["outcome"] == "Succeeded"
        assert shop.ledger.open_items() == []


class TestTheOrder:
    EARLY, LATE = "01K0000000000000000000000A", "01K0000000000000000000000B"

    def current(self, shop: Shop) -> str:
        found = shop.ledger.current(SYSTEM, ENVIRONMENT)
        assert found is not None
        return found.order

    def out(self, shop: Shop, planned: Answer) -> None:
        fence = shop.acquire(planned, planned["deployment"])
        for service in ("api", "worker"):
            shop.roll(planned, service, fence)
            shop.world.containers.complete(f"shop-{service}")
        assert shop.record(planned, "Succeed", fence)["outcome"] == "Succeeded"

    def test_of_what_is_current_is_that_of_the_latest_push_ever(self, shop: Shop) -> None:
        self.out(shop, shop.release(2, trigger="event", order=self.LATE))
        assert self.current(shop) == self.LATE
        self.out(shop, shop.plan(step="PlanRollback"))
        assert self.current(shop) == self.LATE, "a rollback does not let an older push pass"
        self.out(shop, shop.release(3))
        assert self.current(shop) == self.LATE, "a person's release of an old commit does not either"

    def test_of_a_person_is_that_of_the_push_that_made_the_release(self, shop: Shop) -> None:
        """Red where it stays empty: the push before would be released over what a person promoted."""
        shop.ledger.ensure_release(SYSTEM, "c2", {"app": digest(2)}, self.LATE)
        self.out(shop, shop.release(2, actor="ada"))
        assert self.current(shop) == self.LATE


def test_services_that_started_again_are_described_as_such(shop: Shop) -> None:
    """test_restarting has the rest."""
    planned, fence = _rolled(shop)
    deployment = shop.deployment(planned)
    shop.ledger.save(replace(deployment, request={**deployment.request, "restart": {}}), fence=fence)
    services = shop.record(planned, "Succeed", fence)["document"]["services"]
    assert {entry["outcome"] for entry in services.values()} == {"Restarted"}
    assert shop.ledger.current(SYSTEM, ENVIRONMENT) is None
