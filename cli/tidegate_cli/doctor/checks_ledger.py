"""Is anything of the ledger left behind: waiting for what will not come, held by whom has gone?

The sweep mends all of it within two minutes; what is older says that the sweep does not run, or cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from tidegate.domain.outcome import Outcome
from tidegate.ledger.builds import BuildLedger
from tidegate.ledger.locks import Locks
from tidegate.ledger.time import parse_iso
from tidegate.ports import Execution, Item
from tidegate.steps.resuming import BUILD, SCAN

from tidegate_cli.doctor.findings import Finding, error, ok, warning
from tidegate_cli.doctor.inspection import Inspection

_GRACE = timedelta(minutes=5)
# Parameters of the template, and their defaults in seconds.
_TIME_OUTS = {
    BUILD: ("BuildTimeoutSeconds", 7200),
    SCAN: ("ScanTimeoutSeconds", 900),
    "": ("RolloutTimeoutSeconds", 1800),
}
_SWEEP = "the sweep should have ended it: look at its log and its alarms (docs/operations.md)"


def tokens(inspection: Inspection) -> Iterator[Finding]:
    """Task tokens that are older than the task that waits with them can be."""
    name = "waiting tasks"
    waiting = _open(inspection, "token")
    old = [item for item in waiting if _age(inspection, item) > _allowed(inspection, item) + _GRACE]
    for item in old:
        yield warning(
            name,
            f"a task has waited for {item['awaited']} since {item['at']}, longer than it may",
            f"execution {item['execution']} has given up, or will; {_SWEEP}",
        )
    if not old:
        yield ok(name, f"{len(waiting)} wait, none for too long")


def runs(inspection: Inspection) -> Iterator[Finding]:
    """Deployments and builds that are open although their execution has ended."""
    name = "runs"
    items = [*_open(inspection, "deployment"), *_open(inspection, "build")]
    dead = 0
    for item in items:
        finding = _dead_run(inspection, name, item)
        if finding is not None:
            dead += 1
            yield finding
    if not dead:
        yield ok(name, f"{len(items)} under way, each with its execution")


def locks(inspection: Inspection) -> Iterator[Finding]:
    name = "locks"
    held = [item for item in _open(inspection, "lock") if item.get("owner")]
    stuck = 0
    for item in held:
        finding = _stuck_lock(inspection, name, item["system"], item["environment"])
        if finding is not None:
            stuck += 1
            yield finding
    if not stuck:
        yield ok(name, f"{len(held)} held, each by a run under way")


def _open(inspection: Inspection, type_: str) -> list[Item]:
    return [item for item in inspection.ledger.open_items() if item.get("type") == type_]


def _age(inspection: Inspection, item: Item) -> timedelta:
    return inspection.now - parse_iso(item["at"])


def _allowed(inspection: Inspection, item: Item) -> timedelta:
    awaited = str(item["awaited"])
    parameter, default = next(value for prefix, value in _TIME_OUTS.items() if awaited.startswith(prefix))
    found = inspection.installation
    given = "" if found is None else found.parameters.get(parameter, "")
    return timedelta(seconds=int(given) if given.isdecimal() else default)


def _dead_run(inspection: Inspection, name: str, item: Item) -> Finding | None:
    # The index may be behind: the item itself decides.
    if item["type"] == "build":
        build = BuildLedger(inspection.ports.store, inspection.ports.clock).build(item["system"], item["id"])
        if build is None or build.outcome is not None:
            return None
        what, carrier = f"build {build.id} of {build.system}", build.execution
    else:
        deployment = inspection.ledger.deployment(item["system"], item["environment"], item["id"])
        if deployment is None or deployment.outcome is not None:
            return None
        place = f"{deployment.system}/{deployment.environment}"
        what, carrier = f"deployment {deployment.id} of {place}", deployment.execution
    execution = inspection.ports.executions.describe(carrier)
    if execution is not None and execution.running:
        return None
    said = f"{what} has no outcome, and its execution {'is gone' if execution is None else execution.status}"
    if _just_ended(inspection, execution):
        return warning(name, said, "the sweep ends it, usually within two minutes: look again")
    return error(name, said, _SWEEP)


def _just_ended(inspection: Inspection, execution: Execution | None) -> bool:
    stopped = None if execution is None else execution.stopped_at
    return stopped is not None and inspection.now - stopped < _GRACE


def _stuck_lock(inspection: Inspection, name: str, system: str, environment: str) -> Finding | None:
    lock = Locks(inspection.ports.store, inspection.ports.clock).read(system, environment)
    if lock.owner is None:
        return None
    owner = inspection.ledger.deployment(system, environment, lock.owner)
    place = f"{system}/{environment}"
    if owner is not None and owner.outcome is None:
        return None
    if owner is not None and owner.outcome is Outcome.FAILED_DIRTY:
        return error(
            name,
            f"{place} is locked by deployment {lock.owner}, which ended FailedDirty: a person is needed",
            f"{inspection.given.command('show', lock.owner)}, then docs/operations.md, FailedDirty",
        )
    ended = "is not recorded" if owner is None else f"ended {owner.outcome}"
    said = f"{place} is locked by deployment {lock.owner}, which {ended}"
    finished = None if owner is None else owner.finished_at
    if finished is not None and inspection.now - parse_iso(finished) < _GRACE:
        return warning(name, said, "the sweep frees it, usually within two minutes: look again")
    return error(name, said, _SWEEP)
