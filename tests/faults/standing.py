"""Runs that a test brings to one state of a machine, each in a system of its own, many side by side.

A run stands in the state, which it has entered and in which it has done nothing yet, or its task waits there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from uuid import uuid4

from tidegate.domain.deployment import Deployment
from tidegate.domain.ids import ulid
from tidegate.domain.outcome import Outcome
from tidegate.ledger.locks import Locks
from tidegate_local.images import publish

from tests.e2e import scenarios
from tests.e2e.own_system import EcsService, OwnSystem
from tests.e2e.support import SampleCloud
from tests.faults.people import Person
from tests.support.waiting import wait_until

ENVIRONMENT = "production"
REPOSITORY = "standing"
SERVICE = "api"
ARRIVES_SECONDS = 90.0
ENDS_SECONDS = 200.0
# How many are on their way at once; the others wait for their turn, or stand.
AT_ONCE = 6
FAILED = ("RecordFailure", "Clean?", "FailedClean")

SWEEP_EVERY_SECONDS = 3.0
T = TypeVar("T")


class Smoke:
    """A service that answers HTTP on loopback, each system under a path of its own: 503 until it is well."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.well: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    def url(self, system: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{system}"

    @contextmanager
    def answering(self) -> Iterator[Smoke]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        asked, well = self.asked, self.well

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                system = self.path.removeprefix("/")
                asked.add(system)
                self.send_response(200 if system in well else 503)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        return Handler


@dataclass(frozen=True)
class Scene:
    """What the runs of a module share: images of three commits, and who smoke checks ask."""

    cloud: SampleCloud
    smoke: Smoke
    images: Mapping[str, str]
    """Digest by commit; the services run that of the first before anything is released."""
    somebody: Person
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE))

    @classmethod
    def make(cls, cloud: SampleCloud, smoke: Smoke) -> Scene:
        ecr = cloud.client("ecr")
        with suppress(ecr.exceptions.RepositoryAlreadyExistsException):
            ecr.create_repository(repositoryName=REPOSITORY)
        commits = [uuid4().hex + "0" * 8 for _ in range(3)]
        # boto3 makes one client at a time; the runs only use them.
        for service in ("ecs", "iam", "logs", "stepfunctions", "lambda", "cloudwatch", "events"):
            cloud.client(service)
        images = {commit: publish(ecr, REPOSITORY, commit, f"{commit}\n") for commit in commits}
        return cls(cloud, smoke, images, Person.named(cloud, "somebody"))

    @contextmanager
    def swept(self) -> Iterator[Scene]:
        """What the schedule does once a minute, again and again, in place of it; an AssertionError in the end if it
        failed once, other than for want of time."""
        rule, over, failures = "tidegate-sweep", threading.Event(), list[AssertionError]()

        def sweep() -> None:
            while not over.wait(SWEEP_EVERY_SECONDS):
                try:
                    scenarios.sweep(self.cloud)
                except AssertionError as error:
                    # One that a slow machine cuts short is made good by the next, as on AWS.
                    if "Sandbox.Timedout" not in str(error):
                        failures.append(error)

        # Two at a time would tell of the same recovery twice.
        self.cloud.client("events").disable_rule(Name=rule)
        thread = threading.Thread(target=sweep)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()
            self.cloud.client("events").enable_rule(Name=rule)
        assert not failures, "\n".join(map(str, failures))

    @property
    def commits(self) -> list[str]:
        return list(self.images)


@dataclass(frozen=True)
class Way:
    """How a run gets to a state: what its manifest says beside the usual, and what is done."""

    go: Callable[[Run], None]
    environment: Mapping[str, Any] = field(default_factory=dict)
    bakes: bool = False
    smokes: bool = False
    migrates: bool = False
    waves: int = 1


@dataclass(frozen=True)
class Spot:
    """A state of a machine, and the way there. `waits`: the run is not held, its task waits for something.

    `touched` says whether a service was rolled, or may have been, before the run came to the state.
    """

    machine: str
    state: str
    way: Way
    touched: bool = False
    waits: bool = False
    note: str = ""

    @property
    def id(self) -> str:
        parts = (self.machine, self.state, "waits" if self.waits else "", self.note)
        return "-".join(part for part in parts if part)


