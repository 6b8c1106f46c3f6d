"""A task definition and a service that a stack makes are those of ECS's API, and the stack waits for the service.

AWS: the properties of AWS::ECS::TaskDefinition and AWS::ECS::Service are the parameters of RegisterTaskDefinition,
CreateService and UpdateService; an update of a service sends all of them, and "for existing services, if a desired
count is not specified, it is omitted from the operation" (CloudFormation template reference). The resource is complete
when the service is steady, and fails with "ECS Deployment Circuit Breaker was triggered" (ECS developer guide, "How the
Amazon ECS deployment circuit breaker detects failures").
MiniStack: hands over some of them, of containers in CloudFormation's spelling (`ValueFrom`), RuntimePlatform, health
checks' grace and EnableExecuteCommand not at all; numbers that a nested stack passes on stay text, so that a service
wants "2" tasks. A service is complete at once, whatever becomes of its tasks.
Mended by going through its API, by ECS's own model, and by waiting. That is done on a thread, as for nested stacks.
"""

from typing import Any

from ministack.services import ecs
from ministack.services.cloudformation import provisioners, stacks

from tidegate_local.resources import tasks
from tidegate_local.seam import expect, expect_attributes, graft

CLUSTER, DEFINITION, SERVICE = "AWS::ECS::Cluster", "AWS::ECS::TaskDefinition", "AWS::ECS::Service"
Json = dict[str, Any]


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(provisioners, "_RESOURCE_HANDLERS")
    expect_attributes(ecs, "_services", "_tags")
    for name in ("_register_task_definition", "_deregister_task_definition", "_delete_service"):
        expect(ecs, name, signature="(data)")
    handlers = provisioners._RESOURCE_HANDLERS
    handlers[DEFINITION].update(tasks.DEFINITION.handlers())
    handlers[SERVICE].update(tasks.SERVICE.handlers())
    made = expect(provisioners, "_ecs_cluster_create", signature="(logical_id, props, stack_name)")
    changed = expect(
        provisioners,
        "_ecs_cluster_update",
        signature="(physical_id, old_props, new_props, stack_name, logical_id=None)",
    )
    handlers[CLUSTER].update(
        create=lambda logical_id, props, stack: made(logical_id, _counted(props), stack),
        update=lambda own, old, new, *more: changed(own, _counted(old), _counted(new), *more),
    )

    def on_a_thread(resource_type: str) -> bool:
        return resource_type == SERVICE or original(resource_type)

    original = graft(stacks, "_runs_on_worker_thread", on_a_thread, signature="(resource_type: str) -> bool")


def _counted(props: Json) -> Json:
    """The numbers of its strategy, which may be text."""
    strategy = [
        {name: int(value) if name in ("Base", "Weight") else value for name, value in item.items()}
        for item in props.get("DefaultCapacityProviderStrategy") or []
    ]
    return {**props, **({"DefaultCapacityProviderStrategy": strategy} if strategy else {})}
