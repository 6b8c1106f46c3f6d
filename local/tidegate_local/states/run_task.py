"""`ecs:runTask` and `ecs:runTask.sync`.

AWS: answers in the SDK's names (`TaskArn`, `Containers[].ExitCode`); `.sync` waits until the task is
STOPPED, answers with the task, and fails with States.TaskFailed and the task as cause if a container's exit
code is not zero; the task is stopped when the state is ended ("Run Amazon ECS or Fargate tasks with Step
Functions", and "Run a Job (.sync)").
MiniStack: answers in the wire's names, once a second looks, and never fails.
"""

import json
from typing import Any

from ministack.services import ecs
from ministack.services import stepfunctions as sfn

from tidegate_local.seam import MendDoesNotFitError, expect
from tidegate_local.states import lifetime

RESOURCE = "arn:aws:states:::ecs:runTask"
LOOK_EVERY = 0.1


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect(sfn, "_invoke_ecs_run_task", signature="(resource, input_data)", shows="_poll_ecs_tasks")
    expect(sfn, "_pascal_to_camel", signature="(d)")
    expect(sfn, "_sdk_json_result", signature="(service_key, action, result)")
    if sfn._SERVICE_DISPATCH.get(RESOURCE) is not sfn._invoke_ecs_run_task:
        raise MendDoesNotFitError("stepfunctions._SERVICE_DISPATCH", RESOURCE, "another handler")
    sfn._SERVICE_DISPATCH[RESOURCE] = _run_task


def _run_task(resource: str, given: Any) -> Any:
    request = sfn._pascal_to_camel(given)
    status, _, body = ecs._run_task(request)
    answer = json.loads(body)
    if status >= 400:
        raise sfn._ExecutionError(f"ECS.{answer['__type']}", answer.get("message", ""))
    if not resource.endswith(".sync"):
        return sfn._sdk_json_result("ecs", "RunTask", answer)
    if not answer["tasks"]:
        raise sfn._ExecutionError("States.TaskFailed", body.decode())
    cluster, arn = request.get("cluster", "default"), answer["tasks"][0]["taskArn"]
    stop = {"cluster": cluster, "task": arn, "reason": "The execution was stopped"}
    forget = lifetime.current().at_end(lambda: ecs._stop_task(stop) and None)
    task = _stopped(cluster, arn)
    forget()
    if any(container.get("ExitCode") for container in task.get("Containers", [])):
        raise sfn._ExecutionError("States.TaskFailed", json.dumps(task))
    return task


def _stopped(cluster: str, arn: str) -> dict[str, Any]:
    while True:
        _, _, body = ecs._describe_tasks({"cluster": cluster, "tasks": [arn]})
        answer = sfn._sdk_json_result("ecs", "DescribeTasks", ecs._normalize_ecs_timestamps(json.loads(body)))
        task: dict[str, Any] = answer["Tasks"][0]
        if task["LastStatus"] == "STOPPED":
            return task
        lifetime.current().sleep(LOOK_EVERY)
