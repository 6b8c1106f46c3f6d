"""Counts: what may be asked for, when one is reached, what auto scaling would undo."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.errors import BadInputError, RefusalError
from tidegate.domain.plan import Plan
from tidegate.domain.request import DeployRequest, parse_deploy
from tidegate.domain.rollout import Direction, RolloutOutcome, ServiceState
from tidegate.domain.scaling import (
    MOST_TASKS,
    Bounds,
    ScalePlan,
    ScaleRequest,
    judge_count,
    missing,
    refuse_outside,
)

PLACE = {"system": "arive", "environment": "production"}


def state(desired: int, running: int, status: str = "ACTIVE") -> ServiceState:
    return ServiceState("arive-worker", "arn", status, "arn:td", desired, running, ())


@pytest.mark.parametrize("count", [0, 1, MOST_TASKS])
def test_a_count_is_asked_for(count: int) -> None:
    asked = parse_deploy({**PLACE, "scale": {"service": "worker", "count": count}, "reason": "slow"})
    assert asked == DeployRequest("arive", "production", reason="slow", scale=ScaleRequest("worker", count))


@pytest.mark.parametrize(
    ("scale", "field"),
    [
        (3, "scale"),
        ({"service": "worker"}, "scale.count"),
        ({"service": "worker", "count": -1}, "scale.count"),
        ({"service": "worker", "count": MOST_TASKS + 1}, "scale.count"),
        ({"service": "worker", "count": 1.5}, "scale.count"),
        ({"service": "worker", "count": True}, "scale.count"),
        ({"service": "worker", "count": "3"}, "scale.count"),
        ({"count": 3}, "service"),
        ({"service": "../worker", "count": 3}, "service"),
        ({"service": "worker", "count": 3, "wait": True}, "wait"),
    ],
)
def test_what_is_no_count_is_refused(scale: Any, field: str) -> None:
    with pytest.raises(BadInputError) as raised:
        parse_deploy({**PLACE, "scale": scale})
    assert raised.value.field == field
    assert raised.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("release", "r1"),
        ("images", {"app": {"tag": "x"}}),
        ("commit", "c1"),
        ("only", "migrations"),
        ("force", True),
    ],
)
def test_a_count_comes_with_no_release(name: str, value: Any) -> None:
    with pytest.raises(BadInputError) as raised:
        parse_deploy({**PLACE, "scale": {"service": "worker", "count": 3}, name: value})
    assert raised.value.field == name


def test_a_restart_comes_with_no_count() -> None:
    restart = {"secret": "s", "version": "v", "at": "2026-03-02T09:05:00Z"}
    with pytest.raises(BadInputError) as raised:
        parse_deploy({**PLACE, "restart": restart, "scale": {"service": "worker", "count": 3}})
    assert raised.value.field == "scale"


WAITING = {"count": 3, "autoscaled": False, "direction": "Roll"}


class TestReached:
    def test_is_when_as_many_run(self) -> None:
        verdict = judge_count(state(3, 3), WAITING)
        assert verdict is not None
        assert (verdict.outcome, verdict.reason) == (RolloutOutcome.ROLLED, "3 of 3 tasks run")

    @pytest.mark.parametrize("found", [state(3, 2), state(3, 5), state(2, 2), state(4, 4)])
    def test_is_not_before(self, found: ServiceState) -> None:
        assert judge_count(found, WAITING) is None

    def test_is_not_to_be_where_somebody_else_has_changed_it(self) -> None:
        verdict = judge_count(state(4, 4), WAITING, late=True)
        assert verdict is not None
        assert verdict.outcome is RolloutOutcome.STUCK
        assert verdict.reason == "its desired count is 4, not 3: somebody else has changed it"
        assert judge_count(state(3, 2), WAITING, late=True) is None

    def test_is_whatever_auto_scaling_makes_of_it(self) -> None:
        scaled = {**WAITING, "autoscaled": True}
        assert judge_count(state(5, 4), scaled) is None
        assert judge_count(state(5, 5), scaled) is not None

    def test_on_the_way_back_is_when_ecs_has_the_count(self) -> None:
        back = {**WAITING, "direction": "Revert"}
        assert judge_count(state(2, 1), back) is None
        assert judge_count(state(3, 1), back) is not None

    @pytest.mark.parametrize("found", [None, state(0, 0, "INACTIVE"), state(3, 3, "DRAINING")])
    def test_is_never_without_the_service(self, found: ServiceState | None) -> None:
        verdict = judge_count(found, WAITING)
        assert verdict is not None
        assert verdict.outcome is RolloutOutcome.STUCK


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (state(3, 2), "2 of 3 tasks run"),
        (state(5, 5), "its desired count is 5, not 3: somebody else has changed it"),
        (None, "the service no longer exists"),
    ],
)
def test_what_is_missing_is_said(found: ServiceState | None, said: str) -> None:
    assert missing(found, ScalePlan("worker", 3, 1)) == said


def test_auto_scaling_would_undo_what_is_outside_its_bounds() -> None:
    for count in (1, 10):
        refuse_outside(Bounds(1, 10), "worker", count, "service/c/w")
    refuse_outside(None, "worker", 500, "service/c/w")
    for count in (0, 11):
        with pytest.raises(RefusalError, match="between 1 and 10 tasks") as raised:
            refuse_outside(Bounds(1, 10), "worker", count, "service/c/w")
        assert raised.value.field == "scale.count"
        assert "service/c/w" in (raised.value.hint or "")


class TestPlan:
    def test_comes_back_as_it_was_put(self) -> None:
        plan = Plan("cluster", (), scale=ScalePlan("worker", 3, 1, autoscaled=True))
        assert Plan.from_json(plan.to_json()) == plan

    def test_without_a_count_has_no_key_for_it(self) -> None:
        """Its hash is what it was before counts were known: what a person approved stays approved."""
        assert "scale" not in Plan("cluster", ()).to_json()

    def test_knows_where_it_goes(self) -> None:
        plan = ScalePlan("worker", 3, 1)
        assert (plan.wanted(Direction.ROLL), plan.wanted(Direction.REVERT)) == (3, 1)

    @pytest.mark.parametrize(
        ("plan", "told"),
        [
            (ScalePlan("worker", 3, 1), "1 to 3 tasks"),
            (ScalePlan("worker", 1, 3), "3 to 1 task"),
            (ScalePlan("worker", 0, 2), "2 to no tasks: it does nothing until somebody scales it up"),
        ],
    )
    def test_is_told(self, plan: ScalePlan, told: str) -> None:
        assert plan.told == told
