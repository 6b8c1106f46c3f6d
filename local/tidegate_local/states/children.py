"""`states:startExecution.sync` and `.sync:2`: the parent waits for a child execution.

AWS: a child that does not succeed fails the task with States.TaskFailed, and the cause is the child's
description as JSON; `.sync:2` answers with Input and Output parsed. When the task is ended, Step Functions
calls StopExecution on the child, on a best-effort basis ("Run a Job (.sync)" in "Discover service
integration patterns", Step Functions developer guide).
MiniStack: runs the child inside the parent's thread, fails with the child's own error, and lets it run on
when the parent is stopped.
"""

import json
from datetime import datetime
from typing import Any

from ministack.services import stepfunctions as sfn

from tidegate_local.seam import expect, graft
from tidegate_local.states import lifetime
from tidegate_local.states.executions import Executions
from tidegate_local.states.outcome import Outcome


def install(executions: Executions) -> None:
    """Raises `MendDoesNotFitError`."""
    expect(sfn, "_nested_start_execution_request", signature="(input_data)")
    graft(
        sfn,
        "_invoke_nested_start_execution_sync",
        lambda resource, given: _run_child(executions, resource, given),
        signature="(resource, input_data)",
        shows="_start_sync_execution(request)",
    )
    graft(sfn, "_invoke_nested_start_execution", _start_child, signature="(resource, input_data)")


def _start(given: Any) -> dict[str, Any]:
    status, _, body = sfn._start_execution(sfn._nested_start_execution_request(given))
    answer: dict[str, Any] = json.loads(body)
    if status >= 400:
        # Optimized integrations name their errors after the service.
        raise sfn._ExecutionError(f"StepFunctions.{answer['__type']}Exception", answer.get("message", ""))
    return answer


def _start_child(_resource: str, given: Any) -> Any:
    answer = _start(given)
    return {"ExecutionArn": answer["executionArn"], "StartDate": _milliseconds(answer["startDate"])}


def _run_child(executions: Executions, resource: str, given: Any) -> Any:
    child = sfn._executions[_start(given)["executionArn"]]
    over = Outcome()

    def stop() -> None:
        executions.stop({"executionArn": child["executionArn"]})

    def report() -> None:
        over.succeed(None)

    forget = lifetime.current().at_end(stop)
    executions.when_over(child["executionArn"], report)
    over.wait(lifetime.current(), timeout=None, heartbeat=None)
    forget()
    description = _describe(child, parsed=resource.endswith(":2"))
    if child["status"] != "SUCCEEDED":
        raise sfn._ExecutionError("States.TaskFailed", json.dumps(description, separators=(",", ":")))
    return description


def _describe(child: dict[str, Any], *, parsed: bool) -> dict[str, Any]:
    description: dict[str, Any] = {
        "ExecutionArn": child["executionArn"],
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        "StartDate": _milliseconds(child["startDate"]),
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
        "StopDate": _milliseconds(child["stopDate"]),
    }
    if child["status"] == "SUCCEEDED":
        description |= {"Output": child["output"], "OutputDetails": {"Included": True}}
        if parsed:
            description |= {key: json.loads(description[key]) for key in ("Input", "Output")}
    for key in ("error", "cause"):
        if child.get(key):
            description[key.capitalize()] = child[key]
    return dict(sorted(description.items()))


def _milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
