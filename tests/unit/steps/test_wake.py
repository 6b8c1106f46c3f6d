"""Events are hints: once, twice, late or wrong, they start or resume exactly what AWS's own answer allows."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.steps import resuming, wake

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Shop, digest, manifest


def _published(number: int = 1, **detail: Any) -> dict[str, Any]:
    said = {
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "commit": "c2",
        "images": {"app": {"digest": digest(2)}},
    }
    return {
        "id": f"event-{number}",
        "detail-type": "Image Published",
        "source": "tidegate.ci",
        "time": "2026-03-02T09:00:00Z",
        "detail": {key: value for key, value in {**said, **detail}.items() if value is not None},
    }


def _deployed(deployment_id: str) -> dict[str, Any]:
    return {
        "detail-type": "ECS Deployment State Change",
        "detail": {"eventName": "SERVICE_DEPLOYMENT_COMPLETED", "deploymentId": deployment_id},
    }


def test_the_same_event_ten_times_starts_one_run(shop: Shop) -> None:
    for number in range(10):
        wake.run(_published(number), shop.world.ports)
    (started,) = shop.world.executions.started
    assert started.machine == "deploy"
    assert len(started.name) <= 80
    assert started.payload["trigger"] == "event"


def test_a_duplicate_is_a_line_in_the_timeline(shop: Shop) -> None:
    wake.run(_published(1), shop.world.ports)
    (started,) = shop.world.executions.started
    execution = {**shop.execution(), "id": started.arn}
    planned = shop.release(2, execution=execution)
    for _ in range(2):
        wake.run(_published(2), shop.world.ports)
    said = [line.what for line in shop.timeline(planned)]
    assert said.count("the same event came again") == 1, (
        "the same copy is one line, however often it is delivered"
    )


def test_a_duplicate_that_comes_before_the_deployment_is_recorded_is_told_when_it_is(shop: Shop) -> None:
    for number in range(1, 4):
        wake.run(_published(number), shop.world.ports)
    (started,) = shop.world.executions.started
    planned = shop.release(2, execution={**shop.execution(), "id": started.arn}, trigger="event")
    again = [line for line in shop.timeline(planned) if line.what == "the same event came again"]
    assert [line.detail for line in again] == ["event-2", "event-3"]


def test_one_that_finds_the_first_not_started_yet_is_a_duplicate_all_the_same(shop: Shop) -> None:
    """Ten at once: the first has left its mark, and nobody has started anything."""
    shop.world.executions.fails("start")
    with pytest.raises(Exception, match="throttled"):
        wake.run(_published(1), shop.world.ports)
    wake.run(_published(2), shop.world.ports)
    wake.run(_published(1), shop.world.ports)
    (started,) = shop.world.executions.started
    planned = shop.release(2, execution={**shop.execution(), "id": started.arn}, trigger="event")
    again = [line for line in shop.timeline(planned) if line.what == "the same event came again"]
    assert "event-2" in [line.detail for line in again]


def test_a_crash_between_the_mark_and_the_start_loses_nothing(shop: Shop) -> None:
    shop.world.executions.fails("start")
    with pytest.raises(Exception, match="throttled"):
        wake.run(_published(), shop.world.ports)
    wake.run(_published(), shop.world.ports)
    assert len(shop.world.executions.started) == 1


def test_a_crash_after_the_start_starts_nothing_twice(shop: Shop) -> None:
    shop.world.executions.loses("start")
    with pytest.raises(Exception, match="lost"):
        wake.run(_published(), shop.world.ports)
    wake.run(_published(), shop.world.ports)
    assert len(shop.world.executions.started) == 1


def test_the_environment_may_be_left_out_where_there_is_only_one(shop: Shop) -> None:
    wake.run(_published(environment=None), shop.world.ports)
    assert shop.world.executions.started[0].payload["environment"] == ENVIRONMENT


def test_several_environments_are_not_guessed(shop: Shop) -> None:
    shop.world.registry.put_manifest(SYSTEM, "staging", manifest())
    assert wake.run(_published(environment=None), shop.world.ports)["did"] == "refused"
    assert "production, staging" in shop.world.bus.of("Deployment Refused")[0]["reason"]


@pytest.mark.parametrize(
    ("detail", "field"),
    [
        ({"system": "other"}, "system"),
        ({"system": None}, "system"),
        ({"images": None}, "images"),
        ({"images": {"app": {"digest": "latest"}}}, "images.app.digest"),
        ({"images": {"app": {}}}, "images.app"),
        ({"commit": "c" * 65}, "commit"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_event_is_refused_naming_the_field(shop: Shop, detail: Any, field: str) -> None:
    assert wake.run(_published(**detail), shop.world.ports)["did"] == "refused"
    assert shop.world.bus.of("Deployment Refused")[0]["reason"].startswith(f"{field}: ")
    assert shop.world.executions.started == []


@pytest.mark.parametrize(
    "event", [{}, {"detail-type": "Something Else"}, {"detail-type": "Image Published", "detail": 3}]
)
def test_an_event_of_no_use_does_nothing(shop: Shop, event: Any) -> None:
    assert wake.run(event, shop.world.ports)["did"] in ("nothing", "refused")
    assert shop.world.executions.started == []


class TestEcsDeployment:
    def test_resumes_by_what_ecs_says_when_asked(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        shop.roll(planned, "api", fence, token="waits")
        identity = shop.world.containers.service("shop-api").primary.id

        wake.run(_deployed(identity), shop.world.ports)
        assert "waits" not in shop.world.executions.answers, "the event says COMPLETED, ECS does not"

        shop.world.containers.complete("shop-api")
        wake.run(_deployed(identity), shop.world.ports)
        assert shop.world.executions.answers["waits"]["outcome"] == "Rolled"
        assert shop.ledger.waiting_for(identity) == []

    def test_twice_or_late_has_no_second_effect(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        shop.roll(planned, "api", fence, token="waits")
        identity = shop.world.containers.complete("shop-api").id
        for _ in range(3):
            wake.run(_deployed(identity), shop.world.ports)
        assert [line.what for line in shop.timeline(planned)].count(resuming.COMPLETED) == 1

    def test_asks_ecs_nothing_when_nobody_waits(self, shop: Shop) -> None:
        before = shop.world.containers.called("services")
        wake.run(_deployed("ecs-svc/42"), shop.world.ports)
        assert shop.world.containers.called("services") == before

    def test_a_failed_deployment_is_never_a_success(self, shop: Shop) -> None:
        planned = shop.release(2)
        fence = shop.acquire(planned)
        shop.roll(planned, "api", fence, token="waits")
        identity = shop.world.containers.fail("shop-api").id
        shop.world.containers.complete("shop-api")
        wake.run(_deployed(identity), shop.world.ports)
        assert shop.world.executions.answers["waits"]["outcome"] == "RolledBack"


def test_the_first_task_that_dies_is_told_at_once(shop: Shop) -> None:
    planned = shop.release(2)
    fence = shop.acquire(planned)
    shop.roll(planned, "worker", fence)
    event = {
        "detail-type": "ECS Task State Change",
        "detail": {
            "lastStatus": "STOPPED",
            "startedBy": shop.world.containers.service("shop-worker").primary.id,
            "taskArn": "arn:aws:ecs:eu-west-1:1:task/shop-cluster/abc",
            "stoppedAt": "2026-03-02T09:00:05.000Z",
            "stoppedReason": "Essential container in task exited",
            "containers": [{"name": "app", "exitCode": 3}],
        },
    }
    for _ in range(2):
        wake.run(event, shop.world.ports)
    told = [line for line in shop.timeline(planned) if line.what == "a task stopped"]
    assert [(line.service, line.detail) for line in told] == [
        ("worker", "container app exited with code 3 (task abc)")
    ]


class TestScan:
    def test_asks_ecr_nothing_when_nobody_waits(self, shop: Shop) -> None:
        detail = {"repository-name": "shop-app", "image-digest": digest(2), "scan-status": "COMPLETE"}
        said = wake.run({"detail-type": "ECR Image Scan", "detail": detail}, shop.world.ports)
        assert said == {"did": "nothing", "why": "nobody waits for it"}
        assert shop.world.images.called("scan") == 0


@pytest.mark.parametrize(
    "detail_type", ["CodeBuild Build State Change", "CodeCommit Repository State Change", "GitHub Push"]
)
@pytest.mark.parametrize("detail", [None, 3, []])
def test_a_build_or_a_push_without_a_detail_does_nothing(shop: Shop, detail_type: str, detail: Any) -> None:
    said = wake.run({"detail-type": detail_type, "detail": detail}, shop.world.ports)
    assert said["did"] == "nothing"
