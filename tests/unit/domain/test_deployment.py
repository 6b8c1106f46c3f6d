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
from tidegate.domain.lock import Lock, Rank, Waiter
from tidegate.domain.outcome import Outcome
from tidegate.domain.plan import Plan, ServicePlan, Watch
from tidegate.domain.rollout import Direction
from tidegate.domain.rotation import RotationPlan, version_of

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
ROTATION = replace(
    OPEN,
    machine=Machine.ROTATE,
    phase=Phase.RETIRING,
    plan=replace(
        PLAN, rotation=RotationPlan("arive/db", "postgres", "alternating", version_of("d1"), users=("a", "b"))
    ),
)
GATED = replace(
    OPEN,
    plan=replace(PLAN, bake=Watch(300, ("shop-5xx",))),
    order="01K0000000000000000000000A",
    queue="latest",
    approval="other",
)
THINGS = [
    OPEN,
    ENDED,
    GATED,
    ROTATION,
    Rollout("api", Direction.REVERT, "arn:execution:roll", AT, "b:1", "ecs-svc/1", "Rolled", "done"),
    Rollout("api", Direction.ROLL, "arn:execution:roll", AT),
    Line(AT, "rolling", "api", "api:2"),
    Line(AT, "lock acquired"),
    FailureReport(
        "api", "failed", ({"task": "t", "exit_code": None, "logs": ["x"]},), ("event",), ("alarm",)
    ),
    FailureReport("api", "failed"),
    Current(7, "d1", AT, 3, {"api": {"digest": "sha256:1"}}),
    Current(7, "d1", AT, 3, {}, order="01K0000000000000000000000A"),
    Lock("arive", "production", "d1", "arn:execution:d1", 4, "why", AT, "token", 9, 12),
    Waiter(3, "d1", "arn:execution:d1", "token", "why", AT),
    Waiter(3, "d1", "arn:execution:d1", "token", "why", AT, Rank("01K", by_event=True, attempt="2")),
]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_it_is_read_as_it_was_written(thing: object) -> None:
    """Absent values are not stored, so that a condition on absence means what it says: each has to have a default."""
    written = json.loads(json.dumps(thing.to_json()))  # type: ignore[attr-defined]
    present = {name: value for name, value in written.items() if value is not None}
    assert type(thing).from_json(written) == thing  # type: ignore[attr-defined]
    assert type(thing).from_json(present) == thing  # type: ignore[attr-defined]
    assert type(thing).from_json({**present, "pk": "P", "sk": "S", "kind": "OPEN"}) == thing  # type: ignore[attr-defined]


NEW_FIELDS = {
    "Deployment": {"order", "queue", "approval"},
    "Plan": {"bake"},
    "ServicePlan": {"restarts", "smoke"},
    "Current": {"order"},
    "Waiter": {"order", "by_event", "urgent", "attempt"},
}


@pytest.mark.parametrize(
    "thing",
    [OPEN, PLAN, PLAN.services[0], Current(7, "d1", AT, 3), Waiter(3, "d1", "arn", "token", "why", AT)],
    ids=lambda thing: type(thing).__name__,
)
def test_what_was_written_before_a_field_was_known_is_read_with_its_default(thing: object) -> None:
    """A deployment that is under way during an update of Tidegate goes on; nothing of it waits for what it never
    had."""
    item = thing.to_json()  # type: ignore[attr-defined]
    new = NEW_FIELDS[type(thing).__name__]
    assert new <= item.keys()
    older = {name: value for name, value in item.items() if name not in new}
    if isinstance(thing, Plan):
        older["services"] = [
            {name: value for name, value in service.items() if name not in NEW_FIELDS["ServicePlan"]}
            for service in older["services"]
        ]
    assert type(thing).from_json(older) == thing  # type: ignore[attr-defined]


def test_a_deployment_of_an_older_version_gives_way_to_nobody() -> None:
    """Its queue was the only one that there was."""
    assert (
        Deployment.from_json(
            {
                "id": "d1",
                "system": "shop",
                "environment": "production",
                "machine": "deploy",
                "execution": "arn",
                "started_at": AT,
                "phase": "Planned",
            }
        ).queue
        == "fifo"
    )


@pytest.mark.parametrize(
    ("deployment", "rank"),
    [
        (OPEN, Rank("d1")),
        (GATED, Rank("d1")),
        (replace(GATED, trigger="event"), Rank("01K0000000000000000000000A", by_event=True)),
        (replace(OPEN, trigger="event"), Rank("d1", by_event=True)),
        (replace(OPEN, trigger="event", request={"restart": {"secret": "s"}}), Rank()),
        (replace(OPEN, machine=Machine.ROLLBACK), Rank(urgent=True)),
        (ROTATION, Rank()),
    ],
)
def test_where_it_stands_in_the_queue(deployment: Deployment, rank: Rank) -> None:
    """What a person asks for is as new as the moment they asked, however old the commit."""
    assert deployment.rank == rank


@pytest.mark.parametrize(
    ("machine", "outcome", "event"),
    [
        (Machine.ROTATE, Outcome.ROTATED, "Rotation Succeeded"),
        (Machine.ROTATE, Outcome.FAILED_CLEAN, "Rotation Failed"),
        (Machine.ROTATE, Outcome.FAILED_DIRTY, "Rotation Failed"),
        (Machine.ROTATE, Outcome.REFUSED, "Deployment Refused"),
        (Machine.DEPLOY, Outcome.FAILED_CLEAN, "Deployment Failed"),
    ],
)
def test_its_end_is_announced_as_what_it_was(machine: Machine, outcome: Outcome, event: str) -> None:
    assert replace(OPEN, machine=machine, outcome=outcome).event == event


def test_a_rotation_is_no_release() -> None:
    assert (ROTATION.rotation, ROTATION.releases) == (True, False)
    assert (OPEN.rotation, OPEN.releases) == (False, True)


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
