"""Answering the tasks that wait: for an ECS deployment, a build, the scan of an image.

What is awaited is named `ecs-svc/…` (an ECS deployment's own id), `build/<CodeBuild's id>` or
`scan/<repository>@<digest>`. An event, or the sweep, only says that it is time to look: AWS's answer decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.domain.build import judge as judge_build
from tidegate.domain.rollout import RolloutOutcome, ServiceState, judge
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.records import Ledger
from tidegate.ports import Item, Ports

BUILD, SCAN = "build/", "scan/"
# How a timeline tells what ECS decided.
COMPLETED, FAILED = "ECS deployment completed", "ECS deployment failed"


def awaited_build(build_id: str) -> str:
    return f"{BUILD}{build_id}"


def awaited_scan(repository: str, digest: str) -> str:
    return f"{SCAN}{repository}@{digest}"


def resume(ports: Ports, ledger: Ledger, waiting: Sequence[Item]) -> int:
    """Answer those of the waiting tasks that are decided; gives how many."""
    rollouts, builds, scans = by_kind(waiting)
    resumed = _rollouts(ports, ledger, rollouts) if rollouts else 0
    resumed += _builds(ports, ledger, builds) if builds else 0
    return resumed + (_scans(ports, ledger, scans) if scans else 0)


def by_kind(waiting: Sequence[Item]) -> tuple[list[Item], list[Item], list[Item]]:
    """Those that wait for ECS, for CodeBuild and for ECR."""
    builds = [item for item in waiting if item["awaited"].startswith(BUILD)]
    scans = [item for item in waiting if item["awaited"].startswith(SCAN)]
    return [item for item in waiting if item not in builds and item not in scans], builds, scans


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
            if ports.executions.succeed(item["token"], verdict.to_json()):
                resumed += 1
                done = verdict.outcome is RolloutOutcome.ROLLED
                detail = None if done else verdict.reason
                ledger.tell(item["deployment"], COMPLETED if done else FAILED, item["service"], detail)
            ledger.answered(item["awaited"], item["execution"], item["token"])
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
