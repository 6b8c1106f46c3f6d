"""From published images to a run that releases them: once, however often an event says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.deployment import Line
from tidegate.domain.ids import content_hash
from tidegate.domain.request import Published
from tidegate.ledger.records import Ledger
from tidegate.ports import Item, Ports

_NAME_LIMIT = 80
DUPLICATE = "dropped a duplicate"


def release(
    ports: Ports, published: Published, environment: str, *, event_id: str, at: str | None = None
) -> Mapping[str, Any]:
    """Start `deploy` for one environment; gives `{"did", "execution"}`. `event_id` and `at` tell a duplicate apart in
    the timeline of the deployment that the first event started; without `at` it is a step, which may be retried."""
    asked = _Asked("deploy", published.hash(environment), published.to_input(environment))
    return _once(ports, asked, event_id, at)


def release_once_scanned(
    ports: Ports, published: Published, environment: str, *, event_id: str, at: str | None
) -> Mapping[str, Any]:
    """The same where the environment asks for ECR's scan, which has hardly begun when an event says that an image was
    pushed: `build` has nothing to build then, waits for the scan and starts `deploy`."""
    given = published.to_input(environment)
    wanted: dict[str, Any] = {"built": given["images"], "environments": [environment]}
    for name in ("system", "commit", "actor", "reason", "trigger"):
        if name in given:
            wanted[name] = given[name]
    asked = _Asked("build", content_hash(["scan", published.hash(environment)])[:32], wanted)
    return _once(ports, asked, event_id, at, environment)


def restart(ports: Ports, asked: Mapping[str, Any], version: str) -> str:
    """Start `deploy` for services that only have to start again; the same version of a secret starts it once. Gives
    what was done."""
    wanted = content_hash(
        ["restart", asked["system"], asked["environment"], asked["restart"]["secret"], version]
    )
    return str(_once(ports, _Asked("deploy", wanted[:32], asked), version, asked["restart"]["at"])["did"])


@dataclass(frozen=True, slots=True)
class _Asked:
    machine: str
    hash: str
    input: Mapping[str, Any]


def _once(
    ports: Ports, asked: _Asked, event_id: str, at: str | None, environment: str | None = None
) -> Mapping[str, Any]:
    ledger = Ledger(ports.store, ports.clock)
    system, environment = asked.input["system"], environment or asked.input["environment"]
    name = execution_name(f"{system}-{environment}", asked.hash)
    known = ledger.seen(asked.hash)
    if known is None:
        # Marked before the start and under a name that works once: a crash in between is mended by the retry.
        known = ledger.mark_unseen(asked.hash, {"name": name, "by": event_id})
    if known.get("started"):
        if at is None and known.get("by") == event_id:
            return {"did": "found running", "execution": known["execution"]}
        return _duplicate(ledger, known, event_id, at)
    started = ports.executions.start(asked.machine, name, asked.input)
    mark = {
        "name": name,
        "started": True,
        "by": known.get("by") or event_id,
        "execution": started.arn,
        "system": system,
        "environment": environment,
    }
    ledger.mark_seen(asked.hash, mark)
    if mark["by"] != event_id:
        # Another event was first, a moment ago: which of the two started it is all the same.
        _duplicate(ledger, mark, event_id, at)
    return {"did": "started" if started.new else "found running", "execution": started.arn}


def tell_duplicates(ledger: Ledger, deployment_id: str, execution: str) -> None:
    """Write the events that came again into the timeline of the deployment that an execution carries out."""
    for event_id, at in ledger.duplicates_of(execution):
        ledger.tell_once(deployment_id, event_id, Line(at, "the same event came again", detail=event_id))


def execution_name(subject: str, hash_: str) -> str:
    """A name for an execution that is the same for the same hash."""
    return f"{subject[: _NAME_LIMIT - 1 - len(hash_)]}-{hash_}"


def _duplicate(ledger: Ledger, known: Item, event_id: str, at: str | None) -> Mapping[str, Any]:
    """A line in the timeline of the deployment that the first event started, never a row of the history."""
    # Kept before it looks for the deployment: who records that looks for what was kept, and one finds the other.
    ledger.keep_duplicate(known["execution"], event_id, at or ledger.now())
    for deployment in ledger.history(known["system"], known["environment"], limit=50):
        if deployment.execution == known["execution"]:
            tell_duplicates(ledger, deployment.id, known["execution"])
            break
    return {"did": DUPLICATE, "execution": known["execution"]}
