"""One service's rollout: idempotent, fenced, judged by the ECS deployment that was started."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.errors import LostLockError, TransientError
from tidegate.domain.rollout import Direction
from tidegate.ledger.locks import Locks
from tidegate.steps import roll_service

from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, Shop, digest

# What one start of a rollout writes: the intention, the revision, the ECS deployment, the token.
WRITES = 4


@pytest.fixture
def rolling(shop: Shop) -> tuple[Shop, Any, int]:
    planned = shop.release(2)
    return shop, planned, shop.acquire(planned)


def test_registers_the_base_with_the_new_image_and_starts_it(rolling: tuple[Shop, Any, int]) -> None:
    shop, planned, fence = rolling
    assert shop.roll(planned, "api", fence) is None
    assert shop.running("shop-api") == digest(2)
    primary = shop.world.containers.service("shop-api").primary
    made = shop.world.containers.task_definition(primary.task_definition)
    assert made is not None
    assert made.tags["tidegate:deployment"] == planned["deployment"]
    assert made.tags["tidegate:release"] == "r1"
    assert made.content["containerDefinitions"][0]["logConfiguration"]["logDriver"] == "awslogs"


def test_answers_itself_when_ecs_was_faster_than_the_token(rolling: tuple[Shop, Any, int]) -> None:
    shop, planned, fence = rolling
    shop.roll(planned, "api", fence, token="first")
    shop.world.containers.complete("shop-api")
    assert shop.roll(planned, "api", fence, token="second") == {
        "outcome": "Rolled",
        "reason": "the ECS deployment completed",
        "smoke": None,
    }


@pytest.mark.parametrize("method", ["register", "update_service"])
@pytest.mark.parametrize("mishap", ["fails", "loses"])
def test_a_retry_adopts_what_the_attempt_before_began(
    rolling: tuple[Shop, Any, int], method: str, mishap: str
) -> None:
    """Guards the look before `register` and before `update_service`: one revision, one ECS deployment."""
    shop, planned, fence = rolling
    getattr(shop.world.containers, mishap)(method)
    with pytest.raises(TransientError):
        shop.roll(planned, "api", fence)
    shop.roll(planned, "api", fence)
    assert len(shop.world.containers.revisions_of["shop-api"]) == 2
    new = [
        entry for entry in shop.world.containers.service("shop-api").deployments if entry.status == "PRIMARY"
    ]
    assert len(new) == 1
    assert len(shop.world.containers.service("shop-api").deployments) == 2


@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_a_crash_at_any_write_of_the_ledger_converges(rolling: tuple[Shop, Any, int], number: int) -> None:
    shop, planned, fence = rolling
    before = shop.world.store.called("transact")
    shop.roll(planned, "worker", fence)
    writes = shop.world.store.called("transact") - before
    assert writes == WRITES, "each of them has to be cut off once"
    original, count = shop.world.store.transact, 0

    def crash(*args: Any) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise TransientError("crash")
        original(*args)

    shop.world.store.transact = crash  # type: ignore[method-assign]
    with pytest.raises(TransientError):
        shop.roll(planned, "api", fence)
    shop.world.store.transact = original  # type: ignore[method-assign]
    shop.roll(planned, "api", fence, token="again")
    assert shop.running("shop-api") == digest(2)
    assert len(shop.world.containers.service("shop-api").deployments) == 2
    shop.world.containers.complete("shop-api")
    assert shop.roll(planned, "api", fence, token="last") is not None


@pytest.fixture
def given_up(shop: Shop) -> Shop:
    """r2 is current, and of the worker's ECS has started it again and given up."""
    containers = shop.world.containers
    shop.go_out(2)
    shop.go_out(3)
    containers.supersede("shop-worker", "shop-worker:1")
    containers.fail("shop-worker")
    containers.fail("shop-worker", rollback=False)
    primary = containers.service("shop-worker").primary
    assert (shop.running("shop-worker"), primary.rollout_state) == (digest(3), "FAILED")
    return shop


def test_a_rollback_starts_what_ecs_gave_up_on(given_up: Shop) -> None:
    """Guards `given_up` in steps.planning and `force` in `_started`: nothing else starts its tasks again."""
    shop, failed = given_up, given_up.world.containers.service("shop-worker").primary
    planned = shop.plan(step="PlanRollback", to="r2")
    assert [wave["services"] for wave in planned["waves"]] == [["worker"]]
    fence = shop.acquire(planned)
    assert shop.roll(planned, "worker", fence) is None, "ECS has something to decide"
    started = shop.world.containers.service("shop-worker").primary
    assert started.id != failed.id
    assert started.task_definition == failed.task_definition
    shop.world.containers.complete("shop-worker")
    assert shop.record(planned, "Succeed", fence)["outcome"] == "Succeeded"


