"""Function `roll_service`: one service's ECS deployment.

`Start` brings a service to its target and leaves its task token with the ECS deployment that does it; the record of
what is intended is written before ECS is touched, so a retry adopts what was begun (`steps.scaling` has the start of
a deployment that changes a count). `Await` waits for somebody
else's deployment. `Bake` waits for the alarms that are watched when all have rolled. `Report` gathers why one failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.deployment import Deployment, Line, Rollout
from tidegate.domain.errors import NotFoundError, OutsideError
from tidegate.domain.intervention import Abort
from tidegate.domain.migration import MigrationOutcome
from tidegate.domain.plan import DEPLOYMENT_TAG, same_shape, shape
from tidegate.domain.rollout import Direction, EcsDeployment, ServiceState, judge
from tidegate.domain.rotation import RotationRun
from tidegate.ledger.records import Ledger
from tidegate.ledger.rotations import Rotations
from tidegate.ledger.schemas import Schemas
from tidegate.ports import Ports
from tidegate.steps.baking import bake
from tidegate.steps.fencing import insist_on_lock
from tidegate.steps.reporting import report_failure
from tidegate.steps.resuming import rolled_out
from tidegate.steps.revisions import revision_with
from tidegate.steps.scaling import start_scaling
from tidegate.steps.stopping import abort_of, aborted, interruptible


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`{"step": "Start", "system", "environment", "deployment", "service", "direction", "fence", "execution",
    "token"}`, `{"step": "Await", …, "busy", "execution", "token"}`, `{"step": "Bake", …, "fence", "execution",
    "token"}` or `{"step": "Report", …, "outcome", "reason"}`."""
    ledger = Ledger(ports.store, ports.clock)
    deployment = ledger.deployment(event["system"], event["environment"], event["deployment"])
    if deployment is None:
        raise NotFoundError(f"deployment {event['deployment']} is not in the ledger", field="deployment")
    if event["step"] == "Start" and deployment.scales:
        return start_scaling(event, ports, ledger, deployment)
    if event["step"] == "Start":
        return _Rolling(event, ports, ledger, deployment).start()
    if event["step"] == "Await":
        return _await(event, ports, ledger)
    if event["step"] == "Bake":
        return bake(event, ports, ledger, deployment)
    return report_failure(event, ports, ledger, deployment)


def wait_for(
    ports: Ports,
    ledger: Ledger,
    event: Mapping[str, Any],
    *,
    cluster: str,
    ecs_service: str,
    ecs_deployment: str,
    smoke: Mapping[str, Any] | None = None,
    abortable: bool = True,
) -> Mapping[str, Any]:
    """Leave the task token with an ECS deployment, then look: the event, or an abort, may have come before the
    token."""
    waiting = {
        "token": event["token"],
        "deployment": event["deployment"],
        "service": event.get("service", ""),
        "direction": event.get("direction", ""),
        "cluster": cluster,
        "ecs_service": ecs_service,
        "smoke": smoke,
    }
    ledger.keep_token(ecs_deployment, event["execution"], waiting)
    abort = abort_of(ports, event["deployment"]) if abortable else None
    if abort is not None:
        told = ports.executions.succeed(event["token"], aborted(abort))
    else:
        state = ports.containers.services(cluster, [ecs_service]).get(ecs_service)
        verdict = judge(state, ecs_deployment)
        told = verdict is not None and ports.executions.succeed(event["token"], rolled_out(waiting, verdict))
    if told:
        ledger.answered(ecs_deployment, event["execution"], event["token"], event["deployment"])
    return {"waiting_for": ecs_deployment}


def _await(event: Mapping[str, Any], ports: Ports, ledger: Ledger) -> Mapping[str, Any]:
    busy = event["busy"]
    return wait_for(
        ports,
        ledger,
        {**event, "service": busy["service"]},
        cluster=busy["cluster"],
        ecs_service=busy["ecs_service"],
        ecs_deployment=busy["ecs_deployment"],
    )