class Run:
    """One deployment of a system of its own, on its way to a spot."""

    def __init__(self, scene: Scene, spot: Spot, system: OwnSystem) -> None:
        self.scene = scene
        self.spot = spot
        self.system = system
        self.cloud = scene.cloud
        self.deployment = new_id()
        self.executions: list[str] = []
        """Of the deployment, the first one first."""
        self.stood = ""
        """ARN of the execution that is in the state."""
        self.before: dict[str, str] = {}
        """What each service is to run in the end, where nothing comes of the release."""
        self.other: Deployment | None = None
        """Another deployment of the system: one that has the lock while this one waits for it, or went before."""

    @classmethod
    def make(cls, scene: Scene, spot: Spot, name: str) -> Run:
        """A system of which nothing was released, its services settled."""
        way, environment = spot.way, dict(spot.way.environment)
        if way.bakes:
            scene.cloud.client("cloudwatch").put_metric_alarm(
                AlarmName=name,
                MetricName="5xx",
                Namespace=name,
                Period=60,
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanThreshold",
                Statistic="Sum",
            )
            environment["bake"] = {"for": "10m", "alarms": [name]}
        keys = [SERVICE, *(f"{SERVICE}{wave}" for wave in range(2, way.waves + 1))]
        smoke = {"smoke": {"url": scene.smoke.url(name), "within": "60s"}} if way.smokes else {}
        manifest = {
            "system": name,
            "images": {"app": {"repository": REPOSITORY}},
            "services": {
                key: {"service": f"{name}-{key}", "image": "app", "wave": wave, **smoke}
                for wave, key in enumerate(keys, 1)
            },
            "environments": {ENVIRONMENT: {"region": "us-east-1", "cluster": name, **environment}},
        }
        if way.migrates:
            manifest["migrations"] = {"service": SERVICE, "command": ["migrate"]}
        image = f"{_registry(scene.cloud)}/{REPOSITORY}@{scene.images[scene.commits[0]]}"
        system = OwnSystem.make(scene.cloud, manifest, [EcsService(key) for key in keys], image)
        run = cls(scene, spot, system)
        run.before = system.task_definitions()
        return run

    # --- what a way is made of

    def start(self, commit: int = 1, deployment: str = "") -> str:
        """Start a deployment of the commit with that number, its own unless told; the execution's ARN."""
        return self.execute("deploy", {"commit": self.scene.commits[commit]}, deployment)

    def execute(self, machine: str, request: Mapping[str, Any], deployment: str = "") -> str:
        document = {"system": self.system.name, "environment": ENVIRONMENT, "actor": "ci", **request}
        arn = self.cloud.ports.executions.start(machine, deployment or self.deployment, document).arn
        if not deployment:
            self.executions.append(arn)
        return arn

    def hold(self, machine: str = "", state: str = "") -> None:
        self.cloud.control.hold(machine or self.spot.machine, state or self.spot.state, self.system.name)

    def let_go(self, machine: str = "", state: str = "") -> None:
        """Take the hold back; one that was never set is none."""
        self.cloud.control.release(machine or self.spot.machine, state or self.spot.state, self.system.name)

    def stands(self, machine: str = "", state: str = "") -> str:
        """The ARN of the execution that stands in a state, once one does."""
        machine, state = machine or self.spot.machine, state or self.spot.state
        place = {"machine": machine, "state": state, "system": self.system.name}

        def look() -> str | None:
            held = self.cloud.control.held()
            return next((entry["execution"] for entry in held if place.items() <= entry.items()), None)

        return self.wait(look, state)

    def waits(self, state: str = "") -> str:
        """The ARN of the execution whose task in a state waits with a token, once one does."""
        state = state or self.spot.state

        def look() -> str | None:
            waiting = {token["execution"] for token in self.cloud.ledger.tokens_of(self.deployment)}
            return next((arn for arn in waiting if self.path(arn)[-1:] == [state]), None)

        return self.wait(look, f"a token of {state}")

    def wait(self, look: Callable[[], T | None], what: str, seconds: float = ARRIVES_SECONDS) -> T:
        """What `look` gives, once it is true; an AssertionError says where the run is instead."""
        try:
            return wait_until(look, what=f"{self.spot.id}: {what}", seconds=seconds, pause=0.3)
        except AssertionError as error:
            error.add_note(f"entered so far: {[self.path(arn) for arn in self.executions]}")
            error.add_note(f"recorded: {self.recorded()}")
            raise

    def arrive(self) -> None:
        """Wait until it is where it is to be."""
        self.stood = self.waits() if self.spot.waits else self.stands()

    def fail_with(self, mode: Any, *, everywhere: bool = False) -> None:
        """New ECS deployments of its first service crash or hang."""
        self.cloud.control.set_fault(self.system.services[SERVICE], mode, all=everywhere)

    def stop(self, execution: str) -> None:
        """StopExecution, as somebody does it by hand."""
        self.cloud.client("stepfunctions").stop_execution(executionArn=execution)

    def register_a_revision(self) -> str:
        """A new revision of the first service's family, as IaC would register one; its ARN."""
        ecs = self.cloud.client("ecs")
        old = ecs.describe_task_definition(taskDefinition=self.before[SERVICE])["taskDefinition"]
        kept = ("family", "networkMode", "requiresCompatibilities", "cpu", "memory", "executionRoleArn")
        level = [{"name": "LEVEL", "value": "info"}]
        made = ecs.register_task_definition(
            **{name: old[name] for name in kept},
            containerDefinitions=[{**entry, "environment": level} for entry in old["containerDefinitions"]],
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def recovered(self) -> str:
        """The ARN of the execution that took the place of its own, once the sweep has started it."""

        def look() -> str | None:
            found = self.cloud.ledger.find(self.deployment)
            return found.execution if found is not None and found.execution not in self.executions else None

        arn = self.wait(look, "a recovery")
        self.executions.append(arn)
        return arn

    # --- what came of it

    @property
    def name(self) -> str:
        return self.system.name

    def path(self, execution: str) -> list[str]:
        """The states that an execution has entered, those of its Maps' iterations as well."""
        return entered(self.cloud, execution)

    def recorded(self) -> Deployment | None:
        return self.cloud.ledger.find(self.deployment)

    def owner(self) -> str | None:
        """The deployment that has the lock."""
        return Locks(self.cloud.ports.store, self.cloud.ports.clock).read(self.name, ENVIRONMENT).owner

    def end(self) -> Ended:
        """What is left when everything has ended that it, or another deployment of its system, began."""

        def ended() -> Deployment | None:
            found = self.recorded()
            return found if found is not None and found.outcome is not None else None

        done = self.wait(ended, "the end", ENDS_SECONDS)
        if done.execution not in self.executions:
            self.executions.append(done.execution)
        self.wait(lambda: all(self._is_over(arn) for arn in self.executions), "its executions to end")
        self.cloud.control.clear_fault(self.system.services[SERVICE])
        dirty = done.outcome is Outcome.FAILED_DIRTY
        return Ended(
            done,
            tuple(line.what for line in self.cloud.ledger.timeline(self.deployment)),
            [self.path(arn) for arn in self.executions],
            any(
                "TaskTimedOut" in event["type"]
                for arn in {*self.executions, self.stood}
                for event in events(self.cloud, arn)
            ),
            {} if dirty else self.system.task_definitions(),
            self.owner(),
            [entry.id for entry in self.cloud.ledger.history(self.name, ENVIRONMENT)],
        )

    def end_other(self) -> Deployment | None:
        """What becomes of the deployment that has the lock: somebody takes it back, once it may go on."""
        if self.other is None or self.other.outcome is not None:
            return self.other
        self.scene.somebody.abort(self.other.id, "it was in the way").done()
        self.let_go("deploy", "RollWave")
        return self.cloud.ended(self.other)

    def _is_over(self, execution: str) -> bool:
        known = self.cloud.ports.executions.describe(execution)
        return known is not None and not known.running


@dataclass(frozen=True)
class Ended:
    """`paths` has the states that each execution of the deployment entered, `owner` who has the lock.

    `task_definitions` is empty where a mess was left, which never settles.
    """

    deployment: Deployment
    timeline: tuple[str, ...]
    paths: list[list[str]]
    timed_out: bool
    """Whether a task of one of them waited until its time was over."""
    task_definitions: dict[str, str]
    owner: str | None
    history: list[str]

    @property
    def outcomes(self) -> list[str]:
        """Ends that the timeline tells of."""
        return [line for line in self.timeline if line in {outcome.value for outcome in Outcome}]


def events(cloud: SampleCloud, execution: str) -> list[dict[str, Any]]:
    """The history of an execution."""
    pages = cloud.client("stepfunctions").get_paginator("get_execution_history")
    return [event for page in pages.paginate(executionArn=execution) for event in page["events"]]


def entered(cloud: SampleCloud, execution: str) -> list[str]:
    return [
        event["stateEnteredEventDetails"]["name"]
        for event in events(cloud, execution)
        if "stateEnteredEventDetails" in event
    ]


def new_id() -> str:
    """What an execution may be called, to be its deployment's id as well."""
    return ulid(datetime.now(UTC), f"{uuid4()} {time.monotonic_ns()}")


def _registry(cloud: SampleCloud) -> str:
    (repository,) = cloud.client("ecr").describe_repositories(repositoryNames=[REPOSITORY])["repositories"]
    return str(repository["repositoryUri"]).partition("/")[0]
