"""Waiting for a person to approve a plan, without the lock. The decision is bound to the plan: another plan is asked
for anew, and nobody approves what they have not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.deployment import Deployment, Line, Phase
from tidegate.domain.errors import NotFoundError
from tidegate.domain.intervention import Approval
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.announce import announce
from tidegate.steps.queueing import give_way
from tidegate.steps.resuming import awaited_approval, resume
from tidegate.steps.stopping import abort_of, aborted


def await_approval(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
) -> Mapping[str, Any]:
    """Leave the task token, then look: the decision, or an abort, may have come before it."""
    if deployment.plan is None:
        raise NotFoundError(f"deployment {deployment.id} has no plan to approve", field="deployment")
    interventions = Interventions(ports.store, ports.clock)
    place = deployment.system, deployment.environment
    approval = interventions.ask_approval(
        *place,
        Approval(
            deployment.id,
            deployment.plan.hash,
            ledger.now(),
            deployment.actor,
            other=deployment.approval == "other",
            rank=deployment.rank,
        ),
    )
    awaited = awaited_approval(deployment.id)
    waiting = {
        "token": event["token"],
        "deployment": deployment.id,
        "system": deployment.system,
        "environment": deployment.environment,
    }
    ledger.keep_token(awaited, event["execution"], waiting)
    abort = abort_of(ports, deployment.id)
    if abort is not None:
        ports.executions.succeed(event["token"], aborted(abort))
        ledger.answered(awaited, event["execution"], event["token"], deployment.id)
        return {"waiting_for": awaited}
    if approval.decision is None:
        who = "by somebody other than the author" if approval.other else "by a person"
        line = Line(ledger.now(), "waiting for approval", detail=f"{who}: tidegate approve {deployment.id}")
        ledger.save(replace(deployment, phase=Phase.AWAITING_APPROVAL, fence=0), line)
        announce(ports, deployment, "Deployment Awaiting Approval", reason=line.detail)
        give_way(ports, ledger, deployment)
    resume(ports, ledger, ledger.waiting_for(awaited))
    return {"waiting_for": awaited}
