"""Telling the rest of the world: the events out of the contract, one shape for all of them."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.domain.deployment import Deployment
from tidegate.domain.errors import TidegateError
from tidegate.domain.outcome import Outcome
from tidegate.ports import Ports


def announce(
    ports: Ports,
    deployment: Deployment,
    detail_type: str,
    *,
    reason: str | None = None,
    severity: str | None = None,
) -> None:
    """Put an event about a deployment. At least once: a step that is retried announces again.

    That it has started, or waits, is in the ledger as well, and no deployment fails for want of a notice: only an end
    that could not be told is an error.
    """
    outcome = deployment.outcome
    detail = {
        "system": deployment.system,
        "environment": deployment.environment,
        "deployment": deployment.id,
        "release": deployment.release_name,
        "commit": deployment.commit,
        "actor": deployment.actor,
        "outcome": None if outcome is None else outcome.value,
        "reason": reason or deployment.explanation or deployment.reason,
        "severity": severity or ("info" if outcome is None else outcome.severity),
        "started_at": deployment.started_at,
        "finished_at": deployment.finished_at,
        "services": {key: dict(value) for key, value in deployment.services.items()},
    }
    try:
        ports.bus.emit(detail_type, detail)
    except TidegateError:
        if outcome is not None:
            raise
        ports.metrics.count("NoticeLost", system=deployment.system, environment=deployment.environment)


def announce_refusal(ports: Ports, said: Mapping[str, object], reason: str) -> None:
    """`Deployment Refused` where there is no deployment: for an event that starts none. `said` is what it says of
    `system`, `environment`, `commit` and `actor`."""
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


def _text(value: object) -> str | None:
    return value[:100] if isinstance(value, str) else None
