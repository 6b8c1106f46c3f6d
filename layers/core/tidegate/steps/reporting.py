"""Why a rollout failed, gathered while ECS still remembers: about an hour for stopped tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.causes import readable
from tidegate.domain.deployment import Deployment, FailureReport, Line, Rollout
from tidegate.domain.redaction import redacted
from tidegate.domain.rollout import Direction, ServiceState
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports, StoppedTask, TaskDefinition
from tidegate.steps.scaling import why_not

LOG_LINES = 20
_TASKS = 5
_EVENTS = 10


def report_failure(
    event: Mapping[str, Any], ports: Ports, ledger: Ledger, deployment: Deployment
) -> Mapping[str, Any]:
    """Put the report of one service into the ledger; gives `{"service", "outcome", "summary"}`."""
    key, outcome, reason = event["service"], event["outcome"], readable(event.get("reason") or "")
    if deployment.scales:
        why = why_not(ports, deployment)
        reason = why if reason in ("", why) else f"{why} ({reason})"
    rollout = ledger.rollout(deployment.id, key, Direction(event["direction"]))
    report = replace(gather(ports, deployment, key, rollout, reason), direction=Direction(event["direction"]))
    if deployment.outcome is not None:
        # An execution that was redriven: the report says why it failed, not that its fence is void by now.
        return {"service": key, "outcome": outcome, "summary": report.summary()[:300]}
    ledger.save_report(deployment.id, report)
    line = Line(ledger.now(), "rollout failed", key, report.summary())
    if rollout is not None:
        ended = replace(rollout, outcome=outcome, reason=reason)
        ledger.save_rollout(deployment, ended, line, fence=int(event["fence"]))
    ports.metrics.count("RolloutFailed", system=deployment.system, environment=deployment.environment)
    return {"service": key, "outcome": outcome, "summary": report.summary()[:300]}


def gather(
    ports: Ports, deployment: Deployment, key: str, rollout: Rollout | None, reason: str
) -> FailureReport:
    plan = None if deployment.plan is None else deployment.plan.service(key)
    if plan is None or deployment.plan is None or rollout is None or rollout.ecs_deployment is None:
        return FailureReport(key, reason)
    cluster = deployment.plan.cluster
    state = ports.containers.services(cluster, [plan.service]).get(plan.service)
    stopped = ports.containers.stopped_tasks(cluster, plan.service, rollout.ecs_deployment)[:_TASKS]
    alarms = ports.alarms.in_alarm(state.alarms) if state is not None and state.alarms else []
    return FailureReport(
        key,
        reason,
        tuple(line for task in stopped for line in task_lines(ports, task)),
        tuple(_events_since(state, rollout.started_at)),
        tuple(alarms),
    )


def task_lines(ports: Ports, task: StoppedTask) -> Iterable[Mapping[str, Any]]:
    """A line per container that stopped with an error; one for the task where none did."""
    failed = [
        entry for entry in task.containers if entry.get("exit_code") not in (None, 0) or entry.get("reason")
    ]
    definition = ports.containers.task_definition(task.task_definition)
    for entry in failed or [{}]:
        name = entry.get("name")
        yield {
            "task": task.id,
            "reason": entry.get("reason") or task.reason,
            "stop_code": task.stop_code,
            "container": name,
            "exit_code": entry.get("exit_code"),
            "logs": []
            if name is None or definition is None
            else _last_lines(ports, definition, name, task.id),
        }


def _last_lines(ports: Ports, definition: TaskDefinition, container: str, task: str) -> list[str]:
    """The end of an `awslogs` stream, `prefix/container/task` (ECS developer guide, "awslogs log driver")."""
    for entry in definition.content["containerDefinitions"]:
        logging = entry.get("logConfiguration") or {}
        options = logging.get("options") or {}
        prefix = options.get("awslogs-stream-prefix")
        if entry["name"] == container and logging.get("logDriver") == "awslogs" and prefix:
            lines = ports.logs.tail(options["awslogs-group"], f"{prefix}/{container}/{task}", LOG_LINES)
            return [redacted(line) for line in lines]
    return []


def _events_since(state: ServiceState | None, started_at: str) -> list[str]:
    if state is None:
        return []
    return [entry["message"] for entry in state.events if entry["at"] >= started_at][:_EVENTS]
