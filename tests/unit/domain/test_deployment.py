"""What the ledger knows of a run survives being written and read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tidegate.domain.deployment import (
    Current,
    Deployment,
    FailureReport,
    Line,
    Machine,
    Phase,
    Rollout,
)
from tidegate.domain.lock import Lock, Waiter
from tidegate.domain.outcome import Outcome
from tidegate.domain.plan import Plan, ServicePlan
from tidegate.domain.rollout import Direction

AT = "2026-03-02T09:00:00.000Z"
PLAN = Plan(
    "shop",
    (ServicePlan("api", "shop-api", 1, "app", "sha256:1", "u", "app", "b:1", "b:1", None, changed=True),),
)
OPEN = Deployment("d1", "arive", "production", Machine.DEPLOY, "arn:execution:d1", AT)
ENDED = replace(
    OPEN,
    machine=Machine.ROLLBACK,
    phase=Phase.ENDED,
    outcome=Outcome.FAILED_CLEAN,
    release=7,
    commit="c7",
    actor="ada",
    reason="why",
    explanation="api: exited",
    trigger="event",
    request={"system": "arive", "images": {"app": {"digest": "sha256:1"}}},
    plan=PLAN,
    fence=3,
    recoveries=2,
    finished_at=AT,
    services={"api": {"outcome": "Reverted"}},
)
THINGS = [
    OPEN,
    ENDED,
    Rollout("api", Direction.REVERT, "arn:execution:roll", AT, "b:1", "ecs-svc/1", "Rolled", "done"),
    Rollout("api", Direction.ROLL, "arn:execution:roll", AT),
    Line(AT, "rolling", "api", "api:2"),
    Line(AT, "lock acquired"),
    FailureReport(
        "api", "failed", ({"task": "t", "exit_code": None, "logs": ["x"]},), ("event",), ("alarm",)
    ),
    FailureReport("api", "failed"),
    Current(7, "d1", AT, 3, {"api": {"digest": "sha256:1"}}),
    Lock("arive", "production", "d1", "arn:execution:d1", 4, "why", AT, "token", 9, 12),
    Waiter(3, "d1", "arn:execution:d1", "token", "why", AT),
]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_it_is_read_as_it_was_written(thing: object) -> None:
    """Absent values are not stored, so that a condition on absence means what it says: each has to have a default."""
    written = json.loads(json.dumps(thing.to_json()))  # type: ignore[attr-defined]
    present = {name: value for name, value in written.items() if value is not None}
    assert type(thing).from_json(written) == thing  # type: ignore[attr-defined]
    assert type(thing).from_json(present) == thing  # type: ignore[attr-defined]
    assert type(thing).from_json({**present, "pk": "P", "sk": "S", "kind": "OPEN"}) == thing  # type: ignore[attr-defined]


def test_an_ended_deployment_has_a_document_and_an_open_one_has_none() -> None:
    assert ENDED.document().to_json() == {
        "outcome": "FailedClean",
        "deployment": "d1",
        "release": "r7",
        "reason": "api: exited",
        "services": {"api": {"outcome": "Reverted"}},
    }
    assert OPEN.release_name is None
    with pytest.raises(ValueError, match="d1 has not ended"):
        OPEN.document()


@pytest.mark.parametrize(
    ("tasks", "summary"),
    [
        ((), "api: the reason"),
        (({"reason": "no capacity", "container": None, "exit_code": None},), "api: no capacity"),
        (
            (
                {"reason": "no capacity", "container": None, "exit_code": None},
                {"reason": "Essential container in task exited", "container": "app", "exit_code": 137},
            ),
            "api: container app exited with code 137 (Essential container in task exited)",
        ),
        (
            ({"reason": "stopped", "container": "app", "exit_code": 0},),
            "api: container app exited with code 0 (stopped)",
        ),
        (({"reason": "", "container": "app", "exit_code": None},), "api: the reason"),
    ],
)
def test_a_report_is_summed_up_by_the_exit_code_where_there_is_one(
    tasks: tuple[dict[str, object], ...], summary: str
) -> None:
    assert FailureReport("api", "the reason", tasks).summary() == summary
