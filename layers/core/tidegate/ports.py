"""Everything outside, as Protocols: what the steps need of AWS, in the steps' own words.

Adapters turn every failure of a call into an error of `domain.errors`: TransientError where asking again helps,
OutsideError where it does not; what is simply not there is a None or an empty answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from tidegate.domain.build import BuildRun
from tidegate.domain.credentials import JSON, Credential, Format
from tidegate.domain.rollout import EcsDeployment, ServiceState
from tidegate.domain.scaling import Bounds
from tidegate.domain.schedule import Schedule

Item = Mapping[str, Any]


class Clock(Protocol):
    def now(self) -> datetime:
        """The time in UTC, with a time zone."""


@dataclass(frozen=True, slots=True)
class Key:
    pk: str
    sk: str


@dataclass(frozen=True, slots=True)
class Put:
    """Write an item whole, if the stored one has these attributes with these values.

    In `expect`, None stands for "the attribute is absent"; `{}` writes in any case; `{"pk": None}` only creates.
    """

    key: Key
    item: Item
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delete:
    key: Key
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """Write nothing, but let the transaction fail unless the stored item has these values."""

    key: Key
    expect: Mapping[str, Any]


Write = Put | Delete | Check


class ConditionFailedError(Exception):
    """A transaction was not carried out; `index` is the first write whose condition did not hold."""

    def __init__(self, index: int) -> None:
        super().__init__(f"the condition of write {index} does not hold")
        self.index = index


class Store(Protocol):
    """The one table. Items are JSON (text, whole numbers, booleans, None, lists, mappings); reads are strongly
    consistent but for `query_kind`, which reads the index by time."""

    def get(self, key: Key) -> Item | None: ...

    def query(
        self, pk: str, prefix: str = "", *, newest_first: bool = False, limit: int | None = None
    ) -> Iterator[Item]:
        """Items of one partition whose sort key starts with `prefix`, in the order of the sort key."""

    def query_kind(self, kind: str, *, since: str = "", newest_first: bool = False) -> Iterator[Item]:
        """Items with this `kind` attribute by their `at` attribute (ISO 8601), from `since` on."""

    def transact(self, writes: Sequence[Write]) -> None:
        """All writes (at most 100) or none. Raises ConditionFailedError, or TransientError when it is not known
        whether they were carried out."""


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """`content` is what DescribeTaskDefinition says, whole; `tags` as a plain mapping; `active` its status."""

    arn: str
    family: str
    active: bool
    content: Mapping[str, Any]
    tags: Mapping[str, str]


# Of the TransientError of `Containers.run_task`.
NO_CAPACITY = "no_capacity"


@dataclass(frozen=True, slots=True)
class OneOff:
    """A task to run once, like those of `service` but for the command and the environment of one container.

    `token` makes ECS start it only once; `started_by` and `group` are what ECS shows of it.
    """

    cluster: str
    service: str
    task_definition: str
    container: str
    command: Sequence[str]
    environment: Mapping[str, str]
    token: str
    started_by: str
    group: str


@dataclass(frozen=True, slots=True)
class StoppedTask:
    """A task of an ECS deployment that stopped; `stopped_at` is ISO 8601.

    `containers` are `{"name", "exit_code" (None when it never ran), "reason"}`.
    """

    arn: str
    stopped_at: str
    stop_code: str
    reason: str
    task_definition: str
    containers: Sequence[Mapping[str, Any]]

    @property
    def id(self) -> str:
        return self.arn.rsplit("/", 1)[-1]

    def exit_code(self, container: str) -> int | None:
        """None where it never ran, or ran and was lost."""
        return next(
            (entry.get("exit_code") for entry in self.containers if entry.get("name") == container), None
        )

    @property
    def failed(self) -> bool:
        """Whether one of its containers did not end well, or never began."""
        return self.stop_code == "TaskFailedToStart" or any(
            entry.get("exit_code") not in (None, 0) for entry in self.containers
        )


class Containers(Protocol):
    """Amazon ECS."""

    def services(self, cluster: str, names: Sequence[str]) -> dict[str, ServiceState]:
        """By ECS name; a service that ECS does not know is left out, as are all when the cluster is missing."""

    def task_definition(self, name: str) -> TaskDefinition | None:
        """By ARN, by `family:revision`, or by family (its newest active revision)."""

    def revisions(self, family: str) -> Iterator[str]:
        """ARNs of a family's active revisions, newest first."""

    def register(self, content: Mapping[str, Any], tags: Mapping[str, str]) -> TaskDefinition:
        """A new revision with these fields (those that `domain.plan.shape` keeps) and tags."""

    def update_service(
        self, cluster: str, service: str, task_definition: str, *, force: bool = False
    ) -> EcsDeployment:
        """Start a rolling deployment; gives the PRIMARY deployment of the answer.

        ECS starts none when the PRIMARY runs this task definition already: then that one is given, unless `force`
        wants new tasks all the same. Raises NotFoundError when there is no such active service.
        """

    def set_desired_count(self, cluster: str, service: str, count: int) -> None:
        """How many tasks a service is to run; starts no ECS deployment. Raises NotFoundError when there is no such
        active service."""

    def stopped_tasks(self, cluster: str, service: str, deployment_id: str) -> list[StoppedTask]:
        """Those of one ECS deployment that ECS still remembers (about an hour), newest first."""

    def run_task(self, wanted: OneOff) -> str:
        """ARN of the task, in the network and on the capacity of the service.

        Raises TransientError while there is no capacity (with the code NO_CAPACITY: no task was started),
        NotFoundError when there is no such active service.
        """

    def task(self, cluster: str, arn: str) -> StoppedTask | None:
        """A task that has stopped; None while it has not. Raises NotFoundError when ECS does not know it: one that
        it has forgotten (about an hour after its end), or that began this moment."""

    def stop_task(self, cluster: str, arn: str, reason: str) -> None:
        """Begin to stop it; nothing happens when ECS knows it no more."""


