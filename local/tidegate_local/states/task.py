"""One Task state: its attempts, its time-outs, its callback.

AWS: TimeoutSeconds and HeartbeatSeconds may be JSONata; an attempt that runs longer fails with
States.Timeout; a function error under `.waitForTaskToken` fails the task at once; each attempt has a new
token (Step Functions developer guide, "Task workflow state" and "Wait for a Callback with Task Token").
MiniStack: takes the numbers literally, swallows the function's error and waits for the time-out, and
hands the same token to every attempt.
"""

import contextvars
import json
import threading
from typing import Any

from ministack.services import stepfunctions as sfn

from tidegate_local.states import lifetime
from tidegate_local.states.history import add_event
from tidegate_local.states.outcome import Outcome
from tidegate_local.states.retries import Attempts
from tidegate_local.states.tokens import TokenBook

CALLBACK = ".waitForTaskToken"

Json = Any
Step = tuple[Json, str | None]


def execute(book: TokenBook, state: dict[str, Any], raw_input: Json, execution: Json, ctx: Json) -> Step:
    """Run the state under its Retry and Catch; its output and the next state's name."""
    attempts = Attempts(state.get("Retry", []))
    while True:
        lifetime.current().check()
        ctx["State"]["RetryCount"] = attempts.made
        try:
            return _attempt(book, state, raw_input, execution, ctx)
        except sfn._ExecutionError as error:
            timed_out = error.error in ("States.Timeout", "States.HeartbeatTimeout")
            kind = "TaskTimedOut" if timed_out else "TaskFailed"
            details = {"error": error.error, "cause": error.cause, **_resource(state)}
            add_event(execution, kind, {f"{kind[0].lower()}{kind[1:]}EventDetails": details})
            delay = attempts.delay_after(error.error)
            if delay is None:
                return caught(state, raw_input, ctx, error)
        lifetime.current().sleep(delay)


def caught(state: dict[str, Any], raw_input: Json, ctx: Json, error: Any) -> Step:
    """The Catch that takes the error. Raises it where there is none."""
    name, cause = error.error, error.cause
    catcher = sfn._find_matching_catcher(state.get("Catch", []), name)
    if catcher is None:
        raise error
    language = sfn._state_query_language(state, ctx)
    output = sfn._apply_catcher(catcher, raw_input, ctx, language, {"Error": name, "Cause": cause})
    return output, catcher["Next"]


def finished(state: dict[str, Any], raw_input: Json, ctx: Json, result: Json) -> Step:
    """The output of a state that called something, with its Assign done."""
    if sfn._state_query_language(state, ctx) == "JSONata":
        output = sfn._apply_jsonata_output(state, raw_input, ctx, result=result, default=result)
        sfn._apply_state_assign(state, raw_input, ctx, result=result)
    else:
        output = sfn._apply_result_path(state, raw_input, sfn._apply_result_selector(state, result))
        output = sfn._apply_output_path(state, output, ctx)
    return output, sfn._next_or_end(state)


def _attempt(book: TokenBook, state: dict[str, Any], raw_input: Json, execution: Json, ctx: Json) -> Step:
    outcome, token = Outcome(), ""
    under = lifetime.Lifetime(lifetime.current())
    if state["Resource"].endswith(CALLBACK):
        token = book.issue(outcome)
        ctx["Task"] = {"Token": token}
    try:
        arguments = _arguments(state, raw_input, ctx)
        timeout = _seconds(state, "TimeoutSeconds", raw_input, ctx)
        heartbeat = _seconds(state, "HeartbeatSeconds", raw_input, ctx) if token else None
        scheduled = {**_resource(state), "region": sfn.get_region(), "parameters": json.dumps(arguments)}
        add_event(execution, "TaskScheduled", {"taskScheduledEventDetails": scheduled})
        _call(state["Resource"], arguments, outcome, under)
        result = outcome.wait(under, timeout=timeout, heartbeat=heartbeat)
    finally:
        # A time-out leaves the call running; what it began, e.g. a child execution, is stopped.
        under.end()
        under.close()
        book.withdraw(token)
        ctx.pop("Task", None)
    succeeded = {**_resource(state), "output": json.dumps(result)}
    add_event(execution, "TaskSucceeded", {"taskSucceededEventDetails": succeeded})
    return finished(state, raw_input, ctx, result)


def _call(resource: str, arguments: Json, outcome: Outcome, under: lifetime.Lifetime) -> None:
    def call() -> None:
        lifetime.enter(under)
        try:
            result = sfn._invoke_resource(resource.removesuffix(CALLBACK), arguments)
        except lifetime.EndedError:
            return
        except sfn._ExecutionError as error:
            outcome.fail(error)
        except Exception as error:  # noqa: BLE001 -- whatever broke, the task must not hang
            outcome.fail(sfn._ExecutionError("States.Runtime", f"{type(error).__name__}: {error}"))
        else:
            if not resource.endswith(CALLBACK):
                outcome.succeed(result)

    context = contextvars.copy_context()  # carries the account and the region
    threading.Thread(target=context.run, args=(call,), name="tidegate-task", daemon=True).start()


def _arguments(state: dict[str, Any], raw_input: Json, ctx: Json) -> Json:
    if sfn._state_query_language(state, ctx) == "JSONata":
        return sfn._apply_jsonata_arguments(state, raw_input, ctx)
    return sfn._apply_parameters(state, sfn._apply_input_path(state, raw_input, ctx), ctx)


def _seconds(state: dict[str, Any], field: str, raw_input: Json, ctx: Json) -> float | None:
    if f"{field}Path" in state:
        return float(sfn._resolve_path_or_ctx(state[f"{field}Path"], raw_input, ctx))
    if field not in state:
        return None
    if sfn._state_query_language(state, ctx) == "JSONata":
        return float(sfn._jsonata_state_field(state, field, "number", raw_input, ctx))
    return float(state[field])


def _resource(state: dict[str, Any]) -> dict[str, str]:
    resource = state["Resource"]
    if resource.startswith("arn:aws:states:::"):
        service, _, action = resource.removeprefix("arn:aws:states:::").rpartition(":")
        if action == "2":  # startExecution.sync:2
            service, _, sync = service.rpartition(":")
            action = f"{sync}:2"
        return {"resourceType": service, "resource": action}
    return {"resourceType": "lambda" if ":function:" in resource else "activity", "resource": resource}
