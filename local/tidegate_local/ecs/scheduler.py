"""The ECS service scheduler: a thread that moves every service and task forward.

MiniStack without Docker has tasks RUNNING at once and deployments completed in the call that starts
them, so nothing takes time and nothing can fail. Here time passes, a little. What a task is made of is
the affair of its runtime, which wakes the scheduler when something has happened.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ministack.core.responses import request_scope
from ministack.services import ecs

from tidegate_local.ecs.announcements import Outbox
from tidegate_local.ecs.balancing import Balancing
from tidegate_local.ecs.records import Record, belongs_to_service
from tidegate_local.ecs.rollout import Rollout
from tidegate_local.ecs.runtime import TaskRuntime
from tidegate_local.ecs.tasks import Tasks
from tidegate_local.faults import FaultBoard
from tidegate_local.settings import Pace

logger = logging.getLogger("tidegate.ecs")

STOPPED_KEPT_SECONDS = 3600.0  # DescribeTasks knows a stopped task for at least an hour
STOPPED_KEPT_EACH = 200  # of one group, so that a crash loop does not fill the memory


class Scheduler:
    """Owns the ECS lock; everything that changes ECS records holds it."""

    def __init__(self, board: FaultBoard, pace: Pace, outbox: Outbox, runtime: TaskRuntime) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self.outbox = outbox
        self.tasks = Tasks(pace, outbox, runtime)
        self.balancing = Balancing(self.wake, probes=runtime.answers)
        self.rollout = Rollout(board, pace, outbox, self.tasks, self.balancing)
        self._board = board
        self._pace = pace
        self._look = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="tidegate-ecs", daemon=True)

    def start(self) -> None:
        """Begin to move things."""
        self.tasks.runtime.open(self.wake)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and every container; returns when they have ended."""
        self._over.set()
        self._look.set()
        self._thread.join(timeout=5)
        self.tasks.runtime.close()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """The ECS lock; what happened under it is announced once the last holder lets go."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            outermost = self._depth == 0
        if outermost:
            self.outbox.flush()

    def wake(self) -> None:
        """Something changed: look now."""
        self._look.set()

    def refuses(self, group: str) -> bool:
        """Whether RunTask is to find no capacity for the group, once more."""
        return self._board.refuses(group)

    def begin_tasks(self, answer: tuple[int, dict[str, str], bytes]) -> list[Record]:
        """Take the tasks that RunTask has just registered back to PENDING; returns their records. Lock held."""
        records = [ecs._tasks[task["taskArn"]] for task in json.loads(answer[2]).get("tasks", [])]
        for record in records:
            self.tasks.begin(record)
        self.wake()
        return records

    def step_service(self, service: Record) -> None:
        """Let a call that changed a service answer with what comes of it. Lock held."""
        self.rollout.step(service)
        self.wake()

    def _loop(self) -> None:
        while not self._over.is_set():
            self._look.clear()
            try:
                moving = self._tick()
            except Exception:
                # The thread must outlive a record it cannot read: the others still have to move.
                logger.exception("the ECS scheduler stumbled")
                moving = True
            self._look.wait(self._pace.tick if moving else None)

    def _tick(self) -> bool:
        moving = False
        with self.hold():
            for (account, region, _), service in list(ecs._services.all_items()):
                if service["status"] == "ACTIVE":
                    with request_scope(account, region):
                        moving = self.rollout.step(service) or moving
            for (account, region, _), task in list(ecs._tasks.all_items()):
                # Those of a service are moved with it, unless it was deleted meanwhile.
                if not belongs_to_service(task) or task["lastStatus"] == "STOPPING":
                    with request_scope(account, region):
                        moving = self._advance_alone(task) or moving
            self._forget_old_tasks()
        return moving

    def _advance_alone(self, task: Record) -> bool:
        """A task started by RunTask does its work and exits; a fault is set by its group's name."""
        self.tasks.advance(task, self._board.of(task["group"]))
        return task["lastStatus"] in ("PENDING", "RUNNING") and not task["_healthy"]

    def _forget_old_tasks(self) -> None:
        stopped: dict[str, list[tuple[float, tuple[str, str, str]]]] = {}
        for scope, task in ecs._tasks.all_items():
            if task["lastStatus"] == "STOPPED":
                stopped.setdefault(task.get("group", ""), []).append((task.get("_stopped_at", 0.0), scope))
        oldest = time.monotonic() - STOPPED_KEPT_SECONDS
        for entries in stopped.values():
            entries.sort()
            surplus = len(entries) - STOPPED_KEPT_EACH
            for index, (when, scope) in enumerate(entries):
                if index < surplus or when < oldest:
                    ecs._tasks._data.pop(scope, None)
