"""What became of a deployment's approval, also when it has ended: then the records of people's commands tell."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from tidegate.domain.deployment import Deployment, Line
from tidegate.domain.intervention import APPROVED, REJECTED
from tidegate.ledger import keys
from tidegate.ledger.interventions import Interventions
from tidegate.ports import Item, Ports

# How the timeline tells that one was asked for (steps/approving.py).
_ASKED = "waiting for approval"
# So many characters of a ULID are its time, and compare as that (domain/ids.py).
_TIME = 10
_DECISIONS = {"approve": APPROVED, "reject": REJECTED}


def approval_entry(ports: Ports, deployment: Deployment, timeline: Iterable[Line]) -> dict[str, Any] | None:
    """`{"other", "asked_at", "decision", "by", "reason", "decided_at"}`, None where nobody was to be asked; `other`
    says that the author may not decide. Undecided, everything behind `decision` is null."""
    if deployment.approval is None:
        return None
    place = deployment.system, deployment.environment
    entry: dict[str, Any] = {
        "other": deployment.approval == "other",
        "asked_at": next((line.at for line in timeline if line.what == _ASKED), None),
        "decision": None,
        "by": None,
        "reason": None,
        "decided_at": None,
    }
    known = Interventions(ports.store, ports.clock).approval(*place, deployment.id)
    if known is not None:
        entry["asked_at"] = known.asked_at
        if known.decision is not None:
            entry |= _decided(known.decision, known.by, known.reason, known.decided_at)
        return entry
    for item in _commands_since(ports, deployment):
        if (
            item.get("deployment") == deployment.id
            and "refused" not in item
            and item["command"] in _DECISIONS
        ):
            return entry | _decided(
                _DECISIONS[item["command"]], item["by"], item.get("reason", ""), item["at"]
            )
    return entry


def _decided(decision: str, by: str, reason: str, at: str | None) -> dict[str, Any]:
    return {"decision": decision, "by": by, "reason": reason, "decided_at": at}


def _commands_since(ports: Ports, deployment: Deployment) -> Iterable[Item]:
    """Newest first."""
    pk = keys.place(deployment.system, deployment.environment)
    newest = ports.store.query(pk, "COMMAND#", newest_first=True)
    return takewhile(lambda item: str(item["id"])[:_TIME] >= deployment.id[:_TIME], newest)
