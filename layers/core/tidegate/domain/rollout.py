"""One service's rollout: what ECS says, and what that means for the deployment that was started.

"The service is stable" is never the question (a forced deployment reads as stable at once, aws-cli #9275):
only the state of the ECS deployment that this run started, or adopted, decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# A service that is being deleted drains first (ECS API reference, Service.status).
_GONE = frozenset({"DRAINING", "INACTIVE"})


class Direction(StrEnum):
    ROLL = "Roll"
    REVERT = "Revert"


class RolloutOutcome(StrEnum):
    """How the machine `roll` ends, as data: Rolled is the only success."""

    ROLLED = "Rolled"
    ROLLED_BACK = "RolledBack"
    STUCK = "Stuck"
    ABORTED = "Aborted"


@dataclass(frozen=True, slots=True)
class EcsDeployment:
    """An entry of `DescribeServices.deployments[]`; `status` is PRIMARY, ACTIVE or INACTIVE."""

    id: str
    status: str
    task_definition: str
    rollout_state: str
    rollout_state_reason: str = ""
    failed_tasks: int = 0
    created_at: str = ""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What `DescribeServices` says of a service."""

    name: str
    arn: str
    status: str
    task_definition: str
    desired_count: int
    running_count: int
    deployments: tuple[EcsDeployment, ...]
    circuit_breaker: bool = False
    circuit_breaker_rollback: bool = False
    deployment_controller: str = "ECS"
    alarms: tuple[str, ...] = ()
    events: tuple[Mapping[str, str], ...] = field(default=())
    scheduling_strategy: str = "REPLICA"

    @property
    def primary(self) -> EcsDeployment | None:
        return next((entry for entry in self.deployments if entry.status == "PRIMARY"), None)

    @property
    def completed(self) -> EcsDeployment | None:
        """The deployment that ECS would go back to: the newest completed one it still lists."""
        done = [entry for entry in self.deployments if entry.rollout_state == "COMPLETED"]
        return max(done, key=lambda entry: (entry.status == "PRIMARY", entry.created_at), default=None)

    def deployment(self, deployment_id: str) -> EcsDeployment | None:
        return next((entry for entry in self.deployments if entry.id == deployment_id), None)

    def runs(self, task_definition: str) -> bool:
        """Whether the service has settled on this task definition and nothing else is under way."""
        primary = self.primary
        return (
            primary is not None
            and primary.task_definition == task_definition
            and primary.rollout_state == "COMPLETED"
        )


@dataclass(frozen=True, slots=True)
class RolloutVerdict:
    outcome: RolloutOutcome
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"outcome": self.outcome.value, "reason": self.reason}


def judge(state: ServiceState | None, deployment_id: str) -> RolloutVerdict | None:
    """What became of one ECS deployment of a service; None while it is undecided.

    A deployment that ECS no longer lists has lost: a newer one took its place, or the circuit breaker's
    rollback did.
    """
    if state is None or state.status in _GONE:
        # While it drains, a deployment may still read COMPLETED: that of no tasks at all.
        return RolloutVerdict(RolloutOutcome.STUCK, "the service no longer exists")
    entry = state.deployment(deployment_id)
    if entry is None:
        winner = state.primary.id if state.primary else "nothing"
        return RolloutVerdict(RolloutOutcome.ROLLED_BACK, f"{deployment_id} was replaced by {winner}")
    if entry.rollout_state == "FAILED":
        return RolloutVerdict(
            RolloutOutcome.ROLLED_BACK, entry.rollout_state_reason or "ECS marked the deployment as failed"
        )
    if entry.status != "PRIMARY":
        winner = state.primary.id if state.primary else "nothing"
        return RolloutVerdict(RolloutOutcome.ROLLED_BACK, f"{deployment_id} was replaced by {winner}")
    if entry.rollout_state == "COMPLETED":
        return RolloutVerdict(RolloutOutcome.ROLLED, "the ECS deployment completed")
    return None
