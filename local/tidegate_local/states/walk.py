"""From state to state: the same walk for a machine, a branch and an iteration.

AWS: a state's output may have 262,144 bytes, else the run fails with States.DataLimitExceeded (Step
Functions service quotas), and the history shows the states inside branches and iterations.
MiniStack: knows no limit, and writes nothing of what happens inside Map and Parallel.
"""

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import now_iso
from ministack.services import stepfunctions as sfn

from tidegate_local.states import lifetime
from tidegate_local.states.history import add_event
from tidegate_local.states.holds import HOLDS

LARGEST_STATE_OUTPUT = 262_144

Json = Any


def walk(
    states: dict[str, Any],
    start_at: str,
    state_input: Json,
    execution: Json,
    ctx: Json,
    entering: Callable[[str, Json], None] = lambda _name, _given: None,
) -> Json:
    """Run from `start_at` to an end; its output. Raises `_ExecutionError`, `EndedError`.

    `entering` is told each state's name and input before the state is entered.
    """
    name: str | None = start_at
    while name is not None:
        lifetime.current().check()
        state = states.get(name)
        if state is None:
            raise sfn._ExecutionError("States.Runtime", f"State '{name}' not found in definition")
        entering(name, state_input)
        ctx["State"] = {"Name": name, "EnteredTime": now_iso(), "RetryCount": 0}
        entered = {"name": name, "input": json.dumps(state_input)}
        add_event(execution, f"{state['Type']}StateEntered", {"stateEnteredEventDetails": entered})
        HOLDS.stand(ctx)
        if state["Type"] == "Fail":
            raise sfn._ExecutionError(*sfn._fail_state_error(state, state_input, ctx))
        state_input, following = _run(state, state_input, execution, ctx)
        lifetime.current().check()
        output = json.dumps(state_input)
        if len(output.encode()) > LARGEST_STATE_OUTPUT:
            raise sfn._ExecutionError(
                "States.DataLimitExceeded",
                f"The state/task '{name}' returned a result with a size exceeding "
                "the maximum number of bytes service limit.",
            )
        exited = {"name": name, "output": output}
        add_event(execution, f"{state['Type']}StateExited", {"stateExitedEventDetails": exited})
        name = following
    return state_input


def _run(state: dict[str, Any], state_input: Json, execution: Json, ctx: Json) -> tuple[Json, str | None]:
    kind = state["Type"]
    if kind == "Succeed":
        return _succeed(state, state_input, ctx), None
    # Looked up at each state: other mends replace them.
    with_execution: dict[str, Callable[..., Any]] = {
        "Task": sfn._execute_task,
        "Parallel": sfn._execute_parallel,
        "Map": sfn._execute_map,
    }
    without: dict[str, Callable[..., Any]] = {
        "Pass": sfn._execute_pass,
        "Choice": sfn._execute_choice,
        "Wait": sfn._execute_wait,
    }
    if kind in with_execution:
        step: tuple[Json, str | None] = with_execution[kind](state, state_input, execution, ctx)
    elif kind in without:
        step = without[kind](state, state_input, ctx)
    else:
        raise sfn._ExecutionError("States.Runtime", f"Unknown state type: {kind}")
    return step


def _succeed(state: dict[str, Any], state_input: Json, ctx: Json) -> Json:
    if sfn._state_query_language(state, ctx) == "JSONata":
        return sfn._apply_jsonata_output(state, state_input, ctx, default=state_input)
    return sfn._apply_output_path(state, sfn._apply_input_path(state, state_input, ctx), ctx)
