"""Function `lock`: the right to change an environment, and what a run waits for before it gets it.

`AwaitApproval` leaves its task token until a person has decided about the plan. `Acquire` answers its own task token
when the lock is free, else leaves it in the queue, where the run before will find it. `Release` gives the lock back
to ask for another approval. `TakeOver` gives a deployment whose execution died to the one that finishes or reverts
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.deployment import Deployment, Line, Machine, Phase
from tidegate.domain.errors import NotFoundError
from tidegate.ledger.handover import release
from tidegate.ledger.locks import Acquired, Locks, Queued
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.announce import announce
from tidegate.steps.approving import await_approval
from tidegate.steps.queueing import clear_the_way, give_way, supersede_waiting
from tidegate.steps.stopping import abort_of, aborted, in_the_queue
from tidegate.steps.taking_over import take_over


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`{"step", "system", "environment", "deployment", "execution", "token"?, "attempt"?}`."""
    ledger = Ledger(ports.store, ports.clock)
    deployment = ledger.deployment(event["system"], event["environment"], event["deployment"])
    if deployment is None:
        raise NotFoundError(f"deployment {event['deployment']} is not in the ledger", field="deployment")
    if event["step"] in ("Acquire", "AwaitApproval") and deployment.outcome is not None:
        # An execution that was redriven: what became of the deployment is recorded, and its next state says so.
        ended = {"outcome": "Ended", "fence": -1, "document": None}
        ports.executions.succeed(event["token"], ended)
        return ended
    if event["step"] == "Acquire":
        return _acquire(event, ports, ledger, deployment)
    if event["step"] == "AwaitApproval":
        return await_approval(event, ports, ledger, deployment)
    if event["step"] == "Release":
        return _release(ports, ledger, deployment)
    return take_over(event, ports, ledger, deployment)


def _acquire(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
) -> Mapping[str, Any]:
    locks = Locks(ports.store, ports.clock)
    token, execution = event["token"], event["execution"]
    result = locks.acquire(
        deployment.system,
        deployment.environment,
        deployment.id,
        execution,
        token,
        deployment.reason,
        replace(deployment.rank, attempt=event.get("attempt") or ""),
    )
    abort = abort_of(ports, deployment.id)
    if abort is not None:
        # Behind the lock: whoever aborts looks for a waiter, and one of the two finds the other.
        fence = result.fence if isinstance(result, Acquired) else -1
        answer = {**aborted(abort), "fence": fence}
        ports.executions.succeed(token, answer)
        # Another attempt of this task may wait under a token of its own.
        in_the_queue(ports, deployment, answer)
        return answer
    if isinstance(result, Acquired):
        if deployment.machine is Machine.ROLLBACK:
            supersede_waiting(ports, ledger, deployment)
        ledger.save(
            replace(deployment, phase=Phase.ROLLING, fence=result.fence, execution=execution),
            Line(ledger.now(), "lock acquired", detail=f"fence {result.fence}"),
            fence=result.fence,
        )
        announce(ports, deployment, "Deployment Started")
        answer = {"outcome": "Acquired", "fence": result.fence, "document": None}
        ports.executions.succeed(token, answer)
        return answer
    return _queued(ports, ledger, deployment, result)


def _queued(ports: Ports, ledger: Ledger, deployment: Deployment, place: Queued) -> Mapping[str, Any]:
    waiting = f"place {place.place} in the queue, behind {place.behind}"
    ledger.tell(deployment.id, "waiting for the lock", detail=waiting)
    announce(ports, deployment, "Deployment Queued", reason=waiting)
    if deployment.machine is Machine.ROLLBACK:
        clear_the_way(ports, ledger, deployment)
    else:
        give_way(ports, ledger, deployment)
    return {"outcome": "Queued", "place": place.place}


def _release(ports: Ports, ledger: Ledger, deployment: Deployment) -> Mapping[str, Any]:
    """The lock is not held while a person thinks."""
    ledger.tell(deployment.id, "lock given back", detail="the plan has changed and is to be approved again")
    release(ports, deployment.system, deployment.environment, deployment.id)
    return {"outcome": "Released"}