def test_a_release_starts_what_ecs_gave_up_on(given_up: Shop) -> None:
    planned = given_up.release(3)
    assert [wave["services"] for wave in planned["waves"]] == [["worker"]]


def test_a_way_back_starts_what_ecs_gave_up_on(given_up: Shop) -> None:
    """A recovery finds that an earlier way back has failed."""
    shop, failed = given_up, given_up.world.containers.service("shop-worker").primary
    planned = shop.release(2)
    fence = shop.acquire(planned)
    assert shop.roll(planned, "worker", fence, "Revert") is None, "ECS has something to decide"
    assert shop.world.containers.service("shop-worker").primary.id != failed.id


def test_a_void_fence_changes_nothing(rolling: tuple[Shop, Any, int]) -> None:
    shop, planned, fence = rolling
    Locks(shop.world.store, shop.world.clock).take_over(
        SYSTEM, ENVIRONMENT, planned["deployment"], "arn:other"
    )
    with pytest.raises(LostLockError):
        shop.roll(planned, "api", fence)
    assert shop.world.containers.called("update_service") == 0


def test_a_run_that_was_redriven_leaves_the_report_alone(rolling: tuple[Shop, Any, int]) -> None:
    """Guards the look at the outcome in steps.reporting: the report says why it failed, for good."""
    shop, planned, fence = rolling
    event = {**shop.place(planned), "step": "Report", "service": "api", "direction": "Roll", "fence": fence}
    roll_service.run({**event, "outcome": "RolledBack", "reason": "its tasks crashed"}, shop.world.ports)
    shop.record(planned, "Fail", fence)
    roll_service.run({**event, "outcome": "Stuck", "reason": "fence 1 is void"}, shop.world.ports)
    (report,) = shop.ledger.reports(planned["deployment"])
    assert report.reason == "its tasks crashed"


def test_the_lock_is_read_again_right_before_ecs_is_changed(rolling: tuple[Shop, Any, int]) -> None:
    """Guards `_insist_on_lock`: the fence is lost after the intention was written."""
    shop, planned, fence = rolling
    locks = Locks(shop.world.store, shop.world.clock)
    register = shop.world.containers.register

    def lose(*args: Any) -> Any:
        made = register(*args)
        locks.take_over(SYSTEM, ENVIRONMENT, planned["deployment"], "arn:other")
        return made

    shop.world.containers.register = lose  # type: ignore[method-assign]
    with pytest.raises(LostLockError):
        shop.roll(planned, "api", fence)
    assert shop.world.containers.called("update_service") == 0


class TestRevert:
    def test_starts_the_previous_task_definition(self, rolling: tuple[Shop, Any, int]) -> None:
        shop, planned, fence = rolling
        shop.roll(planned, "api", fence)
        shop.world.containers.complete("shop-api")
        assert shop.roll(planned, "api", fence, "Revert") is None
        assert shop.running("shop-api") == digest(1)
        shop.world.containers.complete("shop-api")
        assert shop.roll(planned, "api", fence, "Revert", token="t2") is not None

    def test_adopts_the_circuit_breakers_own_way_back(self, rolling: tuple[Shop, Any, int]) -> None:
        shop, planned, fence = rolling
        shop.roll(planned, "api", fence)
        shop.world.containers.fail("shop-api")
        started = shop.world.containers.called("update_service")
        assert shop.roll(planned, "api", fence, "Revert") is None
        assert shop.world.containers.called("update_service") == started, "never a second one beside it"
        shop.world.containers.complete("shop-api")
        assert shop.roll(planned, "api", fence, "Revert", token="t2") is not None

    def test_of_a_service_that_was_never_touched_is_done_at_once(
        self, rolling: tuple[Shop, Any, int]
    ) -> None:
        shop, planned, fence = rolling
        answer = shop.roll(planned, "worker", fence, "Revert")
        assert answer is not None
        assert answer["outcome"] == "Rolled"
        assert shop.world.containers.called("update_service") == 0

    def test_registers_a_revision_again_that_became_inactive(self, rolling: tuple[Shop, Any, int]) -> None:
        shop, planned, fence = rolling
        previous = shop.world.containers.service("shop-api").primary.task_definition
        shop.roll(planned, "api", fence)
        shop.world.containers.complete("shop-api")
        shop.world.containers.deregister(previous)
        shop.roll(planned, "api", fence, "Revert")
        shop.world.containers.complete("shop-api")
        assert shop.running("shop-api") == digest(1)
        assert shop.world.containers.service("shop-api").primary.task_definition != previous
        assert shop.record(planned, "Fail", fence, error=None)["outcome"] == "FailedClean"


