"""Every difference between MiniStack and AWS that Tidegate would notice, mended one by one.

Each module says what AWS does and where that is written, what MiniStack does, and how it is mended.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tidegate_local import events
from tidegate_local.ecs import api as ecs_api
from tidegate_local.ecs.announcements import Outbox
from tidegate_local.ecs.scheduler import Scheduler
from tidegate_local.faults import FaultBoard
from tidegate_local.mends import async_invocation, error_names, rule_dead_letters, task_definitions
from tidegate_local.settings import Settings
from tidegate_local.states import engine

REGISTRY: dict[str, Callable[[], None]] = {
    "async_invocation": async_invocation.install,
    "error_names": error_names.install,
    "rule_dead_letters": rule_dead_letters.install,
    "states": engine.install,
    "task_definitions": task_definitions.install,
}


@dataclass(frozen=True, slots=True)
class Installed:
    """The part of the mends that runs beside MiniStack."""

    scheduler: Scheduler

    def start(self) -> None:
        """Begin; MiniStack is about to serve."""
        self.scheduler.start()

    def wake(self) -> None:
        """A fault was set or cleared."""
        self.scheduler.wake()

    def stop(self) -> None:
        """End; returns when nothing runs any more."""
        self.scheduler.stop()


def install(settings: Settings, board: FaultBoard) -> Installed:
    """Install all mends but those left out. Raises `MendDoesNotFitError`, `ValueError` for unknown names."""
    unknown = settings.without - REGISTRY.keys()
    if unknown:
        raise ValueError(f"no such mend: {', '.join(sorted(unknown))}; there are: {', '.join(REGISTRY)}")
    events.check_fit()
    for name, mend in REGISTRY.items():
        if name not in settings.without:
            mend()
    outbox = Outbox(events.deliver, silent=not settings.ecs_events)
    scheduler = Scheduler(board, settings.pace, outbox)
    ecs_api.install(scheduler, settings.pace)
    return Installed(scheduler)
