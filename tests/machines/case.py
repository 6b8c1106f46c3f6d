"""One way through a machine: what its functions answer, which states are entered, how it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.machines.stage import ENVIRONMENT, PATIENCE, SYSTEM, Change

Json = dict[str, Any]
Answers = Mapping[str, list[Json]]
DEPLOYMENT = "01JD6QZ5N8W3F4T7X2V9K1M0AB"
# What the run before had, had this one planned while the lock was free.
PLANNED_FENCE = 6
FENCE = 7
# A Catch: the state, and which of its catchers.
Catch = tuple[str, int]


@dataclass(frozen=True)
class Ending:
    """`document` is the output, or the cause of a failure, parsed; `error` is the failure's."""

    status: str
    document: Any
    error: str | None = None


@dataclass(frozen=True)
class Case:
    """Every answer is asked for, in its order, and nothing else is.

    Where iterations of several states run `side_by_side`, `path` has one after the other.

    `caught` is the catcher that the case is about, `error` the
    name and a part of the cause that the step behind it is told. `change` puts a fault into the definition.
    """

    name: str
    machine: str
    answers: Answers
    path: list[str]
    ending: Ending
    caught: Catch | None = None
    error: tuple[str, str] | None = None
    seconds: int = PATIENCE
    change: Change | None = None
    given: Json = field(default_factory=dict)
    side_by_side: bool = False

    def __str__(self) -> str:
        return f"{self.machine}: {self.name}"


def gives(**result: Any) -> Json:
    return {"gives": result}


def raises(name: str, message: str = "no") -> Json:
    """The function fails with an exception of this class."""
    return {"raises": [name, message]}


def fails(error: str, cause: str = "no") -> Json:
    """The task token is answered with a failure."""
    return {"fails": [error, cause]}


@dataclass(frozen=True)
class Said:
    """Equal to a text that has all these parts: a cause has what the emulator adds to it."""

    parts: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and all(part in other for part in self.parts)

    def __hash__(self) -> int:
        return hash(self.parts)


SILENCE: Json = {}
"""The function returns and nobody answers its task token."""

DENIED = raises("OutsideError", "access denied")
"""What a retry does not mend."""


def document(outcome: str) -> Json:
    return {"outcome": outcome, "deployment": DEPLOYMENT, "release": "r42", "reason": "why", "services": {}}


def planned(outcome: str, *waves: Sequence[str], **more: Any) -> Json:
    """What `plan_release` answers; a final outcome comes with its document."""
    final = outcome not in ("Ready", "Busy", "Recover", "Approval", "Aborted")
    answer = {
        "outcome": outcome,
        "deployment": DEPLOYMENT,
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "waves": [{"services": list(wave)} for wave in waves],
        "planned_fence": PLANNED_FENCE,
        "bake": 0,
        "migration": 0,
        "reason": "",
        "document": document(outcome) if final else None,
        "busy": None,
    }
    return gives(**{**answer, **more})


BUSY = {
    "service": "api",
    "cluster": "shop-cluster",
    "ecs_service": "shop-api",
    "ecs_deployment": "ecs-svc/0001",
}
ACQUIRED = gives(outcome="Acquired", fence=FENCE, document=None)
ACQUIRED_LATER = gives(outcome="Acquired", fence=FENCE + 2, document=None)
"""Others had the lock between the plan and this run."""
RELEASED = gives(outcome="Released")
# What anything that waits is answered, whatever it waits for.
ABORTED = gives(outcome="Aborted", reason="aborted by ada: wrong commit", fence=-1, document=None)
SUPERSEDED = gives(
    outcome="Superseded", reason="r43 took its place", fence=-1, document=document("Superseded")
)
APPROVED = gives(outcome="Approved", reason="approved by ada", fence=-1, document=None)
REJECTED = gives(
    outcome="Rejected", reason="rejected by ada: not today", fence=-1, document=document("Refused")
)
ALARMED = gives(outcome="Alarmed", reason="alarm shop-errors is in ALARM")
TAKEN = gives(outcome="Taken", fence=FENCE, seconds=0)
WAIT = gives(outcome="Wait", fence=-1, seconds=2)
NOT_OWNER = gives(outcome="NotOwner", fence=-1, seconds=0)
SMOKE = {
    "service": "api",
    "url": "https://shop.example.com/health",
    "expect": 200,
    "body": None,
    "latency": None,
    "within": 1,
    "runner": None,
}
"""What a service is to be asked once it has rolled; a service without such a check has None."""
ROLLED = gives(outcome="Rolled", reason="the ECS deployment completed", smoke=None)
ROLLED_TO_BE_ASKED = gives(outcome="Rolled", reason="the ECS deployment completed", smoke=SMOKE)
HEALTHY = gives(outcome="Healthy", reason="GET … answered 200", attempts=1, status=200)
UNHEALTHY = gives(outcome="Unhealthy", reason="GET … answered 503", attempts=3, status=503)
ROLLED_BACK = gives(outcome="RolledBack", reason="tasks failed to start")
STUCK = gives(outcome="Stuck", reason="the service no longer exists")
REPORTED = gives(summary="exit code 1")


def recorded(outcome: str) -> Json:
    """What `record` answers when a run has ended."""
    return gives(outcome=outcome, document=document(outcome), waves=[])


def to_revert(*waves: Sequence[str], end_migration: bool = False) -> Json:
    found = [{"services": list(wave)} for wave in waves]
    return gives(outcome=None, document=None, waves=found, end_migration=end_migration)


DRIFTED = gives(outcome="Drifted", document={**document("Drifted"), "outcome": None}, waves=[])


def ended(outcome: str) -> Ending:
    """As the contract says it: failures are failures, with the document as their cause."""
    if outcome.startswith("Failed"):
        return Ending("FAILED", document(outcome), outcome)
    return Ending("SUCCEEDED", document(outcome))


NOT_RECORDED = Ending(
    "FAILED",
    {
        "outcome": "FailedDirty",
        "deployment": DEPLOYMENT,
        "release": None,
        "reason": "the outcome could not be recorded; the sweep takes over",
        "services": {},
    },
    "FailedDirty",
)