class _Rolling:
    """One attempt at one service in one direction; every call of ECS finds what an attempt before it left."""

    def __init__(
        self, event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
    ) -> None:
        plan = deployment.plan
        if plan is None:
            raise NotFoundError(f"deployment {deployment.id} has no plan", field="deployment")
        self._event = event
        self._ports = ports
        self._ledger = ledger
        self._deployment = deployment
        self._cluster = plan.cluster
        self._plan = plan.service(event["service"])
        self._direction = Direction(event["direction"])
        self._fence = int(event["fence"])

    def start(self) -> Mapping[str, Any]:
        abort = self._abort()
        if abort is not None:
            # Before anything is written: a service that was not touched needs no way back.
            self._ports.executions.succeed(self._event["token"], aborted(abort))
            return {"waiting_for": None}
        self._insist_on_migration()
        rollout = self._intent()
        if rollout.task_definition is None:
            rollout = self._registered(rollout)
        if rollout.ecs_deployment is None:
            rollout = self._started(rollout)
        return wait_for(
            self._ports,
            self._ledger,
            self._event,
            cluster=self._cluster,
            ecs_service=self._plan.service,
            ecs_deployment=rollout.ecs_deployment or "",
            smoke=self._plan.smoke if self._direction is Direction.ROLL else None,
            abortable=interruptible(self._deployment, self._direction),
        )

    def _insist_on_migration(self) -> None:
        """An execution of a definition from before its plan had a migration (Step Functions keeps the one that it began
        with) comes here without having run it."""
        plan = self._deployment.plan
        if self._direction is Direction.REVERT or plan is None or plan.migration is None:
            return
        run_ = Schemas(self._ports.store, self._ports.clock).run_of(self._deployment.id)
        if run_ is None or run_.outcome != MigrationOutcome.MIGRATED.value:
            raise OutsideError(
                "the release's migration has not run",
                hint="release it again: Tidegate was upgraded meanwhile",
            )

    def _abort(self) -> Abort | None:
        if not interruptible(self._deployment, self._direction):
            return None
        return abort_of(self._ports, self._deployment.id)

    def _intent(self) -> Rollout:
        known = self._ledger.rollout(self._deployment.id, self._plan.key, self._direction)
        if known is not None and known.ecs_deployment is not None and self._direction is Direction.REVERT:
            state = self._state()
            if state is None or state.deployment(known.ecs_deployment) is None:
                # A recovery reverts again: what an earlier revert had started is gone.
                known = replace(known, ecs_deployment=None)
        if known is not None:
            rollout = replace(known, execution=self._event["execution"])
        else:
            target = self._plan.previous if self._direction is Direction.REVERT else self._plan.target
            rollout = Rollout(
                self._plan.key, self._direction, self._event["execution"], self._ledger.now(), target
            )
        self._ledger.save_rollout(self._deployment, rollout, fence=self._fence)
        return rollout

    def _registered(self, rollout: Rollout) -> Rollout:
        """A new revision of the base with the release's image, unless it is there already."""
        plan = self._plan
        revision, _ = revision_with(
            self._ports, self._deployment, plan.base, plan.container, plan.image_uri, plan.key
        )
        rollout = replace(rollout, task_definition=revision.arn)
        line = self._line("task definition registered", revision.arn.rsplit("/", 1)[-1])
        self._ledger.save_rollout(self._deployment, rollout, line, fence=self._fence)
        return rollout

    def _started(self, rollout: Rollout) -> Rollout:
        target = self._existing(rollout.task_definition or "")
        state = self._state()
        ours = None if state is None else self._adoptable(state, target)
        if ours is None:
            insist_on_lock(self._ports, self._deployment, self._fence)
            # To what it is on already (ECS gave up on it, or its tasks are to be new), only by force: without it
            # UpdateService changes nothing.
            again = (
                state is not None and state.primary is not None and state.primary.task_definition == target
            )
            ours = self._ports.containers.update_service(
                self._cluster, self._plan.service, target, force=again
            )
            what = "rolling" if self._direction is Direction.ROLL else "reverting"
        else:
            what = "already rolling" if self._direction is Direction.ROLL else "adopted ECS's own way back"
        rollout = replace(rollout, task_definition=target, ecs_deployment=ours.id)
        line = self._line(what, f"{target.rsplit('/', 1)[-1]} as {ours.id}")
        self._ledger.save_rollout(self._deployment, rollout, line, fence=self._fence)
        return rollout

    def _adoptable(self, state: ServiceState, target: str) -> EcsDeployment | None:
        """The PRIMARY deployment, if it goes where we want to go: an attempt before started it, or (on the way
        back) ECS's circuit breaker did. A second one is never started beside it."""
        primary = state.primary
        if primary is None or primary.task_definition != target or primary.rollout_state == "FAILED":
            return None
        if primary.id in self._replaced():
            return None
        return primary

    def _replaced(self) -> frozenset[str]:
        """ECS deployments in whose place new tasks are wanted though the task definition stays."""
        if self._direction is Direction.ROLL:
            return frozenset() if self._plan.restarts is None else frozenset({self._plan.restarts})
        run_ = self._rotation()
        return frozenset() if run_ is None else frozenset(run_.replaces.values())

    def _rotation(self) -> RotationRun | None:
        """What was done of the rotation that the rollout is a part of."""
        if not self._deployment.rotation:
            return None
        return Rotations(self._ports.store, self._ports.clock).run_of(self._deployment.id)

    def _existing(self, arn: str) -> str:
        """A revision that can be run: an INACTIVE one is registered again from what ECS remembers of it."""
        containers = self._ports.containers
        known = containers.task_definition(arn)
        if known is None or known.active:
            return arn
        newest = containers.task_definition(known.family)
        if (
            newest is not None
            and newest.tags.get(DEPLOYMENT_TAG) == self._deployment.id
            and same_shape(newest.content, known.content)
        ):
            return newest.arn
        tags = {**known.tags, DEPLOYMENT_TAG: self._deployment.id}
        return containers.register(shape(known.content), tags).arn

    def _state(self) -> ServiceState | None:
        return self._ports.containers.services(self._cluster, [self._plan.service]).get(self._plan.service)

    def _line(self, what: str, detail: str) -> Line:
        return Line(self._ledger.now(), what, self._plan.key, detail)
