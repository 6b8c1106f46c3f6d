"""EventBridge Scheduler in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tidegate.domain.errors import NotFoundError
from tidegate.domain.schedule import Schedule, prefix

from tests.support.scripted import Scripted, recorded


class FakeSchedules(Scripted):
    """`kept` are the schedules by name; `group` is False where the installation has none for them."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Schedule] = {}
        self.group = True

    @recorded
    def of(self, system: str, environment: str) -> Mapping[str, Schedule]:
        self._require_group()
        return {name: one for name, one in self.kept.items() if name.startswith(prefix(system, environment))}

    @recorded
    def put(self, schedule: Schedule) -> bool:
        self._require_group()
        known = self.kept.get(schedule.name)
        if known is not None and replace(known, begins=schedule.begins) == schedule:
            return False
        self.kept[schedule.name] = schedule
        return True

    @recorded
    def remove(self, name: str) -> None:
        self.kept.pop(name, None)

    def _require_group(self) -> None:
        if not self.group:
            raise NotFoundError(
                "EventBridge Scheduler has no group tidegate here", field="--stack", hint="sam deploy"
            )
