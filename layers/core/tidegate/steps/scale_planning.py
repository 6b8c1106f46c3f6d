"""What a change of a service's desired count would do, or why not.

It releases nothing and touches one service, so what stands in the way of a release (a freeze, an approval, another
service that could not be brought back) is not asked: it is what on-call does when a system has to be kept alive.
"""

from __future__ import annotations

from dataclasses import replace

from tidegate.domain.errors import NotFoundError, OutsideError, RefusalError
from tidegate.domain.manifest import EnvironmentView
from tidegate.domain.plan import Plan
from tidegate.domain.scaling import Bounds, ScalePlan, ScaleRequest, refuse_outside
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.proposal import Proposal
from tidegate.steps.restarting import as_it_runs
from tidegate.steps.services import read_service


def propose_scale(ports: Ports, ledger: Ledger, view: EnvironmentView, wanted: ScaleRequest) -> Proposal:
    """The count that ECS has already is set again where IaC tools have been told another."""
    if wanted.service not in view.services:
        raise NotFoundError(
            f"the registered manifest of {view.system} has no service {wanted.service}",
            field="scale.service",
            hint=f"it has {', '.join(sorted(view.services)) or 'none'}",
        )
    fact = read_service(ports, view, wanted.service)
    if fact.state.scheduling_strategy != "REPLICA":
        raise RefusalError(
            f"service {wanted.service}: its scheduling strategy is {fact.state.scheduling_strategy}",
            field="scale.service",
            hint="ECS runs one task of it on every instance, and takes no count",
        )
    bounds = _bounds(ports, view, fact.state.name)
    refuse_outside(bounds, wanted.service, wanted.count, f"service/{view.cluster}/{fact.state.name}")
    desired, autoscaled = fact.state.desired_count, bounds is not None
    told = None if autoscaled else ports.registry.count(view.system, view.name, wanted.service)
    changed = desired != wanted.count or not (autoscaled or told == wanted.count)
    current = ledger.current(view.system, view.name)
    release = None if current is None else ledger.release(view.system, current.release)
    return Proposal(
        Plan(
            view.cluster,
            (replace(as_it_runs(fact), wave=1, changed=changed),),
            scale=ScalePlan(wanted.service, wanted.count, desired, autoscaled),
        ),
        None if release is None else release.commit,
        {} if release is None else release.digests,
        None if release is None else release.number,
        () if fact.busy is None else (fact.busy,),
        queue=view.settings.queue,
        unreleased=True,
    )


def _bounds(ports: Ports, view: EnvironmentView, service: str) -> Bounds | None:
    """Where nobody can tell whether auto scaling would undo the count, it is not set."""
    try:
        return ports.scaling.bounds(view.cluster, service)
    except OutsideError as error:
        raise RefusalError(
            f"whether auto scaling would undo it cannot be told: {error.message}",
            field="scale.service",
            hint=error.hint or "Tidegate asks Application Auto Scaling (DescribeScalableTargets) first",
        ) from error