@dataclass(frozen=True, slots=True)
class Scan:
    """`findings` counts by severity. `status` as ECR has it (API reference, ImageScanStatus): COMPLETE and ACTIVE have
    findings; PENDING and IN_PROGRESS will have; all others never will."""

    status: str
    findings: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""

    @property
    def complete(self) -> bool:
        return self.status in ("COMPLETE", "ACTIVE")

    @property
    def pending(self) -> bool:
        return self.status in ("PENDING", "IN_PROGRESS")


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """`files` by their name within the folder, as the image's topmost layer that has them leaves them; `labels` as
    the image's configuration has them."""

    files: Mapping[str, bytes]
    labels: Mapping[str, str] = field(default_factory=dict)


class Images(Protocol):
    """Amazon ECR."""

    def uri(self, repository: str) -> str | None:
        """The repository's address for `docker pull`, without tag; None when there is no such repository."""

    def digest(self, repository: str, tag: str) -> str | None: ...

    def exists(self, repository: str, digest: str) -> bool: ...

    def tag(self, repository: str, digest: str, tag: str) -> str | None:
        """Let a tag name an image that is there, without pulling it; a tag that names another image is not moved.

        Gives the digest that the tag names afterwards, None when the repository has no such image.
        """

    def scan(self, repository: str, digest: str) -> Scan | None:
        """What ECR's scan of an image found; None when there is none (not scanned, or no such image)."""

    def folder(self, repository: str, digest: str, directory: str, suffix: str) -> ImageFolder | None:
        """The files directly in a folder of an image whose names end in `suffix`, and the image's labels; None when the
        repository has no such image. An image without the folder has no files."""


@dataclass(frozen=True, slots=True)
class Project:
    """A CodeBuild project. `variables` are its own environment variables, the plain ones; `branch` the source version
    it builds by default."""

    name: str
    source_type: str
    location: str
    branch: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


