"""A system of a test's own whose releases migrate a database, and the database that they migrate."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self

import pg8000.native
from tidegate.domain.deployment import Deployment
from tidegate.domain.migration import MigrationRun
from tidegate.ledger.schemas import Schemas
from tidegate_local import sample
from tidegate_local.images import MANIFEST, File, image_of, upload
from tidegate_local.postgres.access import Access
from tidegate_local.sample import Build

from tests.e2e import histories
from tests.e2e.own_system import OwnSystem
from tests.e2e.support import SampleCloud
from tests.faults.stage import Stage

CANARY = f"canary{secrets.token_hex(12)}"
"""The password of every database of the tests: it is to be found nowhere but in its secret."""
COMMAND = ["manage", "migrate", "--no-input"]


@dataclass(frozen=True)
class Database:
    """Of its own in the PostgreSQL of the embedded cloud, with a user of the same name who owns it."""

    access: Access
    name: str

    @classmethod
    def make(cls, cloud: SampleCloud, name: str) -> Database:
        access = cloud.cloud.postgres
        assert access is not None, "the embedded cloud has a PostgreSQL"
        made = cls(access, name.replace("-", "_"))
        made._run(access.user, f"CREATE ROLE {made.name} LOGIN PASSWORD '{CANARY}'")
        made._run(access.user, f"CREATE DATABASE {made.name} OWNER {made.name}")
        return made

    def credential(self, **otherwise: Any) -> str:
        """What the secret of its user holds."""
        return json.dumps(
            {
                "engine": "postgres",
                "host": self.access.host,
                "port": self.access.port,
                "username": self.name,
                "password": CANARY,
                "dbname": self.name,
                **otherwise,
            }
        )

    def run(self, statement: str) -> list[Any]:
        """The rows of a statement that its user, who owns it, runs."""
        with self.connected("somebody") as connection:
            return list(connection.run(statement) or [])

    @contextmanager
    def connected(self, application: str) -> Iterator[pg8000.native.Connection]:
        """A session of its user under that application_name."""
        connection = pg8000.native.Connection(
            self.name,
            host=self.access.host,
            port=self.access.port,
            password=CANARY,
            database=self.name,
            application_name=application,
        )
        try:
            yield connection
        finally:
            connection.close()

    def columns(self, table: str) -> list[str]:
        """In their order; empty where there is no such table."""
        rows = self._run(
            self.name,
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND table_name = :table ORDER BY ordinal_position",
            table=table,
        )
        return [str(row[0]) for row in rows]

    def _run(self, database: str, statement: str, **values: str) -> list[Any]:
        access = self.access
        connection = pg8000.native.Connection(
            access.user, host=access.host, port=access.port, password=access.password, database=database
        )
        try:
            return list(connection.run(statement, **values) or [])
        finally:
            connection.close()


@dataclass(frozen=True)
class Migrating(Stage):
    """`api` rolls first and `worker` second; the task takes the shape of `api`."""

    @classmethod
    def of_command(
        cls, cloud: SampleCloud, name: str, *, database: Mapping[str, str] | None = None, **more: Any
    ) -> Self:
        """Its migrations run a command, with `more` in the manifest."""
        plain = Stage.make(cloud, name, {"api": 1, "worker": 2})
        own = cls(cloud, plain.system)
        return own.migrating({"service": "api", "command": COMMAND, **more}, database)

    @classmethod
    def of_files(cls, cloud: SampleCloud, name: str, **more: Any) -> tuple[Self, Database]:
        """Its migrations are the SQL files of its image."""
        plain = Stage.make(cloud, name, {"api": 1, "worker": 2})
        own = cls(cloud, plain.system)
        database, login = own._with_login()
        return own.migrating({"runner": "sql", **login, **more}), database

    @classmethod
    def of_command_and_database(cls, cloud: SampleCloud, name: str, **more: Any) -> tuple[Self, Database]:
        """Its migrations run a command, and a credential has the database looked at before and after."""
        plain = Stage.make(cloud, name, {"api": 1, "worker": 2})
        own = cls(cloud, plain.system)
        database, login = own._with_login()
        return own.migrating({"service": "api", "command": COMMAND, **login, **more}), database

    def _with_login(self) -> tuple[Database, dict[str, str]]:
        """A database, and what the manifest says of it."""
        database = Database.make(self.cloud, self.name)
        secret = f"{self.name}/production/migrator"
        self.cloud.client("secretsmanager").create_secret(Name=secret, SecretString=database.credential())
        return database, {"secret": secret.replace("production", "{environment}"), "tls": "off"}

    def migrating(self, migrations: Mapping[str, Any], database: Mapping[str, str] | None = None) -> Self:
        """The same system with these migrations, and perhaps a database of RDS, in its manifest."""
        more = {"migrations": dict(migrations)} | ({} if database is None else {"database": dict(database)})
        system = OwnSystem(self.cloud, {**self.system.manifest, **more})
        self.cloud.ports.registry.put_manifest(*self.place, system.manifest)
        return type(self)(self.cloud, system)

    def push(self, files: Mapping[str, str] | None = None) -> Build:
        """A new commit and its image, with these SQL files in `/migrations`."""
        ecr, commit = self.cloud.client("ecr"), secrets.token_hex(20)
        inside = {f"migrations/{name}": File(text.encode()) for name, text in (files or {}).items()}
        image = image_of(f"{commit}\n", files=inside)
        for blob in (image.layer, image.config):
            upload(ecr, sample.REPOSITORY, blob)
        ecr.put_image(
            repositoryName=sample.REPOSITORY,
            imageTag=commit,
            imageManifest=image.manifest,
            imageManifestMediaType=MANIFEST,
        )
        return Build(commit, image.digest)

    def begin(self, machine: Literal["deploy", "rollback", "migrate"], **request: Any) -> str:
        """Start a machine as a script does; the execution's ARN."""
        arn = f"arn:aws:states:{sample.REGION}:000000000000:stateMachine:tidegate-{machine}"
        given = {"system": self.name, "environment": self.place[1], "actor": "ada", **request}
        states = self.cloud.client("stepfunctions")
        return str(states.start_execution(stateMachineArn=arn, input=json.dumps(given))["executionArn"])

    def done(self, machine: Literal["deploy", "rollback", "migrate"], **request: Any) -> dict[str, Any]:
        """The outcome document of a machine."""
        return histories.document(self.cloud, self.begin(machine, **request))

    def deployed(self, build: Build, **request: Any) -> Deployment:
        """The deployment of a build, with its outcome, once the lock is free."""
        document = self.done("deploy", commit=build.commit, **request)
        known = self.cloud.ledger.find(document["deployment"])
        assert known is not None
        assert known.outcome is not None
        self.until(lambda: self.lock.free, "a free lock")
        return known

    # --- the migration

    @property
    def group(self) -> str:
        """Of its one-off tasks, which is how a fault finds them."""
        return f"tidegate-migrate-{self.system.services['api']}"

    @contextmanager
    def task_fault(self, mode: Literal["crash", "hang"]) -> Iterator[None]:
        self.cloud.control.set_fault(self.group, mode)
        try:
            yield
        finally:
            self.cloud.control.clear_fault(self.group)

    def run_of(self, deployment: Deployment) -> MigrationRun:
        """What the ledger has of its migration."""
        known = Schemas(self.cloud.ports.store, self.cloud.ports.clock).run_of(deployment.id)
        assert known is not None
        return known

    def migrating_now(self, execution: str) -> Deployment:
        """The deployment of an execution, once it has a task and somebody waits for its end."""
        deployment = self.of(execution)

        def runs() -> bool:
            tasks = self.one_off_tasks()
            waits = any(token["awaited"].startswith("ecs-task/") for token in self._tokens(deployment))
            return waits and len(tasks) == 1 and tasks[0]["lastStatus"] != "STOPPED"

        self.until(runs, "the migration's task to be under way")
        return self.now(deployment)

    def one_off_tasks(self) -> list[dict[str, Any]]:
        """DescribeTasks of all that no service started, oldest first."""
        ecs, arns = self.cloud.client("ecs"), set[str]()
        for status in ("RUNNING", "STOPPED"):
            arns |= set(ecs.list_tasks(cluster=self.name, desiredStatus=status)["taskArns"])
        if not arns:
            return []
        tasks = ecs.describe_tasks(cluster=self.name, tasks=sorted(arns))["tasks"]
        mine = [task for task in tasks if not str(task.get("group", "")).startswith("service:")]
        return sorted(mine, key=lambda task: str(task["createdAt"]))

    def rollouts(self) -> dict[str, int]:
        """How often each service was created or updated, by its key."""
        return {key: self.service_deployments(key) for key in self.system.services}

    def _tokens(self, deployment: Deployment) -> list[dict[str, Any]]:
        return [dict(token) for token in self.cloud.ledger.tokens_of(deployment.id)]
