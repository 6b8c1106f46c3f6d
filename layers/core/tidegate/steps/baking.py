"""The bake: when all services have rolled, alarms still undo the whole release, the moment one rings.

The task's time-out is the end of the bake (statemachines/deploy.asl.json): nobody wakes up to find that nothing
happened. `steps.record` looks at the alarms once more before it records the success.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.deployment import Deployment, Line, Phase
from tidegate.domain.durations import format_duration
from tidegate.domain.errors import NotFoundError
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.resuming import awaited_alarm, resume
from tidegate.steps.stopping import abort_of, aborted


def bake(event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment) -> Mapping[str, Any]:
    """Leave the task token under each alarm, then look: one may ring already, or an abort have come before."""
    wanted = None if deployment.plan is None else deployment.plan.bake
    if wanted is None:
        raise NotFoundError(f"deployment {deployment.id} has no bake in its plan", field="deployment")
    if deployment.phase is not Phase.BAKING:
        watched = f"{', '.join(wanted.alarms)} for {format_duration(wanted.duration)}"
        line = Line(ledger.now(), "baking", detail=watched)
        ledger.save(replace(deployment, phase=Phase.BAKING), line, fence=int(event["fence"]))
    waiting = {"token": event["token"], "deployment": deployment.id, "alarms": list(wanted.alarms)}
    for name in wanted.alarms:
        ledger.keep_token(awaited_alarm(name), event["execution"], waiting)
    abort = abort_of(ports, deployment.id)
    if abort is not None:
        ports.executions.succeed(event["token"], aborted(abort))
        for name in wanted.alarms:
            ledger.answered(awaited_alarm(name), event["execution"], event["token"], deployment.id)
        return {"waiting_for": wanted.to_json()}
    resume(ports, ledger, ledger.waiting_for(awaited_alarm(wanted.alarms[0])))
    return {"waiting_for": wanted.to_json()}
