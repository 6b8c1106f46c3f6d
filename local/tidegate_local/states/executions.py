"""An execution from its start to its end.

AWS: StartExecution is idempotent ("if you call StartExecution with the same name and input as a running
execution, the call succeeds and returns the same response"; closed or with other input:
ExecutionAlreadyExists). A machine's own TimeoutSeconds ends it as TIMED_OUT with States.Timeout. A
stopped execution runs no further state (Step Functions API reference and developer guide).
MiniStack: refuses any known name, knows no time-out of a machine, lets the threads of a stopped execution
run on and overwrites ABORTED with what comes of them.
"""

import contextvars
import copy
import json
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import (
    error_response_json,
    get_account_id,
    get_region,
    json_response,
    now_iso,
    request_scope,
)
from ministack.services import stepfunctions as sfn

from tidegate_local.seam import Handler, expect, graft
from tidegate_local.states import lifetime
from tidegate_local.states.history import add_event
from tidegate_local.states.walk import walk

logger = logging.getLogger("tidegate.states")

LARGEST_INPUT = 262_144
NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")

END_EVENTS = {
    "SUCCEEDED": ("ExecutionSucceeded", "executionSucceededEventDetails"),
    "FAILED": ("ExecutionFailed", "executionFailedEventDetails"),
    "TIMED_OUT": ("ExecutionTimedOut", "executionTimedOutEventDetails"),
    "ABORTED": ("ExecutionAborted", "executionAbortedEventDetails"),
}


_PLACE = "_place"  # in MiniStack's record of the execution: with another of the same name, it is gone


@dataclass(frozen=True, slots=True)
class Place:
    """The state that an execution was in last, and what is needed to enter it again."""

    definition: dict[str, Any]
    state: str
    given: Any
    variables: dict[str, Any]


