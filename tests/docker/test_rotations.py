"""Rotations whose consumers are containers: they log in to PostgreSQL with what ECS put into their environment when
they started, and a container that cannot do so with the new value brings the old one back."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tidegate.domain.outcome import Outcome

from tests.docker import python_image
from tests.docker.orchestrator import Orchestrator
from tests.docker.shop import Images, Shop
from tests.e2e import histories
from tests.e2e.own_system import EcsService, OwnSystem
from tests.e2e.rotating_system import TURNS_SECONDS, Rotating, Shared
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.docker]

STARTS_SECONDS = 30.0
# The `KNOWN` that it is given is a user that it insists on, as one does whose user is written in its own settings.
CONSUMER = """\
import json, os, signal, sys
import pg8000.native

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
value = json.loads(os.environ["CREDENTIAL"])
known = os.environ.get("KNOWN") or value["username"]
if known != value["username"]:
    sys.exit(f"{value['username']} is not {known}")
connection = pg8000.native.Connection(
    known, password=value["password"], host=value["host"], port=value["port"], database=value["dbname"]
)
[[user]] = connection.run("SELECT session_user::text")
print(f"logged in as {user}", flush=True)
while True:
    signal.pause()
"""


@dataclass(frozen=True)
class Consuming(Rotating):
    """`api` and `worker` are containers that log in when they start, with the whole of the secret."""

    database: Shared

    def lines(self, key: str) -> list[str]:
        """What each task of a service that runs has printed, in the tasks' order."""
        logs, group = self.cloud.client("logs"), f"/{self.name}"
        streams = [f"{key}/{key}/{task['taskArn'].rpartition('/')[2]}" for task in self.system.tasks(key)]
        found = []
        for stream in streams:
            events = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
            found += [str(event["message"]) for event in events["events"]]
        return found

    def run_as(self, user: str) -> None:
        """Wait until every task that runs has logged in as that user, and nothing else."""
        for key in self.system.services:
            wait_until(
                lambda key=key: self.lines(key) == [f"logged in as {user}"],  # type: ignore[misc]
                what=f"{key} to log in as {user}",
                seconds=STARTS_SECONDS,
            )


