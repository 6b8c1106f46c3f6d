"""A system of a test's own whose services take a secret, the database that the secret opens, and its rotations."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import pg8000.native
from tidegate.domain.deployment import Deployment
from tidegate.domain.rotation import RotationRun, SecretStanding
from tidegate.ledger.rotations import Rotations
from tidegate_local import sample
from tidegate_local.postgres.access import Access

from tests.e2e import histories
from tests.e2e.migrating_system import Database
from tests.e2e.own_system import EcsService, OwnSystem
from tests.e2e.support import ENDS_SECONDS, SampleCloud
from tests.faults.stage import ENVIRONMENT, Stage
from tests.support.waiting import wait_until

MACHINE = "rotate"
TURNS_SECONDS = 120.0
"""Two services roll one after the other, each of them perhaps back again."""
TAKEN_OVER_SECONDS = 300.0
"""A recovery waits for as long as a function may still move the secret's current value (tidegate.steps.taking_over)."""


@dataclass(frozen=True)
class Shared:
    """A database of two users, `<name>_a` and `<name>_b`, who act as the role that owns it, and an administrator who
    may change their passwords; or, before it is adopted, of one user alone, who owns it."""

    access: Access
    name: str
    adopted: bool
    passwords: Mapping[str, str] = field(repr=False)

    @classmethod
    def make(cls, cloud: SampleCloud, name: str, *, adopted: bool = True) -> Self:
        own = Database.make(cloud, name)
        users = [f"{own.name}_a", f"{own.name}_b"] if adopted else [own.name]
        admin = f"{own.name}_admin"
        made = cls(own.access, own.name, adopted, {user: _password() for user in [*users, admin]})
        made.run(f"CREATE ROLE {admin} LOGIN CREATEROLE CREATEDB PASSWORD '{made.passwords[admin]}'")
        if adopted:
            made.run(f"ALTER ROLE {own.name} NOLOGIN")
        else:
            made.run(f"ALTER ROLE {own.name} PASSWORD '{made.passwords[own.name]}'")
        for user in users if adopted else ():
            made.run(f"CREATE ROLE {user} LOGIN PASSWORD '{made.passwords[user]}'")
            made.run(f"GRANT {own.name} TO {user}")
            made.run(f"ALTER ROLE {user} SET role = {own.name}")
        for user in users:
            made.run(f"GRANT {user} TO {admin} WITH ADMIN OPTION")
        return made

    @property
    def users(self) -> tuple[str, ...]:
        """The one whose turn it is first comes first."""
        return (f"{self.name}_a", f"{self.name}_b") if self.adopted else (self.name, f"{self.name}_clone")

    @property
    def admin(self) -> str:
        return f"{self.name}_admin"

    def credential(self, user: str) -> dict[str, Any]:
        """What a secret of that user holds before any rotation."""
        return {
            "engine": "postgres",
            "host": self.access.host,
            "port": self.access.port,
            "username": user,
            "password": self.passwords[user],
            "dbname": self.name,
        }

    def url(self, user: str) -> str:
        return f"postgresql://{user}:{self.passwords[user]}@{self.access.host}:{self.access.port}/{self.name}"

    def admits(self, user: str, password: str) -> bool:
        """Whether somebody can log in so."""
        try:
            connection = pg8000.native.Connection(
                user, host=self.access.host, port=self.access.port, password=password, database=self.name
            )
        except pg8000.exceptions.DatabaseError:
            return False
        connection.close()
        return True

    def run(self, statement: str) -> None:
        """As the superuser."""
        access = self.access
        connection = pg8000.native.Connection(
            access.user, host=access.host, port=access.port, password=access.password, database=self.name
        )
        try:
            connection.run(statement)
        finally:
            connection.close()


