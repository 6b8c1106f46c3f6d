"""The sample system in an embedded cloud, as the end-to-end tests speak to it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from tidegate.domain.deployment import Deployment
from tidegate.domain.manifest import to_json
from tidegate.ledger.locks import Locks
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports
from tidegate.runtime.composition import connect
from tidegate_cli.manifest_file import load_manifest_file
from tidegate_local import sample
from tidegate_local.control import Control
from tidegate_local.lifecycle import cloud as life
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.record import Cloud
from tidegate_local.sample import Build

from tests.support.command_line import CommandLine
from tests.support.leftovers import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
ARRIVES_SECONDS = 30.0
ENDS_SECONDS = 90.0
SWEPT_SECONDS = 150.0
"""Two minutes is what the sweep may take; the rest is for a slow machine."""


class EmbeddedSession(boto3.Session):
    """A session whose clients all talk to the embedded cloud, whatever the environment says."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(
            aws_access_key_id="test", aws_secret_access_key="test", region_name=cloud.options.region
        )
        self.endpoint_url = cloud.endpoint_url

    def client(self, *args: Any, **settings: Any) -> Any:
        return super().client(*args, **{"endpoint_url": self.endpoint_url, **settings})


@dataclass(frozen=True)
class SampleCloud:
    """An embedded cloud with the orchestrator and the registered sample system in it.

    Shared by the tests of a session: a test publishes builds of its own and clears what it breaks.
    """

    checkout: Checkout
    cloud: Cloud
    session: EmbeddedSession
    ports: Ports

    @property
    def command(self) -> CommandLine:
        """`tidegate`, which finds this cloud with --local."""
        variables = {"TIDEGATE_CHECKOUT": str(ROOT), "TIDEGATE_STATE_DIR": str(self.checkout.state)}
        return CommandLine(variables, ROOT)

    @property
    def control(self) -> Control:
        return Control(self.cloud.endpoint_url)

    @cache  # noqa: B019 -- lives as long as the session's cloud
    def client(self, service: str) -> Any:
        """An administrator's boto3 client."""
        return self.session.client(service)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.ports.store, self.ports.clock)

    def push(self, note: str) -> Build:
        """A new commit and the image that a CI made of it."""
        return sample.push(self.client("ecr"), note)

    def announce(self, build: Build, actor: str = "ci") -> str:
        """Put `Image Published` as a CI does; the event's id."""
        return self.put_event(build.event(actor))

    def put_event(self, event: Mapping[str, Any]) -> str:
        """PutEvents with an event in EventBridge's shape; its id."""
        entry = {"Source": event["source"], "DetailType": event["detail-type"]}
        entry["Detail"] = json.dumps(event["detail"])
        answer = self.client("events").put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer
        return str(answer["Entries"][0]["EventId"])

    def arrived(self, build: Build) -> Deployment:
        """The newest deployment of that commit, once there is one."""
        return wait_until(
            lambda: next((entry for entry in self.history() if entry.commit == build.commit), None),
            what=f"a deployment of {build.commit[:7]}",
            seconds=ARRIVES_SECONDS,
            pause=0.2,
        )

    def ended(self, deployment: Deployment | str, seconds: float = ENDS_SECONDS) -> Deployment:
        """The deployment with its outcome, once it has one."""
        identity = deployment if isinstance(deployment, str) else deployment.id

        def look() -> Deployment | None:
            found = self.ledger.find(identity)
            return found if found is not None and found.outcome is not None else None

        return wait_until(look, what=f"the outcome of {identity}", seconds=seconds, pause=0.2)

    def released(self, build: Build, actor: str = "ci") -> Deployment:
        """Announce a build and follow it to its outcome and to a free lock."""
        self.announce(build, actor)
        ended = self.ended(self.arrived(build))
        self.wait_for_free_lock()
        return ended

    def history(self, limit: int = 500) -> list[Deployment]:
        """Newest first."""
        return list(self.ledger.history(sample.SYSTEM, sample.ENVIRONMENT, limit))

    def timeline(self, deployment: Deployment) -> list[str]:
        """What it says, oldest first."""
        return [line.what for line in self.ledger.timeline(deployment.id)]

    def digests(self) -> dict[str, str]:
        """ECS service name -> digest (or tag) of the image of the one deployment it has; for several: of the
        newest. Read from ECS, not from the ledger."""
        ecs = self.client("ecs")
        found = {}
        for service in ecs.describe_services(cluster=sample.CLUSTER, services=list(sample.SERVICES))[
            "services"
        ]:
            described = ecs.describe_task_definition(
                taskDefinition=service["deployments"][0]["taskDefinition"]
            )
            image = described["taskDefinition"]["containerDefinitions"][0]["image"]
            found[service["serviceName"]] = image.rpartition("@")[2]
        return found

    def lock_is_free(self) -> bool:
        return Locks(self.ports.store, self.ports.clock).read(sample.SYSTEM, sample.ENVIRONMENT).free

    def wait_for_free_lock(self) -> None:
        wait_until(self.lock_is_free, what="a free lock", seconds=ENDS_SECONDS, pause=0.2)

    def wait_for_settled_services(self) -> None:
        """Each service runs one completed deployment."""
        wait_until(lambda: sample.settled(self.client("ecs")), what="settled services", seconds=ENDS_SECONDS)

    def calm(self) -> None:
        """No fault, nothing under way: what a test finds, and leaves."""
        for service in self.control.faults():
            self.control.clear_fault(service)
        wait_until(
            lambda: all(entry.outcome is not None for entry in self.history()),
            what="every deployment to end",
            seconds=SWEPT_SECONDS,
            pause=0.5,
        )
        self.wait_for_settled_services()
        # The demo, played in this cloud, leaves one with migrations, for which other tests' images have no files.
        register(self.checkout, self.ports)


def register(checkout: Checkout, ports: Ports) -> None:
    """The sample's manifest."""
    manifest = load_manifest_file(str(sample.folder(checkout) / "tidegate.yaml"))
    ports.registry.put_manifest(sample.SYSTEM, sample.ENVIRONMENT, json.loads(to_json(manifest)))


@contextmanager
def sample_cloud(state: Path, wanted: life.Wanted | None = None) -> Iterator[SampleCloud]:
    """Start one with its own state folder and port, put the sample system into it, stop it.

    The build in the checkout's .aws-sam is used again where nothing has changed.
    """
    checkout = Checkout(ROOT, state)
    said: list[str] = []
    wanted = wanted or life.Wanted(port=free_port())
    # The same on every machine: with an engine only where a test asks for it.
    cloud = life.up(checkout, replace(wanted, docker=wanted.docker or "off"), said.append)
    try:
        session = EmbeddedSession(cloud)
        ports = connect(session, cloud.options.stack)
        sample.deploy(checkout, session.client("cloudformation"), session.client("ecs"))
        register(checkout, ports)
        yield SampleCloud(checkout, cloud, session, ports)
    finally:
        life.down(checkout, said.append)
