"""What changed in a span of time, in all systems: deployments, rollbacks, restarts, builds, commands of people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tidegate.domain.build import Build
from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome
from tidegate.ledger import keys
from tidegate.ledger.interventions import Interventions
from tidegate.ledger.records import Ledger
from tidegate.ledger.time import iso
from tidegate.ports import Item, Ports

from tidegate_cli.in_flight import about, what_of

# The index knows when a run started. One that ended within the span may have started this long before: an approval is
# awaited for 30 days at most (ApprovalTimeoutSeconds), and CodeBuild takes 8 hours for a build (its quotas).
_LONGEST_DEPLOYMENT = timedelta(days=31)
_LONGEST_BUILD = timedelta(days=1)


def changes(ports: Ports, since: datetime) -> list[dict[str, Any]]:
    """Newest first: `{"at", "what", "system", "environment", "who", "reason", "outcome", …}`.

    `at` is when it last did something: of a run its end, or the last line of its timeline while it goes on
    (`outcome` is null then); of a command when it was given. Of a run `started_at` and `finished_at` are there too, of
    everything what it concerns: `deployment`, `release`, `commit`, `secret`, `scale`, `build`.
    """
    return sorted(_all(ports, since), key=lambda entry: entry["at"], reverse=True)


def _all(ports: Ports, since: datetime) -> Iterator[dict[str, Any]]:
    ledger, first = Ledger(ports.store, ports.clock), iso(since)
    # What is open before what has ended: a run that ends between the two questions is in both, never in neither.
    runs = {item["id"]: item for item in ledger.open_items() if item.get("type") in ("deployment", "build")}
    for kind, longest in ((keys.DEPLOYMENTS, _LONGEST_DEPLOYMENT), (keys.BUILDS, _LONGEST_BUILD)):
        ended = ports.store.query_kind(kind, since=iso(since - longest))
        runs |= {item["id"]: item for item in ended if str(item.get("finished_at")) >= first}
    for item in runs.values():
        yield _deployment(ledger, item) if item["type"] == "deployment" else _build(ledger, item)
    for item in Interventions(ports.store, ports.clock).commands(first):
        yield _command(item)


def _deployment(ledger: Ledger, item: Item) -> dict[str, Any]:
    deployment = Deployment.from_json(item)
    concerns = {
        "deployment": deployment.id,
        "release": deployment.release_name,
        "commit": deployment.commit,
        **about(deployment),
    }
    return {
        **_run(ledger, deployment),
        "what": what_of(deployment),
        "environment": deployment.environment,
        **_known(concerns),
    }


def _build(ledger: Ledger, item: Item) -> dict[str, Any]:
    build = Build.from_json(item)
    concerns = {"build": build.id, "commit": build.commit}
    return {**_run(ledger, build), "what": "build", "environment": None, **_known(concerns)}


def _run(ledger: Ledger, run: Deployment | Build) -> dict[str, Any]:
    at = run.finished_at
    if at is None:
        lines = ledger.timeline(run.id)
        at = lines[-1].at if lines else run.started_at
    return {
        "at": at,
        "what": "",
        "system": run.system,
        "environment": None,
        "who": run.actor,
        "reason": run.reason,
        "outcome": None if run.outcome is None else run.outcome.value,
        "explanation": run.explanation,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def _command(item: Item) -> dict[str, Any]:
    """`outcome` is what was done (`frozen`), or Refused; then `explanation` says why."""
    refused = item.get("refused")
    return {
        "at": item["at"],
        "what": item["command"],
        "system": item["system"],
        "environment": item["environment"],
        "who": item.get("by", ""),
        "reason": item.get("reason", ""),
        "outcome": item.get("did", "") if refused is None else Outcome.REFUSED.value,
        "explanation": refused or "",
        **_known({name: item.get(name) for name in ("deployment", "release", "until")}),
    }


def _known(concerns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in concerns.items() if value}
