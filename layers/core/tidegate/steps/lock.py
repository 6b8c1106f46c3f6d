"""Function `lock`: the right to change an environment.

`Acquire` answers its own task token when the lock is free, else leaves it in the queue, where the run before will
find it. `TakeOver` gives a deployment whose execution died to the one that finishes or reverts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tidegate.domain.deployment import Deployment, Line, Phase
from tidegate.domain.errors import NotFoundError
from tidegate.ledger.locks import Acquired, Locks
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.announce import announce

# The longest time-out of a function of ours (template.yaml, Globals.Function.Timeout): a function that ran when its
# execution was stopped has ended after this, so nothing of the dead owner can change ECS any more.
LONGEST_FUNCTION = timedelta(seconds=30)


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`{"step": "Acquire" | "TakeOver", "system", "environment", "deployment", "execution", "token"?}`."""
    return _acquire(event, ports) if event["step"] == "Acquire" else _take_over(event, ports)


def _acquire(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    ledger, locks = Ledger(ports.store, ports.clock), Locks(ports.store, ports.clock)
    deployment = _deployment(event, ledger)
    token, execution = event["token"], event["execution"]
    result = locks.acquire(
        deployment.system, deployment.environment, deployment.id, execution, token, deployment.reason
    )
    if isinstance(result, Acquired):
        ledger.save(
            replace(deployment, phase=Phase.ROLLING, fence=result.fence, execution=execution),
            Line(ledger.now(), "lock acquired", detail=f"fence {result.fence}"),
            fence=result.fence,
        )
        announce(ports, deployment, "Deployment Started")
        answer = {"outcome": "Acquired", "fence": result.fence}
        ports.executions.succeed(token, answer)
        return answer
    waiting = f"place {result.place} in the queue, behind {result.behind}"
    ledger.tell(deployment.id, "waiting for the lock", detail=waiting)
    announce(ports, deployment, "Deployment Queued", reason=waiting)
    return {"outcome": "Queued", "place": result.place}


def _take_over(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`{"outcome": "Taken", "fence"}`, `{"outcome": "Wait", "seconds"}` or `{"outcome": "NotOwner"}`."""
    ledger, locks = Ledger(ports.store, ports.clock), Locks(ports.store, ports.clock)
    deployment = _deployment(event, ledger)
    # Out of the queue first: behind a look at the lock, a hand-over could still make it the owner.
    locks.leave(deployment.system, deployment.environment, deployment.id)
    lock = locks.read(deployment.system, deployment.environment)
    if not lock.held_by(deployment.id):
        return {"outcome": "NotOwner", "fence": -1, "seconds": 0}
    if lock.execution == event["execution"]:
        return {"outcome": "Taken", "fence": lock.fence, "seconds": 0}
    seconds = _still_dangerous(ports, ledger, deployment, lock.execution)
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


def _still_dangerous(ports: Ports, ledger: Ledger, deployment: Deployment, owner: str | None) -> int:
    """Seconds until neither the owner, nor a child of it, nor a function that one of them called can change ECS."""
    now = ports.clock.now()
    runs = {rollout.execution for rollout in ledger.rollouts(deployment.id)}
    longest = timedelta(0)
    for arn in sorted({*runs, *({owner} if owner else ())}):
        execution = ports.executions.describe(arn)
        if execution is None:
            continue
        if execution.running:
            _stop_waiting(ports, ledger, deployment, arn)
            longest = max(longest, timedelta(seconds=2))
        elif execution.stopped_at is not None:
            longest = max(longest, execution.stopped_at + LONGEST_FUNCTION - now)
    return max(0, -(-int(longest.total_seconds() * 1000) // 1000))


def _stop_waiting(ports: Ports, ledger: Ledger, deployment: Deployment, execution: str) -> None:
    """A child that outlived its parent waits for ECS: it changes nothing any more, and it may end."""
    for rollout in ledger.rollouts(deployment.id):
        if rollout.execution != execution or rollout.ecs_deployment is None:
            continue
        for waiting in ledger.waiting_for(rollout.ecs_deployment):
            if waiting["execution"] == execution:
                ports.executions.succeed(
                    waiting["token"], {"outcome": "Aborted", "reason": "its deployment was stopped"}
                )
                ledger.answered(rollout.ecs_deployment, execution, waiting["token"])


def _deployment(event: Mapping[str, Any], ledger: Ledger) -> Deployment:
    deployment = ledger.deployment(event["system"], event["environment"], event["deployment"])
    if deployment is None:
        raise NotFoundError(f"deployment {event['deployment']} is not in the ledger", field="deployment")
    return deployment
