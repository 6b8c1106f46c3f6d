"""Function `wake`: receives events. An event is a hint: what AWS says when asked decides.

`Image Published` starts a deployment, once, a push starts builds, a secret that somebody changed starts its consumers
again; events of ECS, CodeBuild, ECR and CloudWatch resume the runs that wait for them, or write what on-call wants to
see at once (the first task that stopped with an error).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidegate.domain.deployment import Line
from tidegate.domain.errors import BadInputError, NotFoundError, RefusalError
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.steps.announce import announce_refusal
from tidegate.steps.resuming import (
    MIGRATION_GROUP,
    awaited_alarm,
    awaited_count,
    awaited_scan,
    awaited_snapshot,
    awaited_task,
    resume,
)

# RDS user guide, "Amazon RDS event categories and event messages".
_SNAPSHOT_EVENTS = {"RDS DB Cluster Snapshot Event": "cluster", "RDS DB Snapshot Event": "instance"}


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """An EventBridge event; gives `{"did": …}` for the log. Raises only what a retry may mend."""
    detail_type = str(event.get("detail-type"))
    if detail_type == "Image Published":
        return _published(event, ports)
    if detail_type in _OF_AWS:
        return _OF_AWS[detail_type](event, ports)
    if detail_type in _SNAPSHOT_EVENTS:
        identifier = str(event["detail"].get("SourceIdentifier"))
        return _decided(ports, awaited_snapshot(_SNAPSHOT_EVENTS[detail_type], identifier))
    if detail_type == "Secret Label Updated":
        from tidegate.steps.secret_changes import secret_changed  # noqa: PLC0415 -- manifests, only for secrets

        return secret_changed(event, ports)
    if detail_type == "CodeBuild Build State Change":
        from tidegate.steps.builds_seen import build_changed  # noqa: PLC0415 -- manifests, only for builds

        return build_changed(event, ports)
    if detail_type in ("CodeCommit Repository State Change", "GitHub Push"):
        from tidegate.steps.pushes import pushed  # noqa: PLC0415 -- likewise

        return pushed(event, ports)
    return {"did": "nothing", "why": f"no use for {detail_type!r}"}


def _published(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    # Parsed only here: the ECS events, which come while somebody waits, do not pay for it.
    from tidegate.domain.request import Published, parse_published  # noqa: PLC0415
    from tidegate.steps.releasing import release, release_once_scanned  # noqa: PLC0415

    try:
        published: Published = parse_published(event.get("detail"))
        environment = published.environment or _only_environment(ports, published.system)
        manifest = ports.registry.manifest(published.system, environment)
        if manifest is None:
            raise NotFoundError(
                f"system {published.system} is not registered in environment {environment}",
                field="system",
                hint=f"tidegate apply --environment {environment}",
            )
    except RefusalError as error:
        return _refuse(event, ports, error)
    start = release_once_scanned if _asks_for_scan(manifest, environment) else release
    return start(ports, published, environment, event_id=str(event.get("id")), at=event.get("time"))


def _asks_for_scan(manifest: Any, environment: str) -> bool:
    """Looked up, not parsed: whatever else is wrong with the manifest is for the plan to refuse."""
    try:
        return bool(manifest["environments"][environment].get("scan"))
    except (AttributeError, KeyError, TypeError):
        return False


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


def _refuse(event: Mapping[str, Any], ports: Ports, error: RefusalError) -> Mapping[str, Any]:
    detail = event.get("detail")
    said: Mapping[str, Any] = detail if isinstance(detail, Mapping) else {}
    mend = f" ({error.hint})" if error.hint else ""
    reason = f"{error.field}: {error.message}{mend}"
    announce_refusal(ports, said, reason)
    return {"did": "refused", "why": reason}


def _ecs_deployment(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    return _decided(ports, str(event["detail"].get("deploymentId")))


def _ecs_service(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """A service is steady: it may have the count that somebody waits for."""
    resources = event.get("resources") or [""]
    return _decided(ports, awaited_count(str(event["detail"].get("clusterArn")), str(resources[0])))


def _scan(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    detail = event["detail"]
    return _decided(ports, awaited_scan(str(detail.get("repository-name")), str(detail.get("image-digest"))))


def _alarm(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """It may end a bake, and ring the guard of what succeeded before."""
    name = str(event["detail"].get("alarmName"))
    done = _decided(ports, awaited_alarm(name))
    ledger = Ledger(ports.store, ports.clock)
    guards = ledger.guards(name)
    if not guards:
        return done
    from tidegate.steps.guarding import look  # noqa: PLC0415 -- only where there is a guard

    return {**done, "did": "looked", "rolled_back": sum(look(ports, ledger, guard) for guard in guards)}


def _decided(ports: Ports, awaited: str) -> Mapping[str, Any]:
    ledger = Ledger(ports.store, ports.clock)
    waiting = ledger.waiting_for(awaited)
    if not waiting:
        return {"did": "nothing", "why": "nobody waits for it"}
    return {"did": "looked", "resumed": resume(ports, ledger, waiting)}


def _ecs_task(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """A task of a deployment that somebody waits for stopped with an error: say so at once. One that migrates is
    waited for itself."""
    detail = event["detail"]
    if str(detail.get("group", "")).startswith(MIGRATION_GROUP) and detail.get("lastStatus") == "STOPPED":
        return _decided(ports, awaited_task(str(detail.get("taskArn"))))
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


_OF_AWS: Mapping[str, Callable[[Mapping[str, Any], Ports], Mapping[str, Any]]] = {
    "ECS Deployment State Change": _ecs_deployment,
    "ECS Task State Change": _ecs_task,
    "ECS Service Action": _ecs_service,
    "ECR Image Scan": _scan,
    "CloudWatch Alarm State Change": _alarm,
}