class Executions:
    """The executions that run, by ARN."""

    def __init__(self) -> None:
        self._lifetimes: dict[str, lifetime.Lifetime] = {}
        self._lock = threading.RLock()
        self.start_unchecked: Handler = sfn._start_execution

    def lifetime_of(self, arn: str) -> lifetime.Lifetime:
        """The lifetime everything in the execution runs under; ends with the execution."""
        with self._lock:
            return self._lifetimes.setdefault(arn, lifetime.Lifetime())

    def when_over(self, arn: str, act: Callable[[], None]) -> None:
        """Call `act` once the execution is no longer RUNNING, at once if it is not."""
        with self._lock:
            running = sfn._executions[arn]["status"] == "RUNNING"
            if running:
                self.lifetime_of(arn).at_end(act)
        if not running:
            act()

    def end(
        self,
        execution: dict[str, Any],
        status: str,
        attempt: lifetime.Lifetime | None = None,
        **outcome: str | None,
    ) -> bool:
        """Write how it ended and end what runs in it; False if it, or this attempt of it, had ended before."""
        with self._lock:
            if execution["status"] != "RUNNING" or (attempt is not None and attempt.over):
                return False
            execution.update(status=status, stopDate=now_iso(), **outcome)
            kind, key = END_EVENTS[status]
            add_event(execution, kind, {key: {k: v for k, v in outcome.items() if v}})
            under = self._lifetimes.pop(execution["executionArn"], None)
        sfn._emit_execution_status_event(execution)
        if under is not None:
            under.end()
        return True

    def abandon(self) -> None:
        """The process ends: let every thread of every execution return."""
        with self._lock:
            lifetimes, self._lifetimes = list(self._lifetimes.values()), {}
        for under in lifetimes:
            under.end()

    def start(self, data: dict[str, Any]) -> Any:
        """StartExecution."""
        refusal = _refuse(data)
        if refusal is not None:
            return refusal
        with self._lock:
            known = _known_execution(data)
            if (
                known is not None
                and known["status"] == "RUNNING"
                and known["input"] == data.get("input", "{}")
            ):
                return json_response({"executionArn": known["executionArn"], "startDate": known["startDate"]})
            return self.start_unchecked(data)

    def stop(self, data: dict[str, Any]) -> Any:
        """StopExecution. One that has ended keeps its end, and the call succeeds."""
        execution = sfn._executions.get(data.get("executionArn"))
        if execution is None:
            return error_response_json(
                "ExecutionDoesNotExist", f"Execution Does Not Exist: '{data.get('executionArn')}'", 400
            )
        self.end(execution, "ABORTED", error=data.get("error"), cause=data.get("cause"))
        return json_response({"stopDate": execution["stopDate"]})

    def run(self, arn: str) -> None:
        """Walk the machine; the body of the execution's thread."""
        with self._lock:
            execution = sfn._executions.get(arn)
            if execution is None or execution["status"] != "RUNNING":
                return
            attempt = self.lifetime_of(arn)
        self._attempt(execution, attempt)

    def redrive(self, execution: dict[str, Any]) -> None:
        """Let one that has ended without success go on from the state that it was in. Does not ask whether it may."""
        with self._lock:
            execution.update(status="RUNNING", stopDate=None, output=None, redriveDate=now_iso())
            execution["redriveCount"] = execution.get("redriveCount", 0) + 1
            for key in ("error", "cause"):
                execution.pop(key, None)
            details = {"executionRedrivenEventDetails": {"redriveCount": execution["redriveCount"]}}
            add_event(execution, "ExecutionRedriven", details)
            attempt = self.lifetime_of(execution["executionArn"])
        sfn._emit_execution_status_event(execution)
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._attempt, execution, attempt), daemon=True).start()

    def _attempt(self, execution: dict[str, Any], attempt: lifetime.Lifetime) -> None:
        lifetime.enter(attempt)
        try:
            output = self._walk(execution, attempt)
        except lifetime.EndedError:
            return
        except sfn._ExecutionError as error:
            self.end(execution, "FAILED", attempt, error=error.error, cause=error.cause)
        except Exception as error:
            logger.exception("execution %s broke", execution["executionArn"])
            cause = f"{type(error).__name__}: {error}"
            self.end(execution, "FAILED", attempt, error="States.Runtime", cause=cause)
        else:
            self.end(execution, "SUCCEEDED", attempt, output=json.dumps(output))

    def _walk(self, execution: dict[str, Any], attempt: lifetime.Lifetime) -> Any:
        machine = sfn._state_machines.get(execution["stateMachineArn"])
        if machine is None:
            raise sfn._ExecutionError("StateMachineDeleted", "State machine no longer exists")
        given = json.loads(execution["input"])
        place: Place | None = execution.get(_PLACE)
        if place is None:
            definition = json.loads(machine["definition"])
            place = Place(definition, definition["StartAt"], given, {})
        definition = place.definition
        ctx = {
            "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
            "Execution": {
                "Id": execution["executionArn"],
                "Input": given,
                "Name": execution["name"],
                "RoleArn": machine["roleArn"],
                "StartTime": execution["startDate"],
                "RedriveCount": execution.get("redriveCount", 0),
                **({"RedriveTime": execution["redriveDate"]} if "redriveDate" in execution else {}),
            },
            "StateMachine": {"Id": execution["stateMachineArn"], "Name": machine["name"]},
            "variables": copy.deepcopy(place.variables),
        }

        def entering(state: str, state_input: Any) -> None:
            with self._lock:
                # The thread of an attempt that was stopped may come by after the next one has begun.
                attempt.check()
                execution[_PLACE] = Place(
                    definition, state, copy.deepcopy(state_input), copy.deepcopy(ctx["variables"])
                )

        seconds = definition.get("TimeoutSeconds")
        timer = (
            threading.Timer(seconds, self._time_out, (execution, attempt, get_account_id(), get_region()))
            if seconds
            else None
        )
        if timer:
            timer.daemon = True
            timer.start()
        try:
            given = copy.deepcopy(place.given)
            return walk(definition["States"], place.state, given, execution, ctx, entering)
        finally:
            if timer:
                timer.cancel()

    def _time_out(
        self, execution: dict[str, Any], attempt: lifetime.Lifetime, account: str, region: str
    ) -> None:
        with request_scope(account, region):
            self.end(execution, "TIMED_OUT", attempt, error="States.Timeout")


def install(executions: Executions) -> None:
    """Raises `MendDoesNotFitError`."""
    executions.start_unchecked = graft(
        sfn, "_start_execution", executions.start, signature="(data)", shows="Execution already exists"
    )
    graft(sfn, "_stop_execution", executions.stop, signature="(data)")
    graft(sfn, "_run_execution", executions.run, signature="(exec_arn)", shows='"SUCCEEDED"')
    expect(sfn, "_emit_execution_status_event", signature="(execution) -> None")


def _known_execution(data: dict[str, Any]) -> dict[str, Any] | None:
    machine = sfn._state_machines.get(sfn._resolve_state_machine_arn(data.get("stateMachineArn", "")))
    if machine is None or not data.get("name"):
        return None
    arn = f"arn:aws:states:{get_region()}:{get_account_id()}:execution:{machine['name']}:{data['name']}"
    known: dict[str, Any] | None = sfn._executions.get(arn)
    return known


def _refuse(data: dict[str, Any]) -> Any:
    name, given = data.get("name"), data.get("input", "{}")
    if name is not None and not NAME.fullmatch(name):
        return error_response_json("InvalidName", f"Invalid Name: '{name}'", 400)
    if len(given.encode()) > LARGEST_INPUT:
        return error_response_json(
            "InvalidExecutionInput", f"Input is longer than {LARGEST_INPUT} bytes", 400
        )
    try:
        json.loads(given)
    except ValueError as error:
        return error_response_json(
            "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'", 400
        )
    return None
