"""Everything outside, in memory: `World()` has each fake by its port's name and the `Ports` made of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.ports import Ports

from tests.support.backups import FakeBackups
from tests.support.builds import FakeBuilds, FakeSources
from tests.support.clock import FakeClock
from tests.support.containers import FakeContainers, FakeService
from tests.support.databases import FakeDatabases
from tests.support.logins import FakeLogins
from tests.support.lookups import (
    FakeAlarms,
    FakeImages,
    FakeLogs,
    FakeReferences,
    FakeRegistry,
    FakeScaling,
    FakeWebhookSecrets,
)
from tests.support.orchestration import FakeBus, FakeExecutions, FakeMetrics
from tests.support.schedules import FakeSchedules
from tests.support.secrets import FakeSecrets
from tests.support.store import FakeStore
from tests.support.web import FakeWeb

__all__ = [
    "FakeAlarms",
    "FakeBuilds",
    "FakeBus",
    "FakeClock",
    "FakeContainers",
    "FakeDatabases",
    "FakeExecutions",
    "FakeImages",
    "FakeLogins",
    "FakeLogs",
    "FakeMetrics",
    "FakeReferences",
    "FakeRegistry",
    "FakeScaling",
    "FakeSchedules",
    "FakeSecrets",
    "FakeService",
    "FakeSources",
    "FakeStore",
    "FakeWeb",
    "FakeWebhookSecrets",
    "World",
]


@dataclass
class World:
    clock: FakeClock = field(default_factory=FakeClock)
    store: FakeStore = field(default_factory=FakeStore)
    images: FakeImages = field(default_factory=FakeImages)
    sources: FakeSources = field(default_factory=FakeSources)
    references: FakeReferences = field(default_factory=FakeReferences)
    alarms: FakeAlarms = field(default_factory=FakeAlarms)
    logs: FakeLogs = field(default_factory=FakeLogs)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    bus: FakeBus = field(default_factory=FakeBus)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    webhook_secrets: FakeWebhookSecrets = field(default_factory=FakeWebhookSecrets)
    databases: FakeDatabases = field(default_factory=FakeDatabases)
    backups: FakeBackups = field(default_factory=FakeBackups)
    schedules: FakeSchedules = field(default_factory=FakeSchedules)
    scaling: FakeScaling = field(default_factory=FakeScaling)
    logins: FakeLogins = field(default_factory=FakeLogins)
    secrets: FakeSecrets = field(init=False)
    builds: FakeBuilds = field(init=False)
    containers: FakeContainers = field(init=False)
    executions: FakeExecutions = field(init=False)
    web: FakeWeb = field(init=False)

    def __post_init__(self) -> None:
        self.secrets = FakeSecrets(self.clock)
        self.builds = FakeBuilds(self.clock)
        self.containers = FakeContainers(self.clock)
        self.executions = FakeExecutions(self.clock)
        self.web = FakeWeb(self.clock)

    @property
    def ports(self) -> Ports:
        return Ports(
            store=self.store,
            containers=self.containers,
            images=self.images,
            builds=self.builds,
            sources=self.sources,
            references=self.references,
            alarms=self.alarms,
            logs=self.logs,
            registry=self.registry,
            executions=self.executions,
            bus=self.bus,
            metrics=self.metrics,
            clock=self.clock,
            webhook_secrets=self.webhook_secrets,
            web=self.web,
            databases=self.databases,
            backups=self.backups,
            schedules=self.schedules,
            scaling=self.scaling,
            logins=self.logins,
            secrets=self.secrets,
        )
