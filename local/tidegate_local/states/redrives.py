"""RedriveExecution: an execution that has failed goes on at the state that it failed in.

AWS: an execution of a Standard machine that ended as FAILED, TIMED_OUT or ABORTED less than 14 days ago runs again
under the same ARN, from the state that did not succeed, with the same input, variables and definition; retries and
the machine's TimeoutSeconds are counted anew, a Fail state is entered again, and the history goes on with
ExecutionRedriven. Any other answers ExecutionNotRedrivable (Step Functions developer guide, "Restarting state
machine executions with redrive"; API reference, RedriveExecution, DescribeExecution).
MiniStack: has no such action, and describes no execution's redrives.
Mended for the states of the machine itself. Known differences: a Map or Parallel is run again as a whole, where AWS
runs only those iterations and branches that did not succeed; the history shows the state as entered again; a
distributed Map starts anew; the event about the execution's status has `redriveCount` 0.
"""

import functools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from ministack import app
from ministack.core.responses import error_response_json, json_response
from ministack.services import stepfunctions as sfn

from tidegate_local.seam import expect, graft
from tidegate_local.states.executions import Executions

PERIOD = timedelta(days=14)
MOST_EVENTS = 24_999  # ExecutionRedriven and one more have to fit into 25,000
_ASKED_BY = "_redriveClientToken"

Json = dict[str, Any]


def install(executions: Executions) -> None:
    """Raises `MendDoesNotFitError`."""
    finalize = expect(sfn, "_finalize_response", signature="(response)")
    handle = app.SERVICE_HANDLERS["states"]

    @functools.wraps(handle)
    async def answer(method: str, path: str, headers: Json, body: bytes, query: Any) -> Any:
        if headers.get("x-amz-target", "").rpartition(".")[2] != "RedriveExecution":
            return await handle(method, path, headers, body, query)
        return finalize(_redrive(executions, json.loads(body or b"{}")))

    app.SERVICE_HANDLERS["states"] = answer

    def describe(data: Json) -> Any:
        return _with(describe_plainly(data), lambda answered: [(answered, _described)])

    def list_(data: Json) -> Any:
        return _with(list_plainly(data), lambda answered: [(one, _counted) for one in answered["executions"]])

    describe_plainly = graft(
        sfn, "_describe_execution", describe, signature="(data)", shows='"outputDetails": execution.get('
    )
    list_plainly = graft(
        sfn, "_list_executions", list_, signature="(data)", shows='resp = {"executions": page}'
    )


def _redrive(executions: Executions, data: Json) -> Any:
    arn, token = data.get("executionArn"), data.get("clientToken")
    execution = sfn._executions.get(arn)
    if execution is None:
        return error_response_json("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'", 400)
    if token and execution.get(_ASKED_BY) == token:
        return json_response({"redriveDate": execution["redriveDate"]})
    reason = _not_redrivable(execution)
    if reason:
        return error_response_json("ExecutionNotRedrivable", reason, 400)
    execution[_ASKED_BY] = token
    executions.redrive(execution)
    return json_response({"redriveDate": execution["redriveDate"]})


def _not_redrivable(execution: Json) -> str:
    """Why not, in the words of DescribeExecution; empty if it can be redriven."""
    machine = sfn._state_machines.get(execution["stateMachineArn"]) or {}
    if execution["status"] in ("RUNNING", "SUCCEEDED"):
        return f"Execution is {execution['status']} and cannot be redriven."
    if machine.get("type") == "EXPRESS" or execution.get("sync"):
        return "Executions of EXPRESS state machines cannot be redriven."
    if len(execution["events"]) >= MOST_EVENTS:
        return "Execution history event limit exceeded."
    if datetime.now(UTC) - datetime.fromisoformat(execution["stopDate"]) > PERIOD:
        return "Execution redrivable period exceeded."
    return ""


def _described(execution: Json) -> Json:
    reason = _not_redrivable(execution)
    status: Json = {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": reason}
    return {**_counted(execution), **(status if reason else {"redriveStatus": "REDRIVABLE"})}


def _counted(execution: Json) -> Json:
    when = {"redriveDate": execution["redriveDate"]} if "redriveDate" in execution else {}
    return {"redriveCount": execution.get("redriveCount", 0), **when}


def _with(response: Any, shown: Any) -> Any:
    """The answer, with what is to be added to each description of an execution in it."""
    status, _, body = response
    if status != 200:
        return response
    answered = json.loads(body)
    for one, more in shown(answered):
        execution = sfn._executions.get(one["executionArn"])
        if execution is not None:
            one.update(more(execution))
    return json_response(answered)