def test_await_leaves_the_token_with_somebody_elses_deployment(rolling: tuple[Shop, Any, int]) -> None:
    shop, planned, _ = rolling
    other = shop.world.containers.add_task_definition("shop-api", "somebody:else")
    moving = shop.world.containers.supersede("shop-api", other.arn)
    busy = {
        "service": "api",
        "cluster": "shop-cluster",
        "ecs_service": "shop-api",
        "ecs_deployment": moving.id,
    }
    event = {"step": "Await", **shop.place(planned), "busy": busy, "execution": "arn:x", "token": "waits"}
    shop.world.executions.wait("waits")
    roll_service.run(event, shop.world.ports)
    assert [item["token"] for item in shop.ledger.waiting_for(moving.id)] == ["waits"]


class TestReport:
    def _failed(self, shop: Shop, planned: Any, fence: int) -> Any:
        shop.roll(planned, "worker", fence)
        task = shop.world.containers.crash_task(
            "shop-worker", exit_code=137, reason="Essential container in task exited"
        )
        shop.world.logs.write(
            "/ecs/shop-worker", f"ecs/app/{task.id}", "starting", "db password=hunter2 refused", "bye"
        )
        shop.world.containers.event("shop-worker", "(deployment x) deployment failed: tasks failed to start.")
        shop.world.containers.fail("shop-worker")
        event = {
            "step": "Report",
            **shop.place(planned),
            "service": "worker",
            "direction": "Roll",
            "fence": fence,
            "outcome": "RolledBack",
            "reason": "tasks failed to start",
        }
        return roll_service.run(event, shop.world.ports)

    def test_has_exit_code_reason_last_lines_and_events(self, rolling: tuple[Shop, Any, int]) -> None:
        shop, planned, fence = rolling
        answer = self._failed(shop, planned, fence)
        assert answer["summary"] == (
            "worker: container app exited with code 137 (Essential container in task exited)"
        )
        (report,) = shop.ledger.reports(planned["deployment"])
        (task,) = report.tasks
        assert (task["container"], task["exit_code"]) == ("app", 137)
        assert task["logs"] == ["starting", "db password=*** refused", "bye"]
        assert any("tasks failed to start" in event for event in report.events)

    def test_of_one_that_never_started_says_what_is_known(self, rolling: tuple[Shop, Any, int]) -> None:
        shop, planned, fence = rolling
        event = {
            "step": "Report",
            **shop.place(planned),
            "service": "api",
            "direction": "Roll",
            "fence": fence,
        }
        answer = roll_service.run({**event, "outcome": "Stuck", "reason": "AccessDenied"}, shop.world.ports)
        assert answer["summary"] == "api: AccessDenied"

    def test_of_a_function_that_failed_has_its_message_only(self, rolling: tuple[Shop, Any, int]) -> None:
        shop, planned, fence = rolling
        event = {
            "step": "Report",
            **shop.place(planned),
            "service": "api",
            "direction": "Roll",
            "fence": fence,
        }
        cause = 'OutsideError: {"errorMessage": "ecs says \\"no\\"", "errorType": "OutsideError", "stackTrace": ["/var'
        answer = roll_service.run({**event, "outcome": "Stuck", "reason": cause}, shop.world.ports)
        assert answer["summary"] == 'api: OutsideError: ecs says "no"'

    def test_keeps_the_rollouts_outcome(self, rolling: tuple[Shop, Any, int]) -> None:
        shop, planned, fence = rolling
        self._failed(shop, planned, fence)
        rollout = shop.ledger.rollout(planned["deployment"], "worker", Direction.ROLL)
        assert rollout is not None
        assert rollout.outcome == "RolledBack"


def test_the_image_is_always_a_digest(rolling: tuple[Shop, Any, int]) -> None:
    shop, planned, fence = rolling
    shop.roll(planned, "api", fence)
    newest = shop.world.containers.task_definition("shop-api")
    assert newest is not None
    assert newest.content["containerDefinitions"][0]["image"].endswith(f"{REPOSITORY}@{digest(2)}")
