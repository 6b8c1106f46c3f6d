"""Taking over a deployment whose execution has ended without an outcome.

ECS knows no fence, so nothing is taken over before neither the owner, nor a child of it, nor a function that one of
them called can change ECS any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tidegate.domain.deployment import Deployment, Line
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ledger.schemas import Schemas
from tidegate.ledger.time import parse_iso
from tidegate.ports import Ports

# The longest time-out of a function of ours that may change something (template.yaml, Globals.Function.Timeout): one
# that ran when its execution was stopped has ended after this.
LONGEST_FUNCTION = timedelta(seconds=30)
# The same of `rotate_secret`, which may move a secret's current value.
LONGEST_ROTATION = timedelta(seconds=60)


def take_over(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
) -> Mapping[str, Any]:
    """`{"outcome": "Taken", "fence"}`, `{"outcome": "Wait", "seconds"}` or `{"outcome": "NotOwner"}`."""
    locks = Locks(ports.store, ports.clock)
    # Out of the queue first: behind a look at the lock, a hand-over could still make it the owner.
    locks.leave(deployment.system, deployment.environment, deployment.id)
    lock = locks.read(deployment.system, deployment.environment)
    if not lock.held_by(deployment.id):
        return {"outcome": "NotOwner", "fence": -1, "seconds": 0}
    if lock.execution == event["execution"]:
        return {"outcome": "Taken", "fence": lock.fence, "seconds": 0}
    # Step Functions' own clock, as for when an execution ended: this function's may be minutes off.
    now = parse_iso(event["at"]) if event.get("at") else ports.clock.now()
    seconds = _still_dangerous(ports, ledger, deployment, lock.execution, now)
    if seconds > 0:
        return {"outcome": "Wait", "fence": -1, "seconds": seconds}
    taken = locks.take_over(deployment.system, deployment.environment, deployment.id, event["execution"])
    if taken is None:
        return {"outcome": "NotOwner", "fence": -1, "seconds": 0}
    ledger.save(
        replace(deployment, execution=event["execution"], fence=taken.fence),
        Line(
            ledger.now(),
            "taken over from an execution that ended without an outcome",
            detail=f"fence {taken.fence}",
        ),
        fence=taken.fence,
    )
    return {"outcome": "Taken", "fence": taken.fence, "seconds": 0}


def _still_dangerous(
    ports: Ports, ledger: Ledger, deployment: Deployment, owner: str | None, now: datetime
) -> int:
    """Seconds until neither the owner, nor a child of it, nor a function that one of them called can change ECS."""
    runs = {rollout.execution for rollout in ledger.rollouts(deployment.id)}
    migration = Schemas(ports.store, ports.clock).run_of(deployment.id)
    if migration is not None:
        runs.add(migration.execution)
    longest = timedelta(0)
    for arn in sorted({*runs, *({owner} if owner else ())}):
        execution = ports.executions.describe(arn)
        if execution is None:
            continue
        if execution.running:
            _stop_waiting(ports, ledger, deployment, arn)
            longest = max(longest, timedelta(seconds=2))
        elif execution.stopped_at is not None:
            function = LONGEST_ROTATION if deployment.rotation and arn == owner else LONGEST_FUNCTION
            longest = max(longest, execution.stopped_at + function - now)
    return max(0, -(-int(longest.total_seconds() * 1000) // 1000))


def _stop_waiting(ports: Ports, ledger: Ledger, deployment: Deployment, execution: str) -> None:
    """A child that outlived its parent waits, for ECS or RDS: it changes nothing any more, and it may end."""
    for waiting in ledger.tokens_of(deployment.id):
        if waiting["execution"] == execution:
            ports.executions.succeed(
                waiting["token"], {"outcome": "Aborted", "reason": "its deployment was stopped"}
            )
            ledger.answered(waiting["awaited"], execution, waiting["token"], deployment.id)
