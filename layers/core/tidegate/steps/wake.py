"""Function `wake`: receives events. An event is a hint: what AWS says when asked decides.

`Image Published` starts a deployment, once; the ECS events resume the runs that wait for an ECS deployment, or write
what on-call wants to see at once (the first task that stopped with an error).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.domain.deployment import Line
from tidegate.domain.errors import BadInputError, NotFoundError, RefusalError
from tidegate.domain.outcome import Outcome
from tidegate.domain.rollout import RolloutOutcome, ServiceState, judge
from tidegate.ledger.records import Ledger
from tidegate.ports import Item, Ports

_NAME_LIMIT = 80
# How a timeline tells what ECS decided.
COMPLETED, FAILED = "ECS deployment completed", "ECS deployment failed"


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """An EventBridge event; gives `{"did": …}` for the log. Raises only what a retry may mend."""
    detail_type = event.get("detail-type")
    if detail_type == "Image Published":
        return _published(event, ports)
    if detail_type == "ECS Deployment State Change":
        return _ecs_deployment(event, ports)
    if detail_type == "ECS Task State Change":
        return _ecs_task(event, ports)
    return {"did": "nothing", "why": f"no use for {detail_type!r}"}


def _published(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    # Parsed only here: the ECS events, which come while somebody waits, do not pay for it.
    from tidegate.domain.request import Published, parse_published  # noqa: PLC0415

    try:
        published: Published = parse_published(event.get("detail"))
        environment = published.environment or _only_environment(ports, published.system)
        if ports.registry.manifest(published.system, environment) is None:
            raise NotFoundError(
                f"system {published.system} is not registered in environment {environment}",
                field="system",
                hint=f"tidegate apply --environment {environment}",
            )
    except RefusalError as error:
        return _refuse(event, ports, error)
    ledger = Ledger(ports.store, ports.clock)
    hash_ = published.hash(environment)
    name = f"{published.system}-{environment}"[: _NAME_LIMIT - 1 - len(hash_)] + f"-{hash_}"
    known = ledger.seen(hash_)
    if known is None:
        # Marked before the start and under a name that works once: a crash in between is mended by the retry.
        ledger.mark_seen(hash_, {"name": name})
    elif known.get("started"):
        return _duplicate(ledger, known, event)
    started = ports.executions.start("deploy", name, published.to_input(environment))
    ledger.mark_seen(
        hash_,
        {
            "name": name,
            "started": True,
            "execution": started.arn,
            "system": published.system,
            "environment": environment,
        },
    )
    return {"did": "started" if started.new else "found running", "execution": started.arn}


def _only_environment(ports: Ports, system: str) -> str:
    environments = ports.registry.environments(system)
    if len(environments) == 1:
        return environments[0]
    if not environments:
        raise NotFoundError(
            f"system {system} is not registered here", field="system", hint="tidegate apply --environment …"
        )
    raise BadInputError(
        f"{system} has several environments here: {', '.join(environments)}",
        field="environment",
        hint="name one in the event's detail",
    )


def _duplicate(ledger: Ledger, known: Item, event: Mapping[str, Any]) -> Mapping[str, Any]:
    """A line in the timeline of the deployment that the first event started, never a row of the history."""
    for deployment in ledger.history(known["system"], known["environment"], limit=50):
        if deployment.execution == known["execution"]:
            line = Line(
                str(event.get("time") or ledger.now()), "the same event came again", detail=event.get("id")
            )
            ledger.tell_once(deployment.id, str(event.get("id")), line)
            break
    return {"did": "dropped a duplicate", "execution": known["execution"]}


def _refuse(event: Mapping[str, Any], ports: Ports, error: RefusalError) -> Mapping[str, Any]:
    detail = event.get("detail")
    said: Mapping[str, Any] = detail if isinstance(detail, Mapping) else {}
    mend = f" ({error.hint})" if error.hint else ""
    reason = f"{error.field}: {error.message}{mend}"
    ports.bus.emit(
        Outcome.REFUSED.event,
        {
            **{name: _text(said.get(name)) for name in ("system", "environment", "commit", "actor")},
            "deployment": None,
            "release": None,
            "outcome": Outcome.REFUSED.value,
            "reason": reason,
            "severity": "warning",
            "started_at": None,
            "finished_at": None,
            "services": {},
        },
    )
    ports.metrics.count("EventRefused")
    return {"did": "refused", "why": reason}


def _text(value: object) -> str | None:
    return value[:100] if isinstance(value, str) else None


def _ecs_deployment(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    ledger = Ledger(ports.store, ports.clock)
    identity = event["detail"].get("deploymentId")
    waiting = ledger.waiting_for(identity) if isinstance(identity, str) else []
    if not waiting:
        return {"did": "nothing", "why": "nobody waits for it"}
    return {"did": "looked", "resumed": resume(ports, ledger, waiting)}


def resume(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
    """Answer those of the waiting tasks whose ECS deployment is decided, by what ECS says now."""
    resumed = 0
    by_cluster: dict[str, list[Item]] = {}
    for item in waiting:
        by_cluster.setdefault(item["cluster"], []).append(item)
    for cluster, items in by_cluster.items():
        names = sorted({item["ecs_service"] for item in items})
        states: Mapping[str, ServiceState] = ports.containers.services(cluster, names)
        for item in items:
            verdict = judge(states.get(item["ecs_service"]), item["awaited"])
            if verdict is None:
                continue
            if ports.executions.succeed(item["token"], verdict.to_json()):
                resumed += 1
                done = verdict.outcome is RolloutOutcome.ROLLED
                detail = None if done else verdict.reason
                ledger.tell(item["deployment"], COMPLETED if done else FAILED, item["service"], detail)
            ledger.answered(item["awaited"], item["execution"], item["token"])
    return resumed


def _ecs_task(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """A task of a deployment that somebody waits for stopped with an error: say so at once."""
    detail = event["detail"]
    failed = [entry for entry in detail.get("containers", []) if entry.get("exitCode") not in (None, 0)]
    started = detail.get("stopCode") == "TaskFailedToStart"
    if detail.get("lastStatus") != "STOPPED" or not (failed or started):
        return {"did": "nothing", "why": "not a failure"}
    ledger = Ledger(ports.store, ports.clock)
    waiting = ledger.waiting_for(str(detail.get("startedBy")))
    task = str(detail.get("taskArn", "")).rsplit("/", 1)[-1]
    said = ", ".join(
        f"container {entry.get('name')} exited with code {entry['exitCode']}" for entry in failed
    )
    at = str(detail.get("stoppedAt") or event.get("time") or ledger.now())
    for item in waiting:
        line = Line(
            at, "a task stopped", item["service"], f"{said or detail.get('stoppedReason')} (task {task})"
        )
        ledger.tell_once(item["deployment"], f"task-{task}", line)
    return {"did": "told", "tasks": len(waiting)}