@dataclass(frozen=True)
class Rotating(Stage):
    """`api` takes all of the secret and starts again first; `worker` takes one key of it. `arn` is the secret's."""

    arn: str

    @classmethod
    def make_with(
        cls, cloud: SampleCloud, name: str, value: str, taken: str, wanted: Mapping[str, Any]
    ) -> Self:
        """`value` is the secret's, `wanted` what the manifest says of it. `taken` is what `worker` takes of it, as ECS
        writes it behind the secret's ARN: key, stage, version."""
        name = f"{name}-{secrets.token_hex(2)}"
        secret = f"{name}/{ENVIRONMENT}/app"
        arn = str(cloud.client("secretsmanager").create_secret(Name=secret, SecretString=value)["ARN"])
        ecr = cloud.client("ecr")
        repository = ecr.describe_repositories(repositoryNames=[sample.REPOSITORY])["repositories"][0]
        image = f"{repository['repositoryUri']}@{cloud.push('before Tidegate').digest}"
        manifest = {
            "system": name,
            "images": {"app": {"repository": sample.REPOSITORY}},
            "services": {
                service: {"service": f"{name}-{service}", "image": "app", "wave": wave}
                for service, wave in (("api", 1), ("worker", 2))
            },
            "environments": {ENVIRONMENT: {"region": sample.REGION, "cluster": name}},
            "secrets": {f"{name}/{{environment}}/app": {"overlap": "1s", **wanted}},
        }
        services = [
            EcsService(service, secrets={"CREDENTIAL": source})
            for service, source in (("api", arn), ("worker", f"{arn}:{taken}"))
        ]
        return cls(cloud, OwnSystem.make(cloud, manifest, services, image), arn)

    @classmethod
    def of_database(
        cls,
        cloud: SampleCloud,
        name: str,
        *,
        adopted: bool = True,
        url: bool = False,
        stage: str = "",
        every: str | None = None,
    ) -> tuple[Self, Shared]:
        """Its secret is the usual JSON of a user of PostgreSQL, or its connection string as a URL. `worker` takes its
        key with that `stage`."""
        database = Shared.make(cloud, f"{name}_{secrets.token_hex(2)}", adopted=adopted)
        admin = f"{database.name}/{ENVIRONMENT}/admin"
        cloud.client("secretsmanager").create_secret(
            Name=admin, SecretString=json.dumps(database.credential(database.admin))
        )
        first = database.users[0]
        value = {"url": database.url(first)} if url else database.credential(first)
        wanted: dict[str, Any] = {"kind": "postgres", "tls": "off", "admin": admin}
        if adopted:
            wanted |= {"users": list(database.users)}
        if url:
            wanted |= {"format": {"key": "url", "style": "url"}}
        if every is not None:
            wanted |= {"every": every}
        taken = f"{'url' if url else 'password'}:{stage}:"
        return cls.make_with(cloud, name, json.dumps(value), taken, wanted), database

    @classmethod
    def of_token(cls, cloud: SampleCloud, name: str) -> Self:
        value = json.dumps({"keys": [_password()]})
        return cls.make_with(cloud, name, value, "keys::", {"kind": "token"})

    # --- the secret

    @property
    def secret(self) -> str:
        return f"{self.name}/{ENVIRONMENT}/app"

    def value(self) -> dict[str, Any]:
        """Its value."""
        return dict(json.loads(self._manager.get_secret_value(SecretId=self.secret)["SecretString"]))

    def at(self, stage: str) -> str | None:
        """Id of the version that has this label."""
        known = self._manager.describe_secret(SecretId=self.secret)["VersionIdsToStages"]
        return next((version for version, stages in known.items() if stage in stages), None)

    @property
    def version(self) -> str:
        version = self.at("AWSCURRENT")
        assert version is not None
        return version

    def values(self) -> list[str]:
        """Those of all versions that Secrets Manager still has."""
        listed = self._manager.list_secret_version_ids(SecretId=self.secret, IncludeDeprecated=True)[
            "Versions"
        ]
        return [
            str(
                self._manager.get_secret_value(SecretId=self.secret, VersionId=entry["VersionId"])[
                    "SecretString"
                ]
            )
            for entry in listed
        ]

    def written_by_hand(self, value: Mapping[str, Any]) -> str:
        """Somebody else makes a value current; the id of its version."""
        answer = self._manager.put_secret_value(SecretId=self.secret, SecretString=json.dumps(value))
        return str(answer["VersionId"])

    @property
    def _manager(self) -> Any:
        return self.cloud.client("secretsmanager")

    # --- its rotations

    def begin(self, **request: Any) -> str:
        """Start the machine as a script does; the execution's ARN."""
        arn = f"arn:aws:states:{sample.REGION}:000000000000:stateMachine:tidegate-{MACHINE}"
        given = {
            "system": self.name,
            "environment": ENVIRONMENT,
            "secret": self.secret,
            "actor": "ada",
            **request,
        }
        states = self.cloud.client("stepfunctions")
        return str(states.start_execution(stateMachineArn=arn, input=json.dumps(given))["executionArn"])

    def done(self, **request: Any) -> dict[str, Any]:
        """The outcome document of one."""
        return histories.document(self.cloud, self.begin(**request), TURNS_SECONDS)

    def rotated(self, **request: Any) -> Deployment:
        """A rotation with its outcome, once the lock is free."""
        document = self.done(**request)
        known = self.cloud.ledger.find(document["deployment"])
        assert known is not None, document
        assert known.outcome is not None, document
        self.until(lambda: self.lock.free, "a free lock")
        return known

    def finished(self, deployment: Deployment, seconds: float = ENDS_SECONDS) -> Deployment:
        """One that runs, with its outcome, once the lock is free."""
        done = self.ended(deployment, seconds)
        self.until(lambda: self.lock.free, "a free lock")
        return done

    @contextmanager
    def stopped_in(self, state: str) -> Iterator[Callable[[], None]]:
        """Its rotations stand still in that state; what is given waits until one has come there."""
        control = self.cloud.control

        def come() -> None:
            wait_until(
                lambda: [
                    one for one in control.held() if (one["system"], one["state"]) == (self.name, state)
                ],
                what=f"a rotation to come to {state}",
                seconds=TURNS_SECONDS,
                pause=0.2,
            )

        control.hold(MACHINE, state, self.name)
        try:
            yield come
        finally:
            control.release(MACHINE, state, self.name)

    def stop(self, deployment: Deployment) -> None:
        """Somebody stops its execution by hand."""
        self.cloud.client("stepfunctions").stop_execution(executionArn=deployment.execution)

    def run_of(self, deployment: Deployment) -> RotationRun:
        """What the ledger has of it."""
        known = self._rotations.run_of(deployment.id)
        assert known is not None
        return known

    @property
    def standing(self) -> SecretStanding | None:
        return self._rotations.standing(*self.place, self.secret)

    @property
    def _rotations(self) -> Rotations:
        return Rotations(self.cloud.ports.store, self.cloud.ports.clock)

    # --- the consumers

    def rollouts(self) -> dict[str, int]:
        """How often each service was created or updated, by its key."""
        return {key: self.service_deployments(key) for key in self.system.services}

    def tasks(self) -> dict[str, frozenset[str]]:
        """ARNs of the tasks that run, by their service's key. Times say less: ECS tells them in whole seconds."""
        return {
            key: frozenset(task["taskArn"] for task in self.system.tasks(key)) for key in self.system.services
        }

    def started_since(self, tasks: Mapping[str, frozenset[str]]) -> list[str]:
        """Keys of the services that run, now that they have settled, without any of these tasks."""
        self.system.settle()
        return [key for key, arns in self.tasks().items() if arns and not arns & tasks[key]]

    def order(self, deployment: Deployment, what: str = "rolling") -> list[str]:
        """Keys of the services, in the order in which the rotation had ECS roll them, or go back with `reverting`."""
        lines = self.cloud.ledger.timeline(deployment.id)
        return [str(line.service) for line in lines if line.what == what]

    @contextmanager
    def only_with(self, version: str, *keys: str, mode: Literal["crash", "hang"] = "crash") -> Iterator[None]:
        """New tasks of these services fail while another version is current."""
        control, names = self.cloud.control, [self.system.services[key] for key in keys]
        for name in names:
            control.set_fault(name, mode, unless=(self.arn, version))
        try:
            yield
        finally:
            for name in names:
                control.clear_fault(name)


def _password() -> str:
    return f"canary{secrets.token_hex(16)}"
