"""The desired count of a service that somebody asks for, and when it is reached.

A change of the count alone starts no ECS deployment (ECS API reference, UpdateService), so the service's own count is
what is waited for, never the state of a deployment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tidegate.domain.errors import BadInputError, RefusalError
from tidegate.domain.fields import Fields
from tidegate.domain.rollout import Direction, RolloutOutcome, RolloutVerdict, ServiceState

# A slip of the keyboard should not start hundreds of tasks. ECS itself allows 5,000 a service (its quotas).
MOST_TASKS = 1000


@dataclass(frozen=True, slots=True)
class ScaleRequest:
    """`service` is the manifest's key."""

    service: str
    count: int


def parse_scale(data: object) -> ScaleRequest:
    """`{"service", "count"}`."""
    if not isinstance(data, Mapping):
        raise BadInputError(
            "scale is not an object", field="scale", hint='"scale": {"service": "worker", "count": 3}'
        )
    inner = Fields(data, {"service", "count"})
    count = inner.raw("count")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_TASKS:
        raise BadInputError(
            f"the count is not a whole number from 0 to {MOST_TASKS}",
            field="scale.count",
            hint="how many tasks the service is to run; 0 switches it off",
        )
    return ScaleRequest(inner.key("service"), count)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which Application Auto Scaling keeps a service's desired count."""

    least: int
    most: int

    def hold(self, count: int) -> bool:
        return self.least <= count <= self.most


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """`before` is the desired count that is gone back to. Where auto scaling keeps the count, `autoscaled`, it may be
    another again as soon as it was set."""

    service: str
    count: int
    before: int
    autoscaled: bool = False

    def wanted(self, direction: Direction) -> int:
        return self.count if direction is Direction.ROLL else self.before

    @property
    def told(self) -> str:
        """`1 to 3 tasks`."""
        if self.count == 0:
            return f"{self.before} to no tasks: it does nothing until somebody scales it up"
        return f"{self.before} to {self.count} task{'' if self.count == 1 else 's'}"

    def to_json(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> ScalePlan:
        known = {entry.name: item[entry.name] for entry in fields(cls) if entry.name in item}
        return cls(**{**known, "count": int(item["count"]), "before": int(item["before"])})


def has_count(state: ServiceState | None, count: int, *, autoscaled: bool) -> bool:
    """Whether ECS has taken a count on. Auto scaling may have made it another since: that is its right."""
    return state is not None and state.status == "ACTIVE" and (autoscaled or state.desired_count == count)


def judge_count(
    state: ServiceState | None, waiting: Mapping[str, Any], *, late: bool = False
) -> RolloutVerdict | None:
    """What became of a count; None while it is undecided. `waiting` is `{"count", "autoscaled", "direction"}`.

    On the way back only the count itself is waited for: the state before is that ECS has this count again, whatever it
    runs of it by then. Another count than the one that was set is an old answer of ECS's (it is eventually
    consistent), or, when it is `late` for that, somebody else's.
    """
    if state is None or state.status != "ACTIVE":
        return RolloutVerdict(RolloutOutcome.STUCK, "the service no longer exists")
    count, autoscaled = int(waiting["count"]), bool(waiting.get("autoscaled"))
    if not has_count(state, count, autoscaled=autoscaled):
        return RolloutVerdict(RolloutOutcome.STUCK, _changed(state, count)) if late else None
    if waiting.get("direction") != Direction.REVERT.value and state.running_count != state.desired_count:
        return None
    return RolloutVerdict(RolloutOutcome.ROLLED, f"{state.running_count} of {state.desired_count} tasks run")


def _changed(state: ServiceState, count: int) -> str:
    return f"its desired count is {state.desired_count}, not {count}: somebody else has changed it"


def missing(state: ServiceState | None, plan: ScalePlan) -> str:
    """Why a count was not reached, in a sentence."""
    if state is None or state.status != "ACTIVE":
        return "the service no longer exists"
    if not plan.autoscaled and state.desired_count != plan.count:
        return _changed(state, plan.count)
    return f"{state.running_count} of {state.desired_count} tasks run"


def refuse_outside(bounds: Bounds | None, service: str, count: int, resource: str) -> None:
    """Raises a RefusalError where auto scaling would undo the count. `resource` is the scalable target's id."""
    if bounds is None or bounds.hold(count):
        return
    raise RefusalError(
        f"service {service}: auto scaling keeps it between {bounds.least} and {bounds.most} tasks,"
        f" and would undo {count}",
        field="scale.count",
        hint="change the bounds where they are declared (MinCapacity and MaxCapacity of the scalable target"
        f" {resource}, in its stack or Terraform)",
    )