class Builds(Protocol):
    """AWS CodeBuild."""

    def projects(self, names: Sequence[str]) -> dict[str, Project]:
        """By name; those that CodeBuild does not know are left out."""

    def start(self, project: str, commit: str, variables: Mapping[str, str], token: str) -> BuildRun:
        """Start a build of a commit; the same token within five minutes gives the same build.

        Raises NotFoundError when there is no such project.
        """

    def runs(self, ids: Sequence[str]) -> dict[str, BuildRun]:
        """By id; those that CodeBuild does not know are left out."""


class Sources(Protocol):
    """Git repositories, as far as they can be asked (`domain.source` has the notation)."""

    def changes(self, repository: str, before: str, after: str) -> list[str] | None:
        """Paths that differ between two commits, old names and new; None where that cannot be told."""

    def tree(self, repository: str, commit: str, path: str) -> str | None:
        """Git's id of a folder (`.` for the root) in a commit; None where that cannot be told."""


class References(Protocol):
    """Secrets Manager and SSM, as far as a task definition points to them. Values are never read."""

    def missing(self, value_froms: Sequence[str]) -> list[str]:
        """Those that point to a secret or parameter that does not exist."""


class Alarms(Protocol):
    def missing(self, names: Sequence[str]) -> list[str]:
        """Those that CloudWatch does not know, in their order."""

    def in_alarm(self, names: Sequence[str]) -> list[str]:
        """Names of those CloudWatch alarms (metric or composite) that are in ALARM."""


class Logs(Protocol):
    def tail(self, group: str, stream: str, lines: int) -> list[str]:
        """The last lines of a log stream; empty when there is none."""


class Registry(Protocol):
    """SSM Parameter Store under `/tidegate/`."""

    def manifest(self, system: str, environment: str) -> object | None:
        """The registered manifest as plain data, or None. Raises BadManifestError when it is not JSON."""

    def put_manifest(self, system: str, environment: str, data: object) -> None:
        """Register a manifest in an environment; one over 8 KB goes to the table and is pointed to."""

    def environments(self, system: str) -> list[str]:
        """Environments the system is registered in, sorted."""

    def systems(self) -> list[tuple[str, str]]:
        """Every registered (system, environment), sorted."""

    def publish_image(self, system: str, environment: str, image: str, uri: str) -> None:
        """Tell IaC tools what runs: `/tidegate/<system>/<environment>/image/<image>`."""

    def count(self, system: str, environment: str, service: str) -> int | None:
        """What `publish_count` told last of a service (by its key); None where there is no number."""

    def publish_count(self, system: str, environment: str, service: str, count: int) -> None:
        """Tell IaC tools how many: `/tidegate/<system>/<environment>/count/<service>`."""


class Scaling(Protocol):
    """AWS Application Auto Scaling, as far as the desired counts of ECS services are concerned."""

    def bounds(self, cluster: str, service: str) -> Bounds | None:
        """None for a service (by its ECS name) that nothing scales."""


@dataclass(frozen=True, slots=True)
class Execution:
    """`status` as Step Functions has it: RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED or PENDING_REDRIVE.

    `result` is the text it ended with: its output, or the cause of its failure; None where it left none.
    """

    arn: str
    status: str
    stopped_at: datetime | None = None
    result: str | None = None

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"


@dataclass(frozen=True, slots=True)
class Started:
    """`new` is False when an execution of that name exists already."""

    arn: str
    new: bool


class Executions(Protocol):
    """AWS Step Functions."""

    def start(self, machine: str, name: str, payload: Mapping[str, Any]) -> Started:
        """Start `deploy` or `rollback` under a name that is used only once."""

    def describe(self, arn: str) -> Execution | None: ...

    def named(self, machine: str, name: str) -> Execution | None:
        """The execution of this name of `deploy` or `rollback`, if there is one."""

    def succeed(self, token: str, output: Mapping[str, Any]) -> bool:
        """Answer a waiting task; False when nobody waits with that token any more."""


class Bus(Protocol):
    def emit(self, detail_type: str, detail: Mapping[str, Any], source: str = "tidegate") -> None:
        """Put an event on the default bus."""


