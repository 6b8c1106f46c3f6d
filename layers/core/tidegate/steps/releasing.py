"""From published images to a run that releases them: once, however often an event says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.domain.deployment import Line
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
    ledger = Ledger(ports.store, ports.clock)
    hash_ = published.hash(environment)
    name = execution_name(f"{published.system}-{environment}", hash_)
    known = ledger.seen(hash_)
    if known is None:
        # Marked before the start and under a name that works once: a crash in between is mended by the retry.
        ledger.mark_seen(hash_, {"name": name})
    elif known.get("started"):
        if at is None and known.get("by") == event_id:
            return {"did": "found running", "execution": known["execution"]}
        return _duplicate(ledger, known, event_id, at)
    started = ports.executions.start("deploy", name, published.to_input(environment))
    ledger.mark_seen(
        hash_,
        {
            "name": name,
            "started": True,
            "by": event_id,
            "execution": started.arn,
            "system": published.system,
            "environment": environment,
        },
    )
    return {"did": "started" if started.new else "found running", "execution": started.arn}


def execution_name(subject: str, hash_: str) -> str:
    """A name for an execution that is the same for the same hash."""
    return f"{subject[: _NAME_LIMIT - 1 - len(hash_)]}-{hash_}"


def _duplicate(ledger: Ledger, known: Item, event_id: str, at: str | None) -> Mapping[str, Any]:
    """A line in the timeline of the deployment that the first event started, never a row of the history."""
    for deployment in ledger.history(known["system"], known["environment"], limit=50):
        if deployment.execution == known["execution"]:
            line = Line(at or ledger.now(), "the same event came again", detail=event_id)
            ledger.tell_once(deployment.id, event_id, line)
            break
    return {"did": DUPLICATE, "execution": known["execution"]}
