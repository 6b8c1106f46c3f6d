"""A restart: services that take a secret start again as they are, once, and nothing else of a release happens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tidegate.domain.errors import TransientError
from tidegate.domain.outcome import Outcome
from tidegate.steps import sweep

from tests.unit.steps.conftest import CLUSTER, ENVIRONMENT, SYSTEM, Answer, Shop, digest

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/database-AbCdEf"


def take(shop: Shop, service: str, value_from: str = SECRET) -> str:
    """The service runs a task definition that takes the secret; gives its ARN."""
    image = f"{shop.world.images.uri('shop-app')}@{digest(1)}"
    shop.world.references.secrets.add(SECRET)
    containers = [{"name": "app", "image": image, "secrets": [{"name": "DATABASE", "valueFrom": value_from}]}]
    content = {"family": f"shop-{service}", "containerDefinitions": containers}
    arn = shop.world.containers.register(content, {}).arn
    shop.world.containers.supersede(f"shop-{service}", arn)
    shop.world.containers.complete(f"shop-{service}")
    return arn


@pytest.fixture
def taking(shop: Shop) -> Shop:
    """`api` takes the secret, `worker` does not; a minute has passed since they started."""
    take(shop, "api")
    shop.world.clock.advance(60)
    return shop


def restart(shop: Shop, at: str | None = None, **more: Any) -> Answer:
    changed = {"secret": SECRET, "version": "v2", "at": at or shop.ledger.now()}
    return shop.plan(restart=changed, trigger="event", actor="secretsmanager", **more)


def test_only_who_takes_the_secret_starts_again_on_what_it_runs(taking: Shop) -> None:
    planned = restart(taking)
    assert (planned["outcome"], planned["waves"]) == ("Ready", [{"services": ["api"]}])
    plan = taking.deployment(planned).plan
    assert plan is not None
    api = plan.service("api")
    primary = taking.world.containers.service("shop-api").primary
    assert (api.target, api.previous, api.restarts) == (
        primary.task_definition,
        primary.task_definition,
        primary.id,
    )
    assert (api.digest, api.smoke) == (digest(1), None)
    assert taking.ledger.release(SYSTEM, 1) is None, "it makes no release"


def test_services_that_started_since_have_the_value_already(taking: Shop) -> None:
    changed_at = taking.ledger.now()
    taking.world.clock.advance(5)
    take(taking, "worker")
    assert restart(taking, changed_at)["waves"] == [{"services": ["api"]}]
    taking.world.clock.advance(5)
    take(taking, "api")
    assert restart(taking, changed_at)["outcome"] == "NoChange"


def test_the_moment_is_compared_as_time_and_not_as_text(taking: Shop) -> None:
    """EventBridge leaves the milliseconds out: `…:00Z` sorts behind `…:00.500Z`."""
    moment = taking.world.containers.service("shop-api").primary.created_at
    assert moment.endswith(".000Z")
    assert restart(taking, moment.replace(".000Z", "Z"))["outcome"] == "NoChange"


@pytest.mark.parametrize("held_to", ["::AWSPREVIOUS:", ":::0f3ab2c1-8d70-4e0e-8f0f-111111111111"])
def test_who_is_held_to_a_version_is_no_consumer(shop: Shop, held_to: str) -> None:
    take(shop, "api", f"{SECRET}{held_to}")
    shop.world.clock.advance(60)
    assert restart(shop)["outcome"] == "NoChange"


def test_the_new_tasks_are_forced_and_a_retry_adopts_them(taking: Shop) -> None:
    planned = restart(taking)
    fence = taking.acquire(planned)
    before = taking.world.containers.service("shop-api").primary
    taking.world.store.loses("transact", 1)
    with pytest.raises(TransientError):
        taking.roll(planned, "api", fence, token="first")
    taking.world.containers.loses("update_service")
    with pytest.raises(TransientError):
        taking.roll(planned, "api", fence, token="second")
    assert taking.roll(planned, "api", fence, token="third") is None
    primary = taking.world.containers.service("shop-api").primary
    assert primary.id != before.id
    assert primary.task_definition == before.task_definition
    assert taking.world.containers.called("update_service") == 1
    assert taking.world.containers.called("register") == 1, "only by the test"

    taking.world.containers.complete("shop-api")
    sweep.run({}, taking.world.ports)
    assert taking.answers["third"]["outcome"] == "Rolled"


def succeed(shop: Shop) -> Answer:
    planned = restart(shop)
    fence = shop.acquire(planned, "restart")
    shop.roll(planned, "api", fence)
    shop.world.containers.complete("shop-api")
    return shop.record(planned, "Succeed", fence)


def test_its_success_changes_neither_what_is_current_nor_any_verdict(taking: Shop) -> None:
    taking.go_out(2)
    take(taking, "api")
    taking.world.clock.advance(60)
    place = SYSTEM, ENVIRONMENT
    before = taking.ledger.current(*place), taking.ledger.standings(*place)
    done = succeed(taking)
    assert done["outcome"] == "Succeeded"
    assert done["document"]["release"] == "r1"
    assert {key: entry["outcome"] for key, entry in done["document"]["services"].items()} == {
        "api": "Restarted",
        "worker": "Unchanged",
    }
    assert (taking.ledger.current(*place), taking.ledger.standings(*place)) == before
    assert taking.plan(step="PlanRollback")["outcome"] == "Ready"


def test_where_nothing_was_ever_released_it_names_no_release(taking: Shop) -> None:
    done = succeed(taking)
    assert (done["outcome"], done["document"]["release"]) == ("Succeeded", None)
    assert taking.ledger.current(SYSTEM, ENVIRONMENT) is None


def test_one_that_fails_is_back_when_ecs_has_gone_back(taking: Shop) -> None:
    """The task definition is the same either way: the way back is ECS's own new deployment."""
    planned = restart(taking)
    fence = taking.acquire(planned)
    taking.roll(planned, "api", fence, token="rolls")
    taking.world.containers.fail("shop-api")
    sweep.run({}, taking.world.ports)
    assert taking.answers["rolls"]["outcome"] != "Rolled"
    assert taking.record(planned, "BeginCompensation", fence)["waves"] == [{"services": ["api"]}]
    updates = taking.world.containers.called("update_service")
    assert taking.roll(planned, "api", fence, "Revert", "reverts") is None
    assert taking.world.containers.called("update_service") == updates, "ECS's own was adopted"
    taking.world.containers.complete("shop-api")
    sweep.run({}, taking.world.ports)
    assert taking.answers["reverts"]["outcome"] == "Rolled"
    ended = taking.record(planned, "Fail", fence, error=None)
    assert ended["outcome"] == Outcome.FAILED_CLEAN.value
    assert taking.ledger.standings(SYSTEM, ENVIRONMENT) == [], "no release has failed"


