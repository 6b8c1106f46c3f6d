"""A container definition in Docker's words."""

from pathlib import Path
from typing import Any

import pytest
from tidegate_local.ecs.container_settings import (
    AUTHORITIES,
    TRUSTED_PLACE,
    ContainerSettings,
    local_name,
    of_container,
)

REGISTRY = "127.0.0.1:4566"
TASK: dict[str, Any] = {
    "taskArn": "arn:aws:ecs:us-east-1:000000000000:task/shop/0123456789abcdef",
    "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/web:7",
    "clusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/shop",
    "group": "service:web",
    "overrides": {},
}


def settings(
    definition: dict[str, Any], secrets: dict[str, str] | None = None, **task: Any
) -> ContainerSettings:
    return of_container(
        {**TASK, **task},
        {"name": "main", "image": "web:1", **definition},
        secrets=secrets or {},
        cloud_id="c0ffee000000",
        registry=REGISTRY,
    )


def test_what_a_definition_leaves_open_is_the_image_s() -> None:
    found = settings({})
    assert (found.image, found.essential, found.checked) == ("web:1", True, False)
    for name in ("command", "entrypoint", "working_dir", "user", "healthcheck"):
        assert found.create[name] is None
    assert found.create["environment"] == {}


def test_overrides_come_before_the_definition_and_secrets_last() -> None:
    override = {
        "name": "main",
        "command": ["migrate"],
        "environment": [{"name": "A", "value": "over"}, {"name": "S", "value": "over"}],
    }
    found = settings(
        {"command": ["serve"], "environment": [{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]},
        {"S": "secret"},
        overrides={"containerOverrides": [{"name": "other", "command": ["no"]}, override]},
    )
    assert found.create["command"] == ["migrate"]
    assert found.create["environment"] == {"A": "over", "B": "b", "S": "secret"}


def test_labels_name_the_cloud_and_the_task_and_cannot_be_taken() -> None:
    labels = settings({"dockerLabels": {"team": "shop", "tidegate.cloud": "other"}}).create["labels"]
    assert labels == {
        "team": "shop",
        "tidegate.cloud": "c0ffee000000",
        "tidegate.group": "service:web",
        "com.amazonaws.ecs.cluster": TASK["clusterArn"],
        "com.amazonaws.ecs.container-name": "main",
        "com.amazonaws.ecs.task-arn": TASK["taskArn"],
        "com.amazonaws.ecs.task-definition-family": "web",
        "com.amazonaws.ecs.task-definition-version": "7",
    }


@pytest.mark.parametrize(("given", "seconds"), [({}, 2), ({"stopTimeout": 1}, 1), ({"stopTimeout": 120}, 2)])
def test_nobody_waits_long_for_a_container_to_end(given: dict[str, Any], seconds: int) -> None:
    assert settings(given).stop_seconds == seconds


def test_a_health_check_is_asked_more_often_and_keeps_its_other_times() -> None:
    check = {"command": ["CMD-SHELL", "true"], "interval": 30, "timeout": 4, "startPeriod": 10}
    assert settings({"healthCheck": check}).create["healthcheck"] == {
        "test": ["CMD-SHELL", "true"],
        "interval": 1_000_000_000,
        "timeout": 4_000_000_000,
        "retries": 3,
        "start_period": 10_000_000_000,
    }
    assert settings({"healthCheck": {"command": ["true"]}}).create["healthcheck"]["test"] == ["CMD", "true"]


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("000000000000.dkr.ecr.eu-west-1.amazonaws.com/shop/api:1", f"{REGISTRY}/shop/api:1"),
        ("000000000000.dkr.ecr.cn-north-1.amazonaws.com.cn/api@sha256:00", f"{REGISTRY}/api@sha256:00"),
        (f"{REGISTRY}/api@sha256:00", f"{REGISTRY}/api@sha256:00"),
        ("public.ecr.aws/nginx/nginx:stable", "public.ecr.aws/nginx/nginx:stable"),
        (
            "example.com/0.dkr.ecr.eu-west-1.amazonaws.com/a",
            "example.com/0.dkr.ecr.eu-west-1.amazonaws.com/a",
        ),
    ],
)
def test_a_name_of_ecr_is_found_in_the_registry(image: str, name: str) -> None:
    assert local_name(image, REGISTRY) == name


def test_authorities_that_a_container_trusts_unless_it_says_others() -> None:
    given: dict[str, Any] = {
        "secrets": {},
        "cloud_id": "c0ffee000000",
        "registry": REGISTRY,
        "trusted": Path("/cloud/trusted.pem"),
    }
    definition: dict[str, Any] = {"name": "main", "image": "web:1"}
    found = of_container(TASK, definition, **given)
    assert found.create["environment"] == {AUTHORITIES: TRUSTED_PLACE}
    assert found.host["binds"] == {"/cloud/trusted.pem": {"bind": TRUSTED_PLACE, "mode": "ro"}}
    own = definition | {"environment": [{"name": AUTHORITIES, "value": "/own.pem"}]}
    assert of_container(TASK, own, **given).create["environment"] == {AUTHORITIES: "/own.pem"}
    assert "binds" not in settings({}).host