@pytest.fixture(scope="module")
def image(orchestrator: Orchestrator, host: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """`repository@digest` of CONSUMER."""
    requirements = tmp_path_factory.mktemp("consumer") / "requirements.txt"
    requirements.write_text("pg8000\n")
    base = python_image.build(host, orchestrator.registry, requirements)
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        dockerfile = f'FROM {base}\nCOPY consumer.py /consumer.py\nCMD ["python", "/consumer.py"]\n'
        for name, text in (("Dockerfile", dockerfile), ("consumer.py", CONSUMER)):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    written.seek(0)
    return Images(orchestrator, host).push_built(written, "1", "consumer")


@contextmanager
def consuming(cloud: Orchestrator, image: str, name: str, *, knows: bool = False) -> Iterator[Consuming]:
    """A system, once its containers have logged in. With `knows` its worker insists on the first user."""
    name = f"{name}-{uuid.uuid4().hex[:4]}"
    database = Shared.make(cloud, name.replace("-", "_"))
    first, admin = database.users[0], f"{name}/production/admin"
    manager = cloud.client("secretsmanager")
    manager.create_secret(Name=admin, SecretString=json.dumps(database.credential(database.admin)))
    arn = manager.create_secret(
        Name=f"{name}/production/app", SecretString=json.dumps(database.credential(first))
    )["ARN"]
    manifest: dict[str, Any] = {
        "system": name,
        "images": {"app": {"repository": "consumer"}},
        "services": {
            key: {"service": f"{name}-{key}", "image": "app", "wave": wave}
            for key, wave in (("api", 1), ("worker", 2))
        },
        "secrets": {
            f"{name}/{{environment}}/app": {
                "kind": "postgres",
                "tls": "off",
                "overlap": "1s",
                "admin": admin,
                "users": list(database.users),
            }
        },
        "environments": {"production": {"region": "us-east-1", "cluster": name}},
    }
    services = [
        EcsService("api", secrets={"CREDENTIAL": arn}),
        EcsService("worker", environment={"KNOWN": first if knows else ""}, secrets={"CREDENTIAL": arn}),
    ]
    system = Consuming(cloud, OwnSystem.make(cloud, manifest, services, image), arn, database)
    system.run_as(first)
    try:
        yield system
    finally:
        for service in system.system.services.values():
            cloud.client("ecs").delete_service(cluster=name, service=service, force=True)


def test_containers_that_run_have_logged_in_as_the_new_user(orchestrator: Orchestrator, image: str) -> None:
    """Guards `restarts` of the plan: a container that is not started again keeps the user that is disabled."""
    with consuming(orchestrator, image, "rolled") as shop:
        old, new = shop.database.users
        before = shop.value()
        deployment = shop.rotated()
        assert deployment.outcome is Outcome.ROTATED, deployment.explanation
        assert shop.order(deployment) == ["api", "worker"]
        shop.run_as(new)
        assert not shop.database.admits(old, before["password"])
        deployment = shop.rotated()
        assert deployment.outcome is Outcome.ROTATED, deployment.explanation
        shop.run_as(old)


def test_a_consumer_that_cannot_start_with_the_new_value_brings_the_old_one_back(
    orchestrator: Orchestrator, image: str
) -> None:
    """Guards RestoreCurrent before RevertWave: what ECS starts on the way back reads what is current."""
    with consuming(orchestrator, image, "stale", knows=True) as shop:
        old, new = shop.database.users
        before, version = shop.value(), shop.version
        with shop.stopped_in("BeginCompensation") as come:
            execution = shop.begin()
            come()
            assert shop.version == version, "the way back begins before the old value is current"
        document = histories.document(orchestrator, execution, TURNS_SECONDS)
        deployment = orchestrator.ledger.find(document["deployment"])
        assert deployment is not None
        assert deployment.outcome is Outcome.FAILED_CLEAN, deployment.explanation
        assert (shop.value(), shop.version) == (before, version)
        shop.run_as(old)
        assert shop.database.admits(old, before["password"])
        shown = orchestrator.command.run("--local", "show", deployment.id, "--json").document
        assert shown["failure"]["service"] == "worker"
        [said] = {line for task in shown["failure"]["tasks"] for line in task["logs"]}
        assert said == f"{new} is not {old}"


def test_a_container_gets_the_version_that_it_names(shop: Shop, first: str) -> None:
    """Guards `_value` of the embedded cloud's container_secrets: MiniStack reads the current version alone, and knows
    no parameter that stands for a secret."""
    manager = shop.cloud.client("secretsmanager")
    made = manager.create_secret(Name=shop.name, SecretString='{"password": "old"}')
    arn, version = made["ARN"], made["VersionId"]
    manager.put_secret_value(SecretId=shop.name, SecretString='{"password": "new"}')
    reference = f"/aws/reference/secretsmanager/{shop.name}"
    named = {
        "KEY": f"{arn}:password::",
        "STAGE": f"{arn}:password:AWSPREVIOUS:",
        "VERSION": f"{arn}:password::{version}",
        "PARTIAL": f"{arn[:-7]}:password::",
        "WHOLE": arn,
        "REFERENCE": reference,
        "PREVIOUS": f"arn:aws:ssm:us-east-1:000000000000:parameter{reference}:AWSPREVIOUS",
        "SELECTED": f"{reference}:{version}",
    }
    secrets = [{"name": name, "valueFrom": source} for name, source in named.items()]
    script = "; ".join(f'echo "${name}"' for name in named)
    said = shop.lines(shop.run(shop.define(first, script, secrets=secrets)))
    old, new = '{"password": "old"}', '{"password": "new"}'
    assert dict(zip(named, said, strict=True)) == {
        "KEY": "new",
        "STAGE": "old",
        "VERSION": "old",
        "PARTIAL": "new",
        "WHOLE": new,
        "REFERENCE": new,
        "PREVIOUS": old,
        "SELECTED": old,
    }
