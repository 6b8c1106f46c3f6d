"""What a simulated container prints, sent where its task definition's awslogs driver would send it.

Stream `<prefix>/<container>/<task id>` (ECS developer guide, "Send Amazon ECS logs to CloudWatch"). Like
the driver, nothing is written to a group that neither exists nor may be created.
"""

from ministack.services import ecs

from tidegate_local.ecs.records import Record

START_LINE = "starting {container}, image {image}"
CRASH_LINES = (
    "Traceback (most recent call last):",
    '  File "/app/main.py", line 14, in <module>',
    "    settings = load_settings()",
    "RuntimeError: fault injected by the embedded cloud",
    "process exited with code {exit_code}",
)


def write_start(task: Record) -> None:
    """One line at start."""
    _write(task, (START_LINE,), exit_code=0)


def write_crash(task: Record, exit_code: int) -> None:
    """What a failure report has to find."""
    _write(task, CRASH_LINES, exit_code=exit_code)


def _write(task: Record, lines: tuple[str, ...], *, exit_code: int) -> None:
    definition = ecs._task_defs.get(task["taskDefinitionArn"].rsplit("/", 1)[-1])
    task_id = task["taskArn"].rsplit("/", 1)[-1]
    for container in definition["containerDefinitions"] if definition else ():
        config = ecs._awslogs_config(container, task_id, task_id)
        if config and ecs._ensure_awslogs_stream(config):
            for line in lines:
                text = line.format(container=container["name"], image=container["image"], exit_code=exit_code)
                ecs._emit_awslogs_event(config, text)
