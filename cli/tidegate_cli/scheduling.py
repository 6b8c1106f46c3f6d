"""Makes the schedules of an environment's rotations what its manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tidegate.domain.durations import format_duration
from tidegate.domain.errors import OutsideError
from tidegate.domain.manifest import EnvironmentView
from tidegate.domain.schedule import Schedule, first
from tidegate.ledger.rotations import Rotations
from tidegate.ledger.time import iso, parse_iso
from tidegate.ports import Ports

CREATED: Final = "created"
CHANGED: Final = "changed"
UNCHANGED: Final = "unchanged"
REMOVED: Final = "removed"


def schedules_anything(view: EnvironmentView) -> bool:
    return any(secret.every is not None for secret in view.secrets.values())


def keep_schedules(ports: Ports, view: EnvironmentView) -> list[dict[str, Any]]:
    """`{"secret", "every", "did", "next"}` for each: what was done with it, and when its next window opens (null of one
    that was removed). The same again does nothing. Raises TidegateError where Scheduler cannot be asked."""
    now = ports.clock.now()
    kept = dict(ports.schedules.of(view.system, view.name))
    entries = []
    for wanted in _wanted(ports, view, kept, now):
        known = kept.pop(wanted.name, None)
        if ports.schedules.put(wanted):
            stands, did = wanted, CREATED if known is None else CHANGED
        else:
            stands, did = known or wanted, UNCHANGED
        entries.append(_entry(stands, did, iso(stands.after(now))))
    for name, dropped in kept.items():
        ports.schedules.remove(name)
        entries.append(_entry(dropped, REMOVED, None))
    return entries


def _wanted(
    ports: Ports, view: EnvironmentView, kept: Mapping[str, Schedule], now: datetime
) -> list[Schedule]:
    wanted = []
    for name, secret in view.secrets.items():
        if secret.every is None:
            continue
        schedule = Schedule(view.system, view.name, name, secret.every, now)
        known = kept.get(schedule.name)
        if known is not None and known.every == secret.every:
            # Whatever else is changed, it goes on at its times.
            begins = known.after(now)
        else:
            begins = first(now, secret.every, _rotated(ports, view, name))
        wanted.append(Schedule(view.system, view.name, name, secret.every, begins))
    return wanted


def _rotated(ports: Ports, view: EnvironmentView, secret: str) -> datetime | None:
    """When it was rotated last; None as well for a caller who may not look."""
    try:
        standing = Rotations(ports.store, ports.clock).standing(view.system, view.name, secret)
    except OutsideError:
        return None
    return None if standing is None or not standing.rotated_at else parse_iso(standing.rotated_at)


def _entry(schedule: Schedule, did: str, following: str | None) -> dict[str, Any]:
    return {
        "secret": schedule.secret,
        "every": format_duration(schedule.every),
        "did": did,
        "next": following,
    }
