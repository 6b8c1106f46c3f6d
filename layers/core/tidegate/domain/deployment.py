"""A deployment: putting a release into an environment. What the ledger knows of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from tidegate.domain.fields import EVENT_TRIGGER
from tidegate.domain.lock import Rank
from tidegate.domain.outcome import Outcome, OutcomeDocument
from tidegate.domain.plan import Plan
from tidegate.domain.rollout import Direction


class Machine(StrEnum):
    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    ROTATE = "rotate"


class Phase(StrEnum):
    """Where a run stands; an open one that no execution carries any more is picked up by the sweep."""

    PLANNED = "Planned"
    AWAITING_APPROVAL = "AwaitingApproval"
    QUEUED = "Queued"
    MIGRATING = "Migrating"
    ROTATING = "Rotating"
    ROLLING = "Rolling"
    BAKING = "Baking"
    RETIRING = "Retiring"
    COMPENSATING = "Compensating"
    ENDED = "Ended"


@dataclass(frozen=True, slots=True)
class Deployment:
    """`request` is the input it was started with, `execution` the one that carries it now, `recoveries` how often the
    sweep had to start another; `fence` is the one it holds the lock under, 0 before. `order` is where its release
    stands among those that pushes brought (`domain.lock.Rank`), `queue` what the environment's manifest says of
    others that wait, `approval` who must approve: nobody (None), a person (`required`), or one who is not the author
    (`other`)."""

    id: str
    system: str
    environment: str
    machine: Machine
    execution: str
    started_at: str
    phase: Phase = Phase.PLANNED
    outcome: Outcome | None = None
    release: int | None = None
    commit: str | None = None
    actor: str = ""
    reason: str = ""
    explanation: str = ""
    trigger: str = "person"
    request: Mapping[str, Any] = field(default_factory=dict)
    plan: Plan | None = None
    fence: int = 0
    recoveries: int = 0
    finished_at: str | None = None
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    order: str = ""
    queue: str = "fifo"
    approval: str | None = None

    @property
    def by_event(self) -> bool:
        return self.trigger == EVENT_TRIGGER

    @property
    def restart(self) -> bool:
        """Whether it starts services again as they are, and releases nothing."""
        return "restart" in self.request

    @property
    def only_migrations(self) -> bool:
        """Whether it runs the migrations of a release and rolls nothing."""
        return "only" in self.request

    @property
    def scales(self) -> bool:
        """Whether it changes how many tasks a service runs, and releases nothing."""
        return "scale" in self.request

    @property
    def releases(self) -> bool:
        """Whether its release is what the environment runs when it succeeds."""
        return not (self.restart or self.only_migrations or self.rotation or self.scales)

    @property
    def rotation(self) -> bool:
        """Whether it replaces a secret's value, and releases nothing."""
        return self.machine is Machine.ROTATE

    @property
    def adopts(self) -> bool:
        """Whether it prepares a secret for rotations, and rotates nothing."""
        return self.rotation and self.request.get("adopt") is not None

    @property
    def rank(self) -> Rank:
        """Where it stands in the queue. A rollback goes first, and nothing takes its place."""
        if self.machine is Machine.ROLLBACK:
            return Rank(urgent=True)
        if not self.releases:
            return Rank()
        return Rank(order=(self.order if self.by_event else "") or self.id, by_event=self.by_event)

    @property
    def event(self) -> str:
        """`detail-type` of the event that announces its end. Only for a deployment that has an outcome."""
        outcome = self.document().outcome
        return "Rotation Failed" if self.rotation and outcome.failed else outcome.event

    @property
    def release_name(self) -> str | None:
        return None if self.release is None else f"r{self.release}"

    def document(self) -> OutcomeDocument:
        """How it ended. Only for a deployment that has an outcome."""
        if self.outcome is None:
            raise ValueError(f"{self.id} has not ended")
        return OutcomeDocument(self.outcome, self.id, self.release_name, self.explanation, self.services)

    def to_json(self) -> dict[str, Any]:
        item = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        item["plan"] = None if self.plan is None else self.plan.to_json()
        item["services"] = {key: dict(value) for key, value in self.services.items()}
        item["request"] = dict(self.request)
        return item

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Deployment:
        known = {entry.name: item[entry.name] for entry in fields(cls) if entry.name in item}
        known["machine"] = Machine(item["machine"])
        known["phase"] = Phase(item["phase"])
        known["outcome"] = None if item.get("outcome") is None else Outcome(item["outcome"])
        known["plan"] = None if item.get("plan") is None else Plan.from_json(item["plan"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Rollout:
    """What was done to one service in one direction: written before ECS is touched, so that a retry adopts it.

    `task_definition` is the revision it is to run, `ecs_deployment` the ECS deployment that was started or
    adopted, `execution` the `roll` execution that waits for it.
    """

    service: str
    direction: Direction
    execution: str
    started_at: str
    task_definition: str | None = None
    ecs_deployment: str | None = None
    outcome: str | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Rollout:
        known = {entry.name: item[entry.name] for entry in fields(cls) if entry.name in item}
        return cls(**{**known, "direction": Direction(item["direction"])})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline: what happened, for a person."""

    at: str
    what: str
    service: str | None = None
    detail: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            key: value
            for key, value in (
                ("at", self.at),
                ("what", self.what),
                ("service", self.service),
                ("detail", self.detail),
            )
            if value is not None
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Line:
        return cls(item["at"], item["what"], item.get("service"), item.get("detail"))


@dataclass(frozen=True, slots=True)
class FailureReport:
    """Why one service did not come up: `tasks` are `{"task", "reason", "stop_code", "container", "exit_code",
    "logs"}` of those that stopped, newest first; `events` are lines of the service's own log, `alarms` names in
    ALARM, `direction` tells a release that failed from a way back that failed."""

    service: str
    reason: str
    tasks: tuple[Mapping[str, Any], ...] = ()
    events: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    direction: Direction = Direction.ROLL

    def to_json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "reason": self.reason,
            "tasks": [dict(task) for task in self.tasks],
            "events": list(self.events),
            "alarms": list(self.alarms),
            "direction": self.direction.value,
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> FailureReport:
        return cls(
            item["service"],
            item.get("reason", ""),
            tuple(item["tasks"]),
            tuple(item["events"]),
            tuple(item["alarms"]),
            Direction(item.get("direction", Direction.ROLL)),
        )

    def summary(self) -> str:
        """One sentence: what the execution's cause can carry."""
        for task in self.tasks:
            if task.get("exit_code") is not None:
                exited = f"container {task.get('container')} exited with code {task['exit_code']}"
                return f"{self.service}: {exited} ({task.get('reason')})"
        for task in self.tasks:
            if task.get("reason"):
                return f"{self.service}: {task['reason']}"
        return f"{self.service}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Current:
    """What an environment runs since its last success, under the fence of the run that wrote it. `order` is that of
    the latest push which was ever released there; it never falls (`domain.lock.Rank`)."""

    release: int
    deployment: str
    since: str
    fence: int
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    order: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "release": self.release,
            "deployment": self.deployment,
            "since": self.since,
            "fence": self.fence,
            "services": {key: dict(value) for key, value in self.services.items()},
            "order": self.order,
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Current:
        return cls(
            item["release"],
            item["deployment"],
            item["since"],
            item["fence"],
            item["services"],
            item.get("order", ""),
        )
