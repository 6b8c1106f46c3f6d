"""Verdicts on an ECS deployment, for each situation that DescribeServices may show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.rollout import EcsDeployment, RolloutOutcome, ServiceState, judge

OURS, OTHER = "ecs-svc/1111111111111111111", "ecs-svc/2222222222222222222"
NEW, OLD = "arn:aws:ecs:eu-west-1:1:task-definition/api:2", "arn:aws:ecs:eu-west-1:1:task-definition/api:1"


def deployment(identity: str, status: str, rollout_state: str, **more: Any) -> EcsDeployment:
    return EcsDeployment(
        id=identity,
        status=status,
        task_definition=more.pop("task_definition", NEW),
        rollout_state=rollout_state,
        **more,
    )


def service(*deployments: EcsDeployment, status: str = "ACTIVE") -> ServiceState:
    return ServiceState("api", "arn:service/api", status, NEW, 2, 2, deployments)


ROLLED, BACK, STUCK = RolloutOutcome.ROLLED, RolloutOutcome.ROLLED_BACK, RolloutOutcome.STUCK


@pytest.mark.parametrize(
    ("state", "outcome", "reason"),
    [
        pytest.param(service(deployment(OURS, "PRIMARY", "COMPLETED")), ROLLED, "completed", id="completed"),
        pytest.param(
            service(
                deployment(OURS, "PRIMARY", "COMPLETED"),
                deployment(OTHER, "ACTIVE", "COMPLETED", task_definition=OLD),
            ),
            ROLLED,
            "completed",
            id="completed, the old tasks still drain",
        ),
        pytest.param(service(deployment(OURS, "PRIMARY", "IN_PROGRESS")), None, "", id="under way"),
        pytest.param(
            service(
                deployment(OURS, "PRIMARY", "IN_PROGRESS", task_definition=NEW),
                deployment(OTHER, "ACTIVE", "COMPLETED", task_definition=OLD),
            ),
            None,
            "",
            id="under way beside the one before, which had completed",
        ),
        pytest.param(
            service(deployment(OURS, "PRIMARY", "FAILED", rollout_state_reason="circuit breaker: 3 tasks")),
            BACK,
            "circuit breaker: 3 tasks",
            id="failed, and nothing rolls it back",
        ),
        pytest.param(
            service(deployment(OURS, "PRIMARY", "FAILED")),
            BACK,
            "marked the deployment",
            id="failed silently",
        ),
        pytest.param(
            service(
                deployment(OTHER, "PRIMARY", "IN_PROGRESS", task_definition=OLD),
                deployment(OURS, "ACTIVE", "FAILED", rollout_state_reason="circuit breaker"),
            ),
            BACK,
            "circuit breaker",
            id="failed, ECS rolls back",
        ),
        pytest.param(
            service(deployment(OTHER, "PRIMARY", "COMPLETED", task_definition=OLD)),
            BACK,
            f"replaced by {OTHER}",
            id="vanished: ECS has rolled back",
        ),
        pytest.param(
            service(deployment(OTHER, "PRIMARY", "IN_PROGRESS"), deployment(OURS, "ACTIVE", "IN_PROGRESS")),
            BACK,
            f"replaced by {OTHER}",
            id="replaced while under way",
        ),
        pytest.param(
            service(deployment(OTHER, "PRIMARY", "COMPLETED", task_definition=NEW)),
            BACK,
            f"replaced by {OTHER}",
            id="another PRIMARY with our task definition is not ours",
        ),
        pytest.param(
            service(deployment(OTHER, "PRIMARY", "COMPLETED"), deployment(OURS, "ACTIVE", "COMPLETED")),
            BACK,
            f"replaced by {OTHER}",
            id="completed, then replaced before anybody looked",
        ),
        pytest.param(
            service(deployment(OURS, "INACTIVE", "COMPLETED")), BACK, "replaced by nothing", id="inactive"
        ),
        pytest.param(service(), BACK, "replaced by nothing", id="no deployment at all"),
        pytest.param(None, STUCK, "no longer exists", id="ECS does not know the service"),
        pytest.param(service(status="INACTIVE"), STUCK, "no longer exists", id="the service was deleted"),
        pytest.param(
            service(deployment(OURS, "PRIMARY", "COMPLETED"), status="DRAINING"),
            STUCK,
            "no longer exists",
            id="the service is being deleted: completed with no tasks",
        ),
    ],
)
def test_a_deployment_is_judged_by_its_own_state(
    state: ServiceState | None, outcome: RolloutOutcome | None, reason: str
) -> None:
    verdict = judge(state, OURS)
    assert (None if verdict is None else verdict.outcome) == outcome
    assert reason in ("" if verdict is None else verdict.reason)
    assert verdict is None or verdict.to_json() == {
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
    }


deployments = st.builds(
    deployment,
    st.sampled_from([OURS, OTHER, "ecs-svc/3"]),
    st.sampled_from(["PRIMARY", "ACTIVE", "INACTIVE"]),
    st.sampled_from(["IN_PROGRESS", "COMPLETED", "FAILED", ""]),
    task_definition=st.sampled_from([OLD, NEW]),
)


@given(
    st.lists(deployments, max_size=4, unique_by=lambda entry: entry.id),
    st.sampled_from(["ACTIVE", "DRAINING", "INACTIVE"]),
)
def test_only_the_completed_primary_that_was_started_is_a_success(
    entries: list[EcsDeployment], status: str
) -> None:
    """Whatever else ECS lists: each condition of `judge` before its last one."""
    verdict = judge(service(*entries, status=status), OURS)
    ours = next((entry for entry in entries if entry.id == OURS), None)
    lives = status == "ACTIVE" and ours is not None and ours.status == "PRIMARY"
    success = lives and ours is not None and ours.rollout_state == "COMPLETED"
    open_ = lives and ours is not None and ours.rollout_state in ("IN_PROGRESS", "")
    assert (verdict is not None and verdict.outcome is ROLLED) == success
    assert (verdict is None) == open_


class TestServiceState:
    def test_runs_what_its_primary_has_completed(self) -> None:
        assert service(deployment(OURS, "PRIMARY", "COMPLETED")).runs(NEW)
        assert not service(deployment(OURS, "PRIMARY", "COMPLETED")).runs(OLD)
        assert not service(deployment(OURS, "PRIMARY", "IN_PROGRESS")).runs(NEW)
        assert not service(
            deployment(OTHER, "PRIMARY", "IN_PROGRESS", task_definition=OLD),
            deployment(OURS, "ACTIVE", "COMPLETED"),
        ).runs(NEW)
        assert not service().runs(NEW)

    def test_would_go_back_to_the_newest_completed_deployment(self) -> None:
        oldest = deployment("ecs-svc/7", "ACTIVE", "COMPLETED", created_at="2026-03-01T00:00:00.000Z")
        newest = deployment("ecs-svc/8", "ACTIVE", "COMPLETED", created_at="2026-03-02T00:00:00.000Z")
        moving = deployment(OURS, "PRIMARY", "IN_PROGRESS", created_at="2026-03-03T00:00:00.000Z")
        assert service(moving, oldest, newest).completed == newest
        done = deployment(OURS, "PRIMARY", "COMPLETED", created_at="2026-02-01T00:00:00.000Z")
        assert service(oldest, newest, done).completed == done
        assert service(moving).completed is None
