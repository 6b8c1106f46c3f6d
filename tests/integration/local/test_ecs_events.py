"""ECS announces what it does to deployments and tasks."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.embedded import Cloud, running_cloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


def define(cloud: Cloud, family: str, image: str) -> str:
    containers = [{"name": "web", "image": image}]
    answer = cloud.client("ecs").register_task_definition(family=family, containerDefinitions=containers)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def create(cloud: Cloud, name: str) -> dict[str, Any]:
    service: dict[str, Any] = cloud.client("ecs").create_service(
        cluster="events",
        serviceName=name,
        taskDefinition=define(cloud, name, "web:1"),
        desiredCount=1,
        deploymentConfiguration=BREAKER,
    )["service"]
    return service


def collect(cloud: Cloud, url: str, *, until: Any) -> list[dict[str, Any]]:
    """The events that arrive, up to and including the first that satisfies `until`."""
    seen: list[dict[str, Any]] = []
    while not seen or not until(seen[-1]):
        seen.append(cloud.message(url)["body"])
    return seen


def test_each_state_of_a_deployment_is_announced(cloud: Cloud, queue: tuple[str, str]) -> None:
    url, arn = queue
    cloud.rule({"source": ["aws.ecs"], "detail-type": ["ECS Deployment State Change"]}, arn)
    service = create(cloud, "announced")
    first = service["deployments"][0]["id"]
    collect(cloud, url, until=lambda e: e["detail"]["eventName"] == "SERVICE_DEPLOYMENT_COMPLETED")

    cloud.control.set_fault("announced", "crash")
    update = cloud.client("ecs").update_service(
        cluster="events", service="announced", taskDefinition=define(cloud, "announced", "web:2")
    )
    failed = update["service"]["deployments"][0]["id"]
    events = collect(cloud, url, until=lambda e: e["detail"]["eventName"] == "SERVICE_DEPLOYMENT_COMPLETED")
    cloud.control.clear_fault("announced")

    assert {e["resources"][0] for e in events} == {service["serviceArn"]}
    assert {e["detail"]["clusterArn"] for e in events} == {service["clusterArn"]}
    story = [
        (e["detail"]["eventName"].removeprefix("SERVICE_DEPLOYMENT_"), e["detail"]["eventType"])
        for e in events
    ]
    assert story == [
        ("IN_PROGRESS", "INFO"),
        ("FAILED", "ERROR"),
        ("IN_PROGRESS", "INFO"),
        ("COMPLETED", "INFO"),
    ]
    assert [e["detail"]["deploymentId"] for e in events[:2]] == [failed, failed]
    assert events[1]["detail"]["reason"] == "ECS deployment circuit breaker: tasks failed to start."
    back = f"ECS deployment circuit breaker: rolling back to deploymentId {first}."
    assert events[2]["detail"]["reason"] == back
    assert {"version", "id", "account", "time", "region"} <= events[0].keys()


def test_a_service_says_when_it_is_steady(cloud: Cloud, queue: tuple[str, str]) -> None:
    """Of a count alone ECS says nothing but this: no deployment is started (API reference, UpdateService)."""
    url, arn = queue
    cloud.rule({"source": ["aws.ecs"], "detail-type": ["ECS Service Action"]}, arn)
    service, ecs = create(cloud, "steady"), cloud.client("ecs")
    first = cloud.message(url)["body"]
    assert first["resources"] == [service["serviceArn"]]
    assert {name: first["detail"][name] for name in ("eventType", "eventName", "clusterArn")} == {
        "eventType": "INFO",
        "eventName": "SERVICE_STEADY_STATE",
        "clusterArn": service["clusterArn"],
    }
    for count in (3, 1, 0):
        ecs.update_service(cluster="events", service="steady", desiredCount=count)
        assert cloud.message(url)["body"]["detail"]["eventName"] == "SERVICE_STEADY_STATE"
        (found,) = ecs.describe_services(cluster="events", services=["steady"])["services"]
        assert (found["desiredCount"], found["runningCount"]) == (count, count)
        assert [(entry["id"], entry["rolloutState"]) for entry in found["deployments"]] == [
            (service["deployments"][0]["id"], "COMPLETED")
        ]
        assert found["events"][0]["message"].endswith("has reached a steady state.")


def test_a_stopped_task_is_announced_with_its_reason(cloud: Cloud, queue: tuple[str, str]) -> None:
    url, arn = queue
    cloud.rule({"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]}, arn)
    cloud.control.set_fault("loud", "crash", exit_code=2)
    deployment = create(cloud, "loud")["deployments"][0]["id"]
    event = collect(cloud, url, until=lambda e: e["detail"]["lastStatus"] == "STOPPED")[-1]
    cloud.control.clear_fault("loud")

    detail = event["detail"]
    assert event["resources"] == [detail["taskArn"]]
    assert (detail["group"], detail["startedBy"], detail["desiredStatus"]) == (
        "service:loud",
        deployment,
        "STOPPED",
    )
    assert detail["stopCode"] == "EssentialContainerExited"
    assert detail["stoppedReason"] == "Essential container in task exited"
    assert [(c["name"], c["lastStatus"], c["exitCode"]) for c in detail["containers"]] == [
        ("web", "STOPPED", 2)
    ]
    assert detail["version"] > 1


def test_events_can_be_turned_off_and_iam_too(tmp_path: Path) -> None:
    with running_cloud(tmp_path, ["--no-ecs-events", "--no-iam"]) as cloud:
        health = cloud.control.health()
        assert (health.iam, health.ecs_events) == (False, False)
        url, arn = cloud.queue("silent")
        cloud.rule({"source": ["aws.ecs"]}, arn)
        create(cloud, "silent")

        def completed() -> bool:
            service = cloud.client("ecs").describe_services(cluster="events", services=["silent"])[
                "services"
            ][0]
            return bool(service["deployments"][0]["rolloutState"] == "COMPLETED")

        wait_until(completed, what="the deployment")
        cloud.control.put_events({"source": "aws.ecs", "detail-type": "Last", "detail": {}})
        assert json.dumps(cloud.message(url)["body"]["detail-type"]) == '"Last"'
