"""Answering the tasks that wait: for an ECS deployment, a service's count, a build, the scan of an image, an alarm, a
person, a one-off task, a snapshot.

What is awaited is named `ecs-svc/…` (an ECS deployment's own id), `ecs-count/<cluster>/<service>`, `build/<id>`,
`scan/<repository>@<digest>`, `alarm/<name>`, `approval/<deployment>`, `ecs-task/<task's id>` or
`snapshot/<cluster or instance>/<identifier>`. An event, or the sweep, only says that it is
time to look: AWS's answer, or the ledger's, decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from tidegate.domain.build import judge as judge_build
from tidegate.domain.deployment import Deployment, FailureReport
from tidegate.domain.errors import NotFoundError
from tidegate.domain.intervention import APPROVED, Approval
from tidegate.domain.outcome import Outcome, OutcomeDocument
from tidegate.domain.rollout import RolloutOutcome, RolloutVerdict, ServiceState, judge
from tidegate.domain.scaling import judge_count
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import parse_iso
from tidegate.ports import Item, Ports

ROLLOUT, BUILD, SCAN, ALARM, APPROVAL = "ecs-svc/", "build/", "scan/", "alarm/", "approval/"
TASK, SNAPSHOT, COUNT = "ecs-task/", "snapshot/", "ecs-count/"
KINDS = (ROLLOUT, BUILD, SCAN, ALARM, APPROVAL, TASK, SNAPSHOT, COUNT)
# By its group, the event of a task tells that it migrates.
MIGRATION_GROUP = "tidegate-migrate-"
# The part of a release that is watched when all services have rolled; no service can have this name.
BAKE = "bake"
# How a timeline tells what ECS decided.
COMPLETED, FAILED = "ECS deployment completed", "ECS deployment failed"
REACHED = "desired count reached"


def awaited_build(build_id: str) -> str:
    return f"{BUILD}{build_id}"


def awaited_scan(repository: str, digest: str) -> str:
    return f"{SCAN}{repository}@{digest}"


def awaited_alarm(name: str) -> str:
    return f"{ALARM}{name}"


def awaited_approval(deployment_id: str) -> str:
    return f"{APPROVAL}{deployment_id}"


def awaited_task(arn: str) -> str:
    return f"{TASK}{arn.rsplit('/', 1)[-1]}"


def awaited_count(cluster: str, service: str) -> str:
    """Each by its name or its ARN."""
    return f"{COUNT}{cluster.rsplit('/', 1)[-1]}/{service.rsplit('/', 1)[-1]}"


def awaited_snapshot(kind: str, snapshot: str) -> str:
    return f"{SNAPSHOT}{kind}/{snapshot}"


def resume(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
    """Answer those of the waiting tasks that are decided; gives how many."""
    return sum(
        answer(ports, ledger, items)
        for items, answer in zip(by_kind(waiting), _ANSWERS, strict=True)
        if items
    )


def by_kind(waiting: Sequence[Item]) -> list[list[Item]]:
    """Those that wait for the same, in the order of KINDS."""
    return [[item for item in waiting if item["awaited"].startswith(kind)] for kind in KINDS]


def rolled_out(item: Mapping[str, Any], verdict: RolloutVerdict) -> dict[str, Any]:
    """What the task that waits with `item` is told; `smoke` is what its service is to be asked next."""
    return {**verdict.to_json(), "smoke": item.get("smoke")}


def _rollouts(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
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
            if ports.executions.succeed(item["token"], rolled_out(item, verdict)):
                resumed += 1
                done = verdict.outcome is RolloutOutcome.ROLLED
                detail = None if done else verdict.reason
                ledger.tell(item["deployment"], COMPLETED if done else FAILED, item["service"], detail)
            ledger.answered(item["awaited"], item["execution"], item["token"], item.get("deployment"))
    return resumed


def _builds(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
    resumed = 0
    runs = ports.builds.runs(sorted({item["awaited"].removeprefix(BUILD) for item in waiting}))
    for item in waiting:
        verdict = judge_build(runs.get(item["awaited"].removeprefix(BUILD)))
        if verdict is None:
            continue
        if ports.executions.succeed(item["token"], {**verdict.to_json(), "image": item["image"]}):
            resumed += 1
            ledger.tell(
                item["build"], "built" if verdict.built else "not built", item["image"], verdict.reason
            )
        ledger.answered(item["awaited"], item["execution"], item["token"])
    return resumed


def _scans(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
    """A task waits for all images of its build, with one token under each."""
    resumed = 0
    for item in {item["token"]: item for item in waiting}.values():
        images = [(image["repository"], image["digest"]) for image in item["images"]]
        if scans_pending(ports, images) and not _ended(ports, item):
            continue
        if ports.executions.succeed(item["token"], {"outcome": "Scanned"}):
            resumed += 1
        for repository, digest in images:
            ledger.answered(awaited_scan(repository, digest), item["execution"], item["token"])
    return resumed


def _ended(ports: Ports, item: Item) -> bool:
    """Whether the build went on without its scans, which may never come: then nobody waits any more."""
    build = BuildLedger(ports.store, ports.clock).find(item["build"])
    return build is not None and build.outcome is not None


def scans_pending(ports: Ports, images: Sequence[tuple[str, str]]) -> bool:
    """Whether ECR still scans one of the images, or has not begun: a scan on push appears a moment after the push."""
    scans = (ports.images.scan(repository, digest) for repository, digest in images)
    return any(scan is None or scan.pending for scan in scans)


def _alarms(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
    """A bake waits for all its alarms, with one token under each; the first that rings ends it."""
    resumed = 0
    for item in {item["token"]: item for item in waiting}.values():
        ringing = ports.alarms.in_alarm(item["alarms"])
        if not ringing:
            continue
        report = alarm_report(ringing)
        # Before the answer: why it was taken back is known when it is.
        ledger.save_report(item["deployment"], report)
        if ports.executions.succeed(item["token"], {"outcome": "Alarmed", "reason": report.summary()}):
            resumed += 1
            ledger.tell(item["deployment"], "an alarm rang during the bake", detail=", ".join(ringing))
        for name in item["alarms"]:
            ledger.answered(awaited_alarm(name), item["execution"], item["token"], item["deployment"])
    return resumed


def alarm_report(ringing: Sequence[str]) -> FailureReport:
    names = ", ".join(ringing)
    said = f"alarm {names} is in ALARM" if len(ringing) == 1 else f"alarms {names} are in ALARM"
    return FailureReport(BAKE, said, alarms=tuple(ringing))


def _approvals(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
    resumed = 0
    for item in waiting:
        place = item["system"], item["environment"]
        approval = Interventions(ports.store, ports.clock).approval(*place, item["deployment"])
        deployment = ledger.deployment(*place, item["deployment"])
        if approval is None or deployment is None or approval.decision is None:
            continue
        resumed += ports.executions.succeed(item["token"], decided(deployment, approval))
        ledger.answered(item["awaited"], item["execution"], item["token"], item["deployment"])
    return resumed


def decided(deployment: Deployment, approval: Approval) -> dict[str, Any]:
    """What the task that waits for a person is told. A rejection is a gate that said no: nothing has changed."""
    document = None
    if approval.decision != APPROVED:
        document = OutcomeDocument(
            Outcome.REFUSED, deployment.id, deployment.release_name, approval.told
        ).to_json()
    return {"outcome": approval.decision, "reason": approval.told, "fence": -1, "document": document}


# A task that began this moment may not be listed yet, nor a count be told that was just set (ECS is eventually
# consistent).
_UNLISTED_FOR = timedelta(minutes=2)


def _tasks(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
    resumed = 0
    for item in waiting:
        answer = _task_answer(ports, item)
        if answer is None:
            continue
        if ports.executions.succeed(item["token"], answer):
            resumed += 1
            detail = answer["reason"] or None
            ledger.tell(item["deployment"], "task ended", detail=detail)
        ledger.answered(item["awaited"], item["execution"], item["token"], item["deployment"])
    return resumed


def _task_answer(ports: Ports, item: Item) -> dict[str, Any] | None:
    """`{"outcome": "Exited" | "Failed", "reason"}`, None while it runs. One that is being stopped need not end well."""
    try:
        stopped = ports.containers.task(item["cluster"], item["task"])
    except NotFoundError:
        if ports.clock.now() < parse_iso(item["at"]) + _UNLISTED_FOR:
            return None
        return {"outcome": "Failed", "reason": "ECS has forgotten its task: how it ended is not known"}
    if stopped is None:
        return None
    if item.get("stopping") or stopped.exit_code(item["container"]) == 0:
        # The containers beside it are ended with it, by a signal.
        return {"outcome": "Exited", "reason": ""}
    failed = [entry for entry in stopped.containers if entry.get("exit_code") not in (None, 0)]
    said = ", ".join(f"container {entry['name']} exited with code {entry['exit_code']}" for entry in failed)
    return {"outcome": "Failed", "reason": said or stopped.reason or "its container never ran"}


def _snapshots(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
    resumed = 0
    for item in waiting:
        status = ports.backups.snapshot_status(item["kind_of"], item["snapshot"])
        if status == "creating" or (
            status is None and ports.clock.now() < parse_iso(item["at"]) + _UNLISTED_FOR
        ):
            continue
        made = status == "available"
        reason = "" if made else f"the snapshot {item['snapshot']} is {status or 'gone'}"
        if ports.executions.succeed(
            item["token"], {"outcome": "Made" if made else "Failed", "reason": reason}
        ):
            resumed += 1
            ledger.tell(
                item["deployment"], "snapshot made" if made else "no snapshot", detail=item["snapshot"]
            )
        ledger.answered(item["awaited"], item["execution"], item["token"], item["deployment"])
    return resumed


def _counts(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
    resumed = 0
    for item in waiting:
        name = item["ecs_service"]
        state = ports.containers.services(item["cluster"], [name]).get(name)
        late = ports.clock.now() >= parse_iso(item["at"]) + _UNLISTED_FOR
        verdict = judge_count(state, item, late=late)
        if verdict is None:
            continue
        if ports.executions.succeed(item["token"], rolled_out(item, verdict)):
            resumed += 1
            what = REACHED if verdict.outcome is RolloutOutcome.ROLLED else "desired count not reached"
            ledger.tell(item["deployment"], what, item["service"], verdict.reason)
        ledger.answered(item["awaited"], item["execution"], item["token"], item["deployment"])
    return resumed


# In the order of KINDS.
_ANSWERS: tuple[Callable[[Ports, Ledger, Sequence[Item]], int], ...] = (
    _rollouts,
    _builds,
    _scans,
    _alarms,
    _approvals,
    _tasks,
    _snapshots,
    _counts,
)
