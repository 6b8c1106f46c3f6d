"""Map and Parallel: many runs of one state, that fail together.

AWS: each iteration and branch has a scope of its own, an uncaught error in one ends the others and fails
the state, and JSONata's Arguments, Output and Assign work on Parallel as on every state (Step Functions
developer guide, "Map workflow state", "Parallel workflow state", "Passing data with variables").
MiniStack: lets the siblings of a failed iteration run to their end, shares variables between branches,
and ignores JSONata fields of Parallel.
A distributed Map is left to MiniStack, which knows it for JSONPath only.
"""

import contextvars
import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ministack.services import stepfunctions as sfn

from tidegate_local.states import lifetime
from tidegate_local.states.history import add_event
from tidegate_local.states.retries import Attempts
from tidegate_local.states.task import Step, caught, finished
from tidegate_local.states.walk import walk

Json = Any
Run = Callable[[], Json]


def execute_map(state: dict[str, Any], raw_input: Json, execution: Json, ctx: Json) -> Step:
    """Replaces MiniStack's `_execute_map`."""
    processor = state.get("ItemProcessor") or state.get("Iterator", {})
    if (processor.get("ProcessorConfig") or {}).get("Mode") == "DISTRIBUTED":
        return _with_retry_and_catch(
            state, raw_input, ctx, lambda: sfn._run_map_items(state, raw_input, execution, ctx)
        )

    def attempt() -> Step:
        items = _items(state, raw_input, ctx)
        add_event(execution, "MapStateStarted", {"mapStateStartedEventDetails": {"length": len(items)}})
        name = ctx["State"]["Name"]

        def iteration(index: int, item: Json) -> Json:
            scope = copy.deepcopy(ctx)
            scope["Map"] = {"Item": {"Index": index, "Value": item}}
            about = {"name": name, "index": index}
            add_event(execution, "MapIterationStarted", {"mapIterationStartedEventDetails": about})
            item_input = _item_input(state, raw_input, item, scope)
            output = walk(processor["States"], processor["StartAt"], item_input, execution, scope)
            add_event(execution, "MapIterationSucceeded", {"mapIterationSucceededEventDetails": about})
            return output

        runs = [partial(iteration, index, item) for index, item in enumerate(items)]
        results = _together(runs, _concurrency(state, raw_input, ctx) or len(runs))
        add_event(execution, "MapStateSucceeded")
        return finished(state, raw_input, ctx, results)

    return _with_retry_and_catch(state, raw_input, ctx, attempt)


def execute_parallel(state: dict[str, Any], raw_input: Json, execution: Json, ctx: Json) -> Step:
    """Replaces MiniStack's `_execute_parallel`."""

    def attempt() -> Step:
        add_event(execution, "ParallelStateStarted")
        if sfn._state_query_language(state, ctx) == "JSONata":
            branch_input = sfn._apply_jsonata_arguments(state, raw_input, ctx)
        else:
            branch_input = sfn._apply_parameters(state, sfn._apply_input_path(state, raw_input, ctx), ctx)

        def branch(definition: dict[str, Any]) -> Json:
            own = copy.deepcopy(branch_input)
            return walk(definition["States"], definition["StartAt"], own, execution, copy.deepcopy(ctx))

        runs = [partial(branch, definition) for definition in state["Branches"]]
        results = _together(runs, len(runs))
        add_event(execution, "ParallelStateSucceeded")
        return finished(state, raw_input, ctx, results)

    return _with_retry_and_catch(state, raw_input, ctx, attempt)


def _with_retry_and_catch(
    state: dict[str, Any], raw_input: Json, ctx: Json, attempt: Callable[[], Step]
) -> Step:
    attempts = Attempts(state.get("Retry", []))
    entered = ctx["State"]
    while True:
        ctx["State"] = {**entered, "RetryCount": attempts.made}
        try:
            return attempt()
        except sfn._ExecutionError as error:
            delay = attempts.delay_after(error.error)
            if delay is None:
                return caught(state, raw_input, ctx, error)
        lifetime.current().sleep(delay)


def _together(runs: Sequence[Run], concurrency: int) -> list[Json]:
    """All results, in order; or the first error, after the other runs were ended."""
    if not runs:
        return []
    under = lifetime.Lifetime(lifetime.current())
    first_error: list[BaseException] = []

    def one(run: Run) -> Json:
        lifetime.enter(under)
        try:
            under.check()
            return run()
        except lifetime.EndedError:
            return None
        except BaseException as error:  # noqa: BLE001 -- it is raised again for the state
            first_error.append(error)
            under.end()
            return None

    with ThreadPoolExecutor(concurrency, thread_name_prefix="tidegate-branch") as pool:
        # One copy each: a context cannot be entered by two threads at once.
        futures = [pool.submit(contextvars.copy_context().run, one, run) for run in runs]
    under.close()
    lifetime.current().check()
    if first_error:
        error = first_error[0]
        raise (
            error
            if isinstance(error, sfn._ExecutionError)
            else sfn._ExecutionError("States.Runtime", f"{type(error).__name__}: {error}")
        )
    return [future.result() for future in futures]


def _items(state: dict[str, Any], raw_input: Json, ctx: Json) -> list[Json]:
    if sfn._state_query_language(state, ctx) == "JSONata":
        items = (
            sfn._jsonata_state_field(state, "Items", "array", raw_input, ctx)
            if "Items" in state
            else raw_input
        )
    else:
        effective = sfn._apply_input_path(state, raw_input, ctx)
        items = sfn._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, ctx)
    if not isinstance(items, list):
        raise sfn._ExecutionError("States.Runtime", "A Map state iterates over an array.")
    return items


def _item_input(state: dict[str, Any], raw_input: Json, item: Json, scope: Json) -> Json:
    selector = state.get("ItemSelector") or state.get("Parameters")
    if not selector:
        return copy.deepcopy(item)
    if sfn._state_query_language(state, scope) == "JSONata":
        return sfn._apply_jsonata_template(selector, raw_input, scope)
    return sfn._resolve_params_obj(selector, sfn._apply_input_path(state, raw_input, scope), scope)


def _concurrency(state: dict[str, Any], raw_input: Json, ctx: Json) -> int:
    if "MaxConcurrency" not in state:
        return 0
    if sfn._state_query_language(state, ctx) == "JSONata":
        return int(sfn._jsonata_state_field(state, "MaxConcurrency", "number", raw_input, ctx))
    return int(state["MaxConcurrency"])
