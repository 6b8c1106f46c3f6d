"""Which secrets should have been rotated by now.

The registered manifests say how often, the ledger when it was done last. Of a secret that was never rotated the time
counts from when it was first seen here, which is kept, so that registering a manifest again puts nothing off. Only the
first sweep of an hour looks: a rotation is late by days, and each look reads every registered place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.domain.schedule import overdue
from tidegate.ledger import keys
from tidegate.ledger.rotations import Rotations
from tidegate.ledger.time import iso, parse_iso
from tidegate.ports import Ports, Put

if TYPE_CHECKING:
    from tidegate.domain.manifest import EnvironmentView

METRIC = "RotationsOverdue"


def look_at_rotations(ports: Ports, at_once: bool = False) -> int:
    """Counts them as a metric, none as well, in the first minute of an hour or `at_once`; gives how many there are.
    Two sweeps in that minute count twice: what matters is the most, not the sum."""
    now = ports.clock.now()
    if now.minute and not at_once:
        return 0
    late = list(_late(ports, now))
    ports.metrics.count(METRIC, len(late))
    return len(late)


def seen_since(ports: Ports, system: str, environment: str) -> dict[str, datetime]:
    """When the secrets that are to be rotated by themselves were first seen, by name."""
    item = ports.store.get(keys.secrets_seen(system, environment))
    found: Mapping[str, str] = {} if item is None else item["since"]
    return {secret: parse_iso(at) for secret, at in found.items()}


def _late(ports: Ports, now: datetime) -> Iterator[str]:
    # Manifests are read with pydantic, which the other 59 sweeps of an hour need not load.
    from tidegate.steps.routing import places  # noqa: PLC0415

    rotations = Rotations(ports.store, ports.clock)
    for place in places(ports):
        view = place.manifest.for_environment(place.environment)
        every = {name: secret.every for name, secret in view.secrets.items() if secret.every is not None}
        if not every:
            continue
        since = _note(ports, view, every, now)
        rotated = {
            standing.secret: standing.rotated_at for standing in rotations.standings(view.system, view.name)
        }
        for name, interval in every.items():
            last = parse_iso(rotated[name]) if rotated.get(name) else since[name]
            if overdue(interval, last, now):
                yield f"{view.system}/{view.name}: {name}"


def _note(
    ports: Ports, view: EnvironmentView, every: Mapping[str, object], now: datetime
) -> dict[str, datetime]:
    """As `seen_since`, from now on with all of these and no others."""
    before = seen_since(ports, view.system, view.name)
    since = {name: before.get(name, now) for name in every}
    if since != before:
        content = {"since": {name: iso(at) for name, at in since.items()}}
        ports.store.transact([Put(keys.secrets_seen(view.system, view.name), content)])
    return since
