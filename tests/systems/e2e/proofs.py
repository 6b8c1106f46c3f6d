"""What has to hold of one system alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tidegate.steps.resuming import COMPLETED

from tests.docker.shop import address
from tests.systems.e2e.carried import Carried, ask

ROLLING = "rolling"
Proof = Callable[[Carried], None]


def of(system: str) -> Proof:
    return _PROOFS[system]


def _harvestry(carried: Carried) -> None:
    """A push under one service's path rolls that one only."""
    # What was broken and is mended is a change, too.
    carried.succeeded(carried.release("all of them", carried.sources.version("2.2.0")))
    before, changed = carried.running().task_definitions(), "spatial"
    tasks = _tasks(carried)
    released = carried.release("spatial alone", carried.sources.version("3.0.0", changed))
    carried.succeeded(released)
    assert carried.order(released) == [changed]
    after = carried.running().task_definitions()
    assert {key for key in after if after[key] != before[key]} == {changed}
    assert {key for key, arns in _tasks(carried).items() if arns != tasks[key]} == {changed}


def _arive(carried: Carried) -> None:
    """One image rolls the API, then the worker."""
    released = carried.release("both", carried.sources.version("3.0.0"))
    carried.succeeded(released)
    assert carried.order(released) == ["api", "worker"]
    lines = [
        (line.what, line.service)
        for line in carried.account.ledger.timeline(released.id)
        if line.what in (ROLLING, COMPLETED)
    ]
    # What ECS says of a deployment may come twice.
    assert list(dict.fromkeys(lines)) == [
        (what, key) for key in ("api", "worker") for what in (ROLLING, COMPLETED)
    ]
    assert len(set(carried.running().digests().values())) == 1


def _portfolio(carried: Carried) -> None:
    """`/api/*` reaches the backend and `/` the frontend through the load balancer."""
    elb, running = carried.account.client("elbv2"), carried.running()
    for path, key in {"/api/*": "backend", "/*": "frontend"}.items():
        [group] = [
            action["TargetGroupArn"]
            for rule in _rules(elb)
            if _paths(rule) == [path]
            for action in rule["Actions"]
            if action["Type"] == "forward"
        ]
        health = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        assert {target["Target"]["Id"] for target in health} == {address(task) for task in running.tasks(key)}
        assert {target["TargetHealth"]["State"] for target in health} == {"healthy"}
    if carried.account.engine is None:
        return
    host = f"{urlsplit(carried.outputs['Url']).hostname}:443"
    for path, key in {
        "/api/v1/health": "backend",
        "/api/v1/items": "backend",
        "/": "frontend",
        "/about": "frontend",
    }.items():
        status, body = ask(f"{carried.account.endpoint_url}{path}", host)
        assert status == 200, body
        said = json.loads(body)
        assert said.get("service", "backend" if "items" in said else "") == key, (path, said)


def _paperwurks(carried: Carried) -> None:
    """The sizes are the environment's own."""
    sizes = {key: (described["cpu"], described["memory"]) for key, described in _definitions(carried).items()}
    large = carried.environment == "prod"
    assert sizes == {
        "backend": ("1024", "2048") if large else ("512", "1024"),
        "worker": ("512", "1024") if large else ("256", "512"),
    }


def _core_business_unit(carried: Carried) -> None:
    """Its database is MySQL's."""
    assert carried.secret.credential().engine == "mysql"
    [(version,)] = carried.secret.rows("SELECT version()")
    assert "PostgreSQL" not in version


_PROOFS: dict[str, Proof] = {
    "harvestry": _harvestry,
    "arive": _arive,
    "portfolio": _portfolio,
    "paperwurks": _paperwurks,
    "core-business-unit": _core_business_unit,
}


def _rules(elb: Any) -> list[dict[str, Any]]:
    """Of every listener of the only load balancer."""
    [balancer] = elb.describe_load_balancers()["LoadBalancers"]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    return [
        rule
        for listener in listeners
        for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    ]


def _paths(rule: dict[str, Any]) -> list[str]:
    return [
        value
        for condition in rule["Conditions"]
        if condition["Field"] == "path-pattern"
        for value in condition.get("PathPatternConfig", condition)["Values"]
    ]


def _tasks(carried: Carried) -> dict[str, set[str]]:
    system = carried.running()
    return {key: {task["taskArn"] for task in system.tasks(key)} for key in system.services}


def _definitions(carried: Carried) -> dict[str, dict[str, Any]]:
    ecs = carried.account.client("ecs")
    return {
        key: ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        for key, arn in carried.running().task_definitions().items()
    }
