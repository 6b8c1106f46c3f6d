"""Our service scheduler sewn into MiniStack's ECS: its API stays, also its containers are ours.

On AWS a deployment takes time, can fail, and is tracked by its id in `startedBy` (ECS developer guide).
MiniStack without Docker completes every deployment inside UpdateService, names the service in
`startedBy`, has no service deployments, runs a deregistered task definition, and lets `RunTask` tasks run
forever.
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import ecs

from tidegate_local.ecs import one_off, service_deployments, target_health
from tidegate_local.ecs.records import Record, primary
from tidegate_local.ecs.scheduler import Scheduler
from tidegate_local.seam import Handler, expect_attributes, graft

READ_UNDER_LOCK = (
    "DescribeServices",
    "DescribeTasks",
    "ListTasks",
    "ListServices",
    "DescribeClusters",
    "StopTask",
    "DeleteService",
)


def install(scheduler: Scheduler) -> None:
    """Replace MiniStack's ECS scheduling. Raises `MendDoesNotFitError`."""
    expect_attributes(
        ecs, "_services", "_tasks", "_task_defs", "_clusters", "_sanitize", "_iso", "_bump_task_version",
        "_tags", "_awslogs_config", "_ensure_awslogs_stream", "_emit_awslogs_event", "_ACTION_MAP",
    )  # fmt: skip
    graft(ecs, "_get_docker", lambda: None, signature="()")
    graft(
        ecs,
        "_reconcile_service_tasks",
        lambda _cluster, key: (
            scheduler.step_service(ecs._services[key]) if ecs._services[key]["status"] == "ACTIVE" else None
        ),
        signature="(cluster_name, svc_key)",
        shows='"startedBy": svc_name',
    )
    graft(
        ecs,
        "_mark_task_stopped",
        _mark_task_stopped(scheduler),
        signature="(task_arn, task, reason, stop_code, exit_code=None)",
    )
    target_health.install(scheduler)
    _replace(scheduler, "RunTask", "_run_task", lambda original: _run_task(original, scheduler))
    _replace(scheduler, "CreateService", "_create_service", _create_service)
    _replace(scheduler, "UpdateService", "_update_service", _update_service)
    for action in READ_UNDER_LOCK:
        ecs._ACTION_MAP[action] = _locked(scheduler, ecs._ACTION_MAP[action])
    for action, handler in {
        "ListServiceDeployments": _list_service_deployments,
        "DescribeServiceDeployments": _describe_service_deployments,
        "StopServiceDeployment": lambda data: _stop_service_deployment(scheduler, data),
    }.items():
        ecs._ACTION_MAP[action] = _locked(scheduler, handler)


def _replace(
    scheduler: Scheduler,
    action: str,
    name: str,
    build: Callable[[Handler], Handler],
    *,
    signature: str = "(data)",
) -> None:
    """Both ways into a handler: its name (CloudFormation) and the action map (the API)."""
    original = getattr(ecs, name)
    replacement = _locked(scheduler, build(original))
    graft(ecs, name, replacement, signature=signature)
    ecs._ACTION_MAP[action] = replacement


def _locked(scheduler: Scheduler, handler: Handler) -> Handler:
    def under_lock(data: Record) -> Any:
        with scheduler.hold():
            return handler(data)

    return under_lock


def _mark_task_stopped(scheduler: Scheduler) -> Handler:
    def mark(_arn: str, task: Record, reason: str, stop_code: str, exit_code: int | None = None) -> bool:  # noqa: ARG001 -- the shape of what it replaces
        if task["lastStatus"] in ("STOPPING", "STOPPED"):
            return False
        scheduler.tasks.stop(task, code=stop_code, reason=reason)
        scheduler.wake()
        return True

    return mark


def _run_task(original: Handler, scheduler: Scheduler) -> Handler:
    answer = one_off.run_task(original, scheduler)

    def run_task(data: Record) -> Any:
        refusal = _refuse_task_definition(data.get("taskDefinition", ""))
        if refusal:
            return refusal
        return answer(data)

    return run_task


def _create_service(original: Handler) -> Handler:
    def create_service(data: Record) -> Any:
        return _refuse_task_definition(data.get("taskDefinition", "")) or original(data)

    return create_service


def _update_service(original: Handler) -> Handler:
    def update_service(data: Record) -> Any:
        if data.get("taskDefinition"):
            refusal = _refuse_task_definition(data["taskDefinition"])
            if refusal:
                return refusal
        service = _service(data)
        if service is not None and service["status"] != "ACTIVE":
            return error_response_json("ServiceNotActiveException", "Service was not ACTIVE.", 400)
        events = list(service["events"]) if service is not None else []
        answer = original(data)
        if service is not None:
            # MiniStack writes that connections are drained at every update, also one that changes nothing.
            service["events"] = [
                entry
                for entry in service["events"]
                if entry in events or "begun draining" not in entry["message"]
            ]
        return answer

    return update_service


def _refuse_task_definition(reference: str) -> Any:
    """ECS's refusal of a task definition that is unknown or INACTIVE; None if it may be run."""
    key = ecs._resolve_td_key(reference)
    definition = ecs._task_defs.get(key) if key else None
    if definition is None:
        return error_response_json("ClientException", "TaskDefinition not found.", 400)
    if definition["status"] != "ACTIVE":
        return error_response_json("ClientException", "TaskDefinition is inactive", 400)
    return None


def _service(data: Record) -> Record | None:
    cluster = ecs._resolve_cluster_name(data.get("cluster", "default"))
    reference = ecs._resolve_service_ref(data.get("service", ""))
    return ecs._services.get(f"{cluster}/{reference[0]}") if reference else None


def _list_service_deployments(data: Record) -> Any:
    service = _service(data)
    if service is None:
        return error_response_json("ServiceNotFoundException", "Service not found.", 400)
    wanted = data.get("status") or []
    keys = (
        "serviceDeploymentArn", "serviceArn", "clusterArn", "startedAt", "createdAt", "finishedAt",
        "status", "statusReason",
    )  # fmt: skip
    return json_response(
        {
            "serviceDeployments": [
                {key: entry[key] for key in keys if key in entry}
                for entry in service.get("_service_deployments", [])
                if not wanted or entry["status"] in wanted
            ]
        }
    )


def _describe_service_deployments(data: Record) -> Any:
    found, failures = [], []
    for arn in data.get("serviceDeploymentArns", []):
        _, entry = _find_service_deployment(arn)
        if entry is None:
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(ecs._sanitize(entry))
    return json_response({"serviceDeployments": found, "failures": failures})


def _stop_service_deployment(scheduler: Scheduler, data: Record) -> Any:
    arn = data.get("serviceDeploymentArn", "")
    service, entry = _find_service_deployment(arn)
    if service is None or entry is None:
        return error_response_json("ServiceDeploymentNotFoundException", "Service deployment not found.", 400)
    if data.get("stopType", "ROLLBACK") != "ROLLBACK" or service.get("_completed") is None:
        return error_response_json(
            "InvalidParameterException", "The service deployment can only be rolled back.", 400
        )
    if entry["status"] != "IN_PROGRESS" or primary(service)["rolloutState"] != "IN_PROGRESS":
        return error_response_json("ConflictException", "The service deployment is not in progress.", 400)
    scheduler.rollout.abandon(service, "ECS deployment was stopped: rollback requested.")
    scheduler.step_service(service)
    return json_response({"serviceDeploymentArn": arn})


def _find_service_deployment(arn: str) -> tuple[Record | None, Record | None]:
    for service in ecs._services.values():
        entry = service_deployments.find(service, arn)
        if entry is not None:
            return service, entry
    return None, None