def test_one_that_is_aborted_lets_the_new_tasks_come_up(taking: Shop) -> None:
    """There is nothing to go back to: both are one task definition."""
    planned = restart(taking)
    fence = taking.acquire(planned)
    taking.roll(planned, "api", fence, token="rolls")
    taking.command("abort", deployment=planned["deployment"], reason="not now")
    assert taking.answers["rolls"]["outcome"] == "Aborted"
    assert taking.roll(planned, "api", fence, "Revert", "reverts") is None
    taking.world.containers.complete("shop-api")
    assert taking.record(planned, "Fail", fence, error=None)["outcome"] == "FailedClean"


def test_somebody_elses_deployment_ends_first(taking: Shop) -> None:
    taking.world.containers.supersede(
        "shop-worker", taking.world.containers.add_task_definition("shop-worker").arn
    )
    planned = restart(taking)
    assert (planned["outcome"], planned["planned_fence"]) == ("Ready", -1)
    assert taking.plan_again(planned, taking.acquire(planned))["outcome"] == "Busy"


def test_who_has_started_again_while_it_waited_is_left(taking: Shop) -> None:
    planned = restart(taking)
    taking.world.clock.advance(5)
    take(taking, "api")
    assert taking.plan_again(planned, taking.acquire(planned))["outcome"] == "NoChange"


def test_a_service_whose_start_is_not_known_starts_again(taking: Shop) -> None:
    service = taking.world.containers.service("shop-api")
    service.deployments = [replace(entry, created_at="") for entry in service.deployments]
    assert restart(taking)["waves"] == [{"services": ["api"]}]
    assert taking.world.containers.clusters[CLUSTER]["shop-api"] is service
