"""What has to hold of one system alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidegate.domain.outcome import Outcome

from tests.systems.e2e.carried import Carried

Proof = Callable[[Carried], None]


def of(system: str) -> Proof:
    return _PROOFS[system]


def _harvestry(carried: Carried) -> None:
    """A push under one service's path rolls that one only."""
    before, changed = carried.running().task_definitions(), "spatial"
    tasks = _tasks(carried)
    released = carried.release("spatial alone", carried.sources.version("3.0.0", changed))
    assert released.outcome is Outcome.SUCCEEDED, released.explanation
    assert carried.order(released) == [changed]
    after = carried.running().task_definitions()
    assert {key for key in after if after[key] != before[key]} == {changed}
    assert {key for key, arns in _tasks(carried).items() if arns != tasks[key]} == {changed}


def _arive(carried: Carried) -> None:
    """One image rolls the API, then the worker."""
    released = carried.release("both", carried.sources.version("3.0.0"))
    assert released.outcome is Outcome.SUCCEEDED, released.explanation
    assert carried.order(released) == ["api", "worker"]
    lines = [
        (line.what, line.service)
        for line in carried.account.ledger.timeline(released.id)
        if line.what in ("rolling", "rolled")
    ]
    assert lines == [("rolling", "api"), ("rolled", "api"), ("rolling", "worker"), ("rolled", "worker")]
    assert len(set(carried.running().digests().values())) == 1


def _portfolio(carried: Carried) -> None:
    """`/api/*` is the backend's and `/` the frontend's."""


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


def _tasks(carried: Carried) -> dict[str, set[str]]:
    system = carried.running()
    return {key: {task["taskArn"] for task in system.tasks(key)} for key in system.services}


def _definitions(carried: Carried) -> dict[str, dict[str, Any]]:
    ecs = carried.account.client("ecs")
    return {
        key: ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        for key, arn in carried.running().task_definitions().items()
    }
