"""The control side sewn into MiniStack's interpreter."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial

from ministack.services import stepfunctions as sfn

from tidegate_local.seam import expect, expect_attributes, graft
from tidegate_local.states import (
    branches,
    children,
    executions,
    history,
    lifetime,
    redrives,
    retries,
    run_task,
    task,
    tokens,
)


@dataclass(frozen=True, slots=True)
class Engine:
    """What the parts share."""

    book: tokens.TokenBook = field(default_factory=tokens.TokenBook)
    running: executions.Executions = field(default_factory=executions.Executions)


def install(engine: Engine, without: AbstractSet[str]) -> None:
    """Install every part but those left out. Raises `MendDoesNotFitError`."""
    expect_attributes(
        sfn, "_executions", "_state_machines", "_task_tokens", "_SFN_WAIT_SCALE", "_SERVICE_DISPATCH"
    )
    for name, signature in LEANED_ON.items():
        expect(sfn, name, signature=signature)
    graft(sfn, "_add_event", history.add_event, signature="(execution, event_type, details=None)")
    for name, part in PARTS.items():
        if name not in without:
            part(engine)


def _task(engine: Engine) -> None:
    graft(
        sfn,
        "_execute_task",
        partial(task.execute, engine.book),
        signature="(state_def, raw_input, execution, ctx)",
        shows='state_def["TimeoutSeconds"]',
    )


def _branches(_: Engine) -> None:
    signature = "(state_def, raw_input, execution, ctx)"
    graft(sfn, "_execute_map", branches.execute_map, signature=signature)
    graft(sfn, "_execute_parallel", branches.execute_parallel, signature=signature)


def _error_matching(_: Engine) -> None:
    graft(sfn, "_error_matches", retries.matches, signature="(error_equals, error)")


def _waits(_: Engine) -> None:
    graft(sfn, "_scaled_sleep", _sleep, signature="(seconds)", shows="time.sleep(scaled)")


def _sleep(seconds: float) -> None:
    lifetime.current().sleep(seconds * float(sfn._SFN_WAIT_SCALE))


PARTS: dict[str, Callable[[Engine], object]] = {
    "states.tokens": lambda engine: tokens.SendTask(engine.book),
    "states.executions": lambda engine: executions.install(engine.running),
    "states.redrives": lambda engine: redrives.install(engine.running),
    "states.children": lambda engine: children.install(engine.running),
    "states.run_task": lambda _: run_task.install(),
    "states.task": _task,
    "states.branches": _branches,
    "states.error_matching": _error_matching,
    "states.waits": _waits,
}

LEANED_ON = {
    "_apply_catcher": "(catcher, raw_input, ctx, query_language, error_output)",
    "_apply_input_path": "(state_def, data, ctx=None)",
    "_apply_jsonata_arguments": "(state_def, raw_input, ctx=None)",
    "_apply_jsonata_output": "(state_def, raw_input, ctx=None, result=None, error_output=None, default=None)",
    "_apply_jsonata_template": "(value, raw_input, ctx=None, result=None, error_output=None)",
    "_apply_output_path": "(state_def, data, ctx=None)",
    "_apply_parameters": "(state_def, data, ctx=None)",
    "_apply_result_path": "(state_def, original, result)",
    "_apply_result_selector": "(state_def, data)",
    "_apply_state_assign": "(state_def, raw_input, ctx, result=None, error_output=None)",
    "_execute_choice": "(state_def, raw_input, ctx=None)",
    "_execute_pass": "(state_def, raw_input, ctx=None)",
    "_execute_wait": "(state_def, raw_input, ctx=None)",
    "_fail_state_error": "(state_def, raw_input, ctx=None)",
    "_find_matching_catcher": "(catchers, error)",
    "_invoke_resource": "(resource, input_data)",
    "_jsonata_state_field": "(state_def, field, expected, raw_input, ctx)",
    "_next_or_end": "(state_def)",
    "_resolve_params_obj": "(template, data, ctx=None)",
    "_resolve_path_or_ctx": "(path, data, ctx)",
    "_resolve_state_machine_arn": "(arn)",
    "_run_map_items": "(state_def, raw_input, execution, ctx)",
    "_state_query_language": "(state_def, ctx=None)",
}
"""What MiniStack goes on doing, as it was when the control side was written."""
