"""DescribeTargetHealth tells of the tasks behind a load balancer what is true of them.

AWS: the states initial, healthy, unhealthy and draining with their reasons (Elastic Load Balancing API, TargetHealth).
MiniStack: whatever is registered is healthy; tasks are registered when it reconciles a service itself.
Mended by what `Balancing` knows; targets that others registered stay healthy.
"""

from typing import Any

from ministack.services import alb, ecs

from tidegate_local.ecs.balancing import REASONS, Target
from tidegate_local.ecs.records import Record
from tidegate_local.ecs.scheduler import Scheduler
from tidegate_local.seam import expect, expect_attributes, graft


def install(scheduler: Scheduler) -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(alb, "_tgs", "_targets", "_ACTION_MAP")
    expect(alb, "_xml", signature="(status, action, inner)")
    asked_for = expect(alb, "_parse_targets_param", signature="(params, prefix='Targets')")

    def describe(params: Any) -> Any:
        arn = alb._p(params, "TargetGroupArn")
        if arn not in alb._tgs:
            return refuse(params)
        with scheduler.hold():
            found = [*scheduler.balancing.described(arn), *_others(arn)]
        wanted = {each["Id"] for each in asked_for(params)}
        shown = "".join(_member(target) for target in found if not wanted or target.address in wanted)
        inner = f"<TargetHealthDescriptions>{shown}</TargetHealthDescriptions>"
        return alb._xml(200, "DescribeTargetHealth", inner)

    refuse = graft(
        alb,
        "_describe_target_health",
        describe,
        signature="(params)",
        shows="<HealthStatus>healthy</HealthStatus>",
    )
    alb._ACTION_MAP["DescribeTargetHealth"] = describe
    graft(
        ecs,
        "_sync_service_targets",
        lambda _cluster, service: _publish(scheduler, service),
        signature="(cluster_name, svc)",
        shows="alb.set_targets_for_group(",
    )


def _publish(scheduler: Scheduler, service: Record) -> None:
    # Called where a service was deleted.
    with scheduler.hold():
        scheduler.balancing.publish(service)


def _others(arn: str) -> list[Target]:
    """What was registered through the API."""
    port = alb._tgs[arn].get("Port", 80)
    return [
        Target(str(each["Id"]), int(each.get("Port") or port), "healthy")
        for each in alb._targets.get(arn, [])
        if not each.get("_task")
    ]


def _member(target: Target) -> str:
    why = REASONS.get(target.state)
    told = f"<Reason>{why[0]}</Reason><Description>{why[1]}</Description>" if why else ""
    return (
        f"<member><Target><Id>{target.address}</Id><Port>{target.port}</Port></Target>"
        f"<HealthCheckPort>{target.port}</HealthCheckPort>"
        f"<TargetHealth><State>{target.state}</State>{told}</TargetHealth></member>"
    )
