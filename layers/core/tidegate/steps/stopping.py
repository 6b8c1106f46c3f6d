"""Stopping a deployment at whatever it waits for. An execution is never stopped from outside: it is told, undoes what
it did and ends by itself, so that nothing is left half-way.

What a run does between two waits is not interrupted. It looks for an abort before each change of ECS, between
two invocations that run SQL files, and when it records a success (`ledger.records.Ledger.end`), so an abort that nobody
was told of still comes in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.domain.deployment import Deployment, Machine
from tidegate.domain.intervention import Abort
from tidegate.domain.outcome import Outcome, OutcomeDocument
from tidegate.domain.rollout import Direction
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.resuming import awaited_approval

ABORTED, SUPERSEDED = "Aborted", "Superseded"


def abort_of(ports: Ports, deployment_id: str) -> Abort | None:
    return Interventions(ports.store, ports.clock).abort_of(deployment_id)


def aborted(abort: Abort) -> dict[str, Any]:
    """What a task that waits is answered; every machine has its way back for it."""
    return {"outcome": ABORTED, "reason": abort.told, "fence": -1, "document": None}


def superseded(deployment: Deployment, reason: str) -> dict[str, Any]:
    document = OutcomeDocument(Outcome.SUPERSEDED, deployment.id, deployment.release_name, reason)
    return {"outcome": SUPERSEDED, "reason": reason, "fence": -1, "document": document.to_json()}


def interruptible(deployment: Deployment, direction: Direction) -> bool:
    """Whether an abort stops what this deployment does to a service."""
    return direction is Direction.ROLL and deployment.machine is not Machine.ROLLBACK


def stop(ports: Ports, deployment: Deployment, answer: Mapping[str, Any]) -> int:
    """Answer everything that a deployment waits for; gives how many tasks were told.

    What takes a service back is left alone: it is what an abort wants, and a rollback that has begun is finished.
    """
    told = in_the_queue(ports, deployment, answer)
    ledger = Ledger(ports.store, ports.clock)
    for item in ledger.tokens_of(deployment.id):
        if item.get("stopping"):
            # The end of a migration task: nothing may go on before it.
            continue
        if item.get("direction") and not interruptible(deployment, Direction(item["direction"])):
            continue
        told += ports.executions.succeed(item["token"], answer)
        ledger.answered(item["awaited"], item["execution"], item["token"], deployment.id)
    return told


def withdraw(ports: Ports, deployment: Deployment, answer: Mapping[str, Any]) -> int:
    """Answer a deployment that waits for its turn or for a person. One that has got the lock in the meantime does not
    hear of it: those are other tokens."""
    told = in_the_queue(ports, deployment, answer)
    ledger = Ledger(ports.store, ports.clock)
    awaited = awaited_approval(deployment.id)
    for item in ledger.waiting_for(awaited):
        told += ports.executions.succeed(item["token"], answer)
        ledger.answered(awaited, item["execution"], item["token"], deployment.id)
    return told


def in_the_queue(ports: Ports, deployment: Deployment, answer: Mapping[str, Any]) -> int:
    """Told before it is taken off: a crash in between leaves a waiter that is passed over, never one that nobody
    knows. One that got the lock in the same moment gives it back when it ends."""
    locks = Locks(ports.store, ports.clock)
    place = deployment.system, deployment.environment
    told = 0
    for waiter in locks.waiters(*place):
        if waiter.deployment == deployment.id:
            told += ports.executions.succeed(waiter.token, answer)
            locks.leave(*place, deployment.id)
    return told