class WebhookSecrets(Protocol):
    """Secrets Manager, as far as GitHub's webhooks are concerned: by `owner/name`, the secret that GitHub signs with.

    A repository whose secret cannot be one (too short) is left out.
    """

    def get(self) -> Mapping[str, str]:
        """As they were at most five minutes ago."""

    def reread(self) -> Mapping[str, str] | None:
        """As they are now; None where they were read within the last minute."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of an HTTP server: the status, the first 64 KiB of the body, and how many seconds it took to get both."""

    status: int
    body: bytes
    seconds: float


class Web(Protocol):
    """Services that answer HTTP, and time that passes between two looks at one."""

    def get(self, url: str, timeout: float) -> Answer:
        """What is answered within `timeout` seconds, whatever its status; a redirect is not followed.

        Raises TransientError, with a reason that tells neither the address nor what was sent, where nobody answers or
        the answer is not HTTP.
        """

    def wait(self, seconds: float) -> None: ...


class Backups(Protocol):
    """Amazon RDS: `kind` is `cluster` or `instance`."""

    def status(self, kind: str, name: str) -> str | None:
        """Of a database, as RDS has it (`available`, `stopped`, …); None when there is none of this name."""

    def snapshot(self, kind: str, name: str, snapshot: str) -> None:
        """Begin a snapshot; one of this name that is there already is left as it is."""

    def snapshot_status(self, kind: str, snapshot: str) -> str | None:
        """As RDS has it (`creating`, `available`, …); None when there is none of this name."""


class SqlError(Exception):
    """The database refused a statement. `code` is the SQLSTATE, `message` the primary message alone: details and
    hints may show rows."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class Session(Protocol):
    """One connection to a PostgreSQL database; without BEGIN, each call of `run` is a transaction of its own.

    Both raise SqlError for what the database refuses, TransientError when the connection is lost.
    """

    def run(self, sql: str) -> list[list[Any]]:
        """One or more statements as they are, by the simple protocol; gives the rows of the last one."""

    def query(self, sql: str, **values: Any) -> list[list[Any]]:
        """One statement with `:name` placeholders."""

    def close(self) -> None: ...


class Databases(Protocol):
    """Databases, by the name of the secret that holds a credential."""

    def connect(
        self,
        secret: str,
        tls: str,
        application: str,
        patience: float,
        format: Format = JSON,  # noqa: A002 - the manifest's word
    ) -> Session:
        """A new connection under this `application_name`; `tls` is `verify-full` or `off`, `format` how the secret says
        what a credential has.

        A server that does not answer, or says that it is starting, is asked again for `patience` seconds (a paused
        Aurora wakes when it is). Raises TransientError when it never answered, and OutsideError for a secret that is
        missing or has another shape, a wrong password, or a server that does not prove who it is. No error shows an
        address or a credential.
        """


class WrongPasswordError(Exception):
    """The database refuses this user with this password, or does not let the user log in at all. Only the database's
    own answer is one: a network that fails, or a server that is not who it should be, says nothing about a password."""


class Login(Protocol):
    """One connection to a database as one of its users, who may change others when it is an administrator.

    Every method may be called again after it has succeeded. They raise SqlError for what the database refuses,
    TransientError when the connection is lost. No password is ever in a statement that a server's log would show, where
    the database knows another way (PostgreSQL: a SCRAM verifier).
    """

    @property
    def user(self) -> str:
        """Who logged in (PostgreSQL: session_user), as the database says it."""

    def set_password(self, user: str, password: str, *, keep_old: bool = False) -> None:
        """Give a user this password and let it log in. With `keep_old` the one before works as well (MySQL's dual
        passwords): a second call would throw the good one away, so log in with the new one first."""

    def disable(self, user: str) -> None:
        """Let a user log in no more; sessions that it has go on."""

    def discard_old_password(self, user: str) -> None:
        """The end of `keep_old`."""

    def lacking(self, user: str, like: str) -> Sequence[str]:
        """What `like` may do and `user` may not, in the database's words; empty when one can stand for the other."""

    def sessions(self, user: str) -> int:
        """How many connections a user has, beside this one."""

    def exists(self, user: str) -> bool:
        """Whether there is such a user, who may log in or not."""

    def adoption(self, user: str, second: str) -> Sequence[str]:
        """The statements that make `second` stand for `user`, and `user` itself with what it needs in this database
        where it is not there (then `second` may be the same). Each may run twice, and there are none where it is so
        already. Where a password belongs, words stand that say which."""

    def run(self, statements: Sequence[str], user: str, password: str) -> None:
        """Those of `adoption`; `user`, where it is made, gets this password."""

    def close(self) -> None: ...


class Logins(Protocol):
    """Databases that a credential opens."""

    def log_in(self, credential: Credential, tls: str, patience: float) -> Login:
        """A new connection, over verified TLS unless `tls` is `off`; a server that does not answer is asked again for
        `patience` seconds.

        Raises WrongPasswordError, TransientError when the database never answered, OutsideError for a server that does
        not prove who it is, offers no TLS, or is of an engine that nobody here speaks.
        """


@dataclass(frozen=True, slots=True)
class SecretValue:
    """One version of a secret. `created_at` is ISO 8601."""

    text: str = field(repr=False)
    version: str
    stages: frozenset[str]
    created_at: str


@dataclass(frozen=True, slots=True)
class SecretState:
    """What Secrets Manager says of a secret without its value: `stages` by version (those without a label are left
    out)."""

    arn: str
    name: str
    stages: Mapping[str, frozenset[str]]
    created_at: str = ""
    changed_at: str = ""

    def version_with(self, stage: str) -> str | None:
        return next((version for version, stages in self.stages.items() if stage in stages), None)


class MovedError(Exception):
    """AWSCURRENT is at another version than the one it was to be moved from: somebody else was here."""


class Secrets(Protocol):
    """AWS Secrets Manager. Each is given a secret's name or ARN."""

    def describe(self, secret: str) -> SecretState | None:
        """None where there is no such secret, or it is being deleted."""

    def current(self, secret: str) -> SecretValue:
        """What AWSCURRENT is at. Raises NotFoundError where there is none."""

    def version(self, secret: str, version: str) -> SecretValue | None:
        """One version; None where there is none of this id."""

    def put_pending(self, secret: str, version: str, text: str) -> None:
        """Write a new version, labelled AWSPENDING. The same again changes nothing; raises ConflictError where this
        version has another text: read it back."""

    def move_current(self, secret: str, *, to: str, from_: str) -> None:
        """Move AWSCURRENT, which has to be at `from_`: MovedError otherwise. Where it is at `to` already, nothing
        happens. What was current is AWSPREVIOUS from then on, and `to` is AWSPENDING no more."""

    def drop_pending(self, secret: str, version: str) -> None:
        """Take AWSPENDING from this version, if it has it; never from another one."""

    def password(self, length: int = 40) -> str:
        """A new one, of letters and digits."""


class Schedules(Protocol):
    """Amazon EventBridge Scheduler: what starts rotations at their time."""

    def of(self, system: str, environment: str) -> Mapping[str, Schedule]:
        """Those of one environment by name, as they are now: a name that is not the schedule's own is one that somebody
        has changed. Raises NotFoundError where this installation has no group for them."""

    def put(self, schedule: Schedule) -> bool:
        """Make it, or make the one of its name what it says; False where it is that already, whenever that begins.
        Raises NotFoundError as `of` does."""

    def remove(self, name: str) -> None:
        """Nothing happens where there is none of this name."""


class Metrics(Protocol):
    def count(self, name: str, value: float = 1, unit: str = "Count", **dimensions: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All of it: what a step's `run(event, ports)` is given."""

    store: Store
    containers: Containers
    images: Images
    builds: Builds
    sources: Sources
    references: References
    alarms: Alarms
    logs: Logs
    registry: Registry
    executions: Executions
    bus: Bus
    metrics: Metrics
    clock: Clock
    webhook_secrets: WebhookSecrets
    web: Web
    databases: Databases
    backups: Backups
    logins: Logins
    secrets: Secrets
    schedules: Schedules
    scaling: Scaling
