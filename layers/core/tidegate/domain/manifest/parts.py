"""The parts of a manifest, as people write them; environments are in `environment.py`.

Rules that need more than one field are in `checks.py`: they hold for the manifest as a whole, and a model's own
validator would not run while another of its fields is wrong. `docs/manifest.md` is the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

from tidegate.domain.manifest.fields import (
    AbsolutePath,
    AdminTemplate,
    BodyText,
    CommandLine,
    ContainerName,
    DatabaseIdentifier,
    DatabaseUser,
    EcsServiceName,
    HttpUrl,
    ImageKey,
    Interval,
    JsonKey,
    MaybeNoneWithinDay,
    ProjectName,
    RelativePath,
    RepositoryName,
    SecretTemplate,
    ServiceKey,
    TagTemplate,
    WithinDay,
    WithinInvocation,
    WithinMinute,
    Word,
    word_or,
)

# Lists arrive as lists and are kept as tuples: a manifest is a value. The items stay strict.
AsTuple: Final = Strict(False)


class Part(BaseModel):
    """Frozen, and strict: `wave: "2"` or `expect: true` is a mistake, not a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, serialize_by_alias=True)

    # How messages call it.
    noun: ClassVar[str]


class Build(Part):
    """How CodeBuild makes an image."""

    noun: ClassVar[str] = "a build"

    project: ProjectName = Field(
        description="CodeBuild project that builds the image.", examples=["arive-build"]
    )
    context: RelativePath = Field(
        default=".",
        description="Folder given to docker build, from the repository's root.",
        examples=["backend"],
    )
    dockerfile: RelativePath = Field(
        default="Dockerfile", description="Dockerfile, within the context.", examples=["Dockerfile"]
    )
    test: CommandLine | None = Field(
        default=None,
        description="Command run before the image is built; it must succeed.",
        examples=["make test"],
    )


class Image(Part):
    """Something built: one ECR repository and how its tags are named."""

    noun: ClassVar[str] = "an image"

    repository: RepositoryName = Field(
        description="ECR repository name, without the registry.", examples=["arive-api"]
    )
    tag: TagTemplate = Field(
        default="{commit}",
        description="Tag of a commit's image; {commit} stands for the commit. Give each image a prefix where several"
        " share one repository.",
        examples=["{commit}", "identity-{commit}"],
    )
    build: Build | None = Field(
        default=None,
        description="How it is built; leave out for an image that another CI builds.",
        examples=[
            {"project": "arive-build", "context": "backend", "dockerfile": "Dockerfile", "test": "make test"}
        ],
    )
    watch: Annotated[tuple[Word, ...], AsTuple] = Field(
        default=(),
        description="Path patterns; a push that touches none of them does not rebuild the image. Default: any path.",
        examples=[["backend/**"]],
    )


class Smoke(Part):
    """A request that must be answered well after a service has rolled."""

    noun: ClassVar[str] = "a smoke check"

    url: HttpUrl = Field(description="Address to ask.", examples=["https://api.tryarive.com/health"])
    expect: int = Field(
        default=200, ge=100, le=599, description="HTTP status that means well.", examples=[200]
    )
    body: BodyText | None = Field(
        default=None, description="Text that the answer must contain.", examples=['"status":"ok"']
    )
    latency: WithinMinute | None = Field(
        default=None, description="Longest time that one answer may take.", examples=["2s"]
    )
    within: WithinInvocation = Field(
        default=timedelta(seconds=60), description="How long it may take to answer well.", examples=["60s"]
    )


class Service(Part):
    """One ECS service of the system."""

    noun: ClassVar[str] = "a service"

    service: EcsServiceName | None = Field(
        default=None, description="ECS service name; default: the key.", examples=["arive-api"]
    )
    image: ImageKey = Field(description="Which image of the manifest it runs.", examples=["app"])
    container: ContainerName | None = Field(
        default=None,
        description="Container whose image is replaced; default: the only one of the task definition.",
        examples=["api"],
    )
    wave: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Waves roll in order, the services of a wave together.",
        examples=[1],
    )
    smoke: Smoke | None = Field(
        default=None,
        description="Request that must be answered well after it has rolled.",
        examples=[{"url": "https://api.tryarive.com/health", "expect": 200, "within": "60s"}],
    )


class ServiceOverride(Part):
    """What is different about a service in one environment; what is left out stays as it is."""

    noun: ClassVar[str] = "a service of an environment"

    service: EcsServiceName | None = Field(
        default=None, description="ECS service name in this environment.", examples=["arive-api-staging"]
    )
    image: ImageKey | None = Field(
        default=None, description="Image it runs in this environment.", examples=["app"]
    )
    container: ContainerName | None = Field(
        default=None, description="Container whose image is replaced in this environment.", examples=["api"]
    )
    wave: int | None = Field(
        default=None, ge=1, le=1000, description="Wave in this environment.", examples=[2]
    )
    smoke: Smoke | None = Field(
        default=None,
        description="Smoke check in this environment, in place of the service's own.",
        examples=[{"url": "https://staging.tryarive.com/health"}],
    )


class Database(Part):
    """The database that snapshot and wake act on: one of a cluster and an instance."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["cluster"]}, {"required": ["instance"]}]}
    )
    noun: ClassVar[str] = "a database"

    cluster: DatabaseIdentifier | None = Field(
        default=None, description="RDS or Aurora cluster identifier.", examples=["arive-cluster"]
    )
    instance: DatabaseIdentifier | None = Field(
        default=None, description="RDS instance identifier.", examples=["harvestry-db"]
    )


class Migrations(Part):
    """How a release changes the database's schema before its services roll."""

    noun: ClassVar[str] = "migrations"

    runner: Literal["task", "sql"] = Field(
        default="task",
        description="task: a one-off ECS task of the release's image; sql: plain SQL files, run by a function"
        " in the VPC.",
        examples=["task"],
    )
    service: ServiceKey | None = Field(
        default=None,
        description="Service whose task definition, roles and network the task uses; needed by the runner task.",
        examples=["api"],
    )
    command: Annotated[tuple[Word, ...], AsTuple] = Field(
        default=(),
        description="Command of the task, one word an item; needed by the runner task.",
        examples=[["litestar", "database", "upgrade", "--no-prompt"]],
    )
    verify: Annotated[tuple[Word, ...], AsTuple] = Field(
        default=(),
        description="Command of a second task, which exits with 0 if the schema is what the release needs.",
        examples=[["alembic", "current", "--check-heads"]],
    )
    image: ImageKey | None = Field(
        default=None,
        description="Image that holds the SQL files; default: the only one of the manifest (runner sql).",
        examples=["migrations"],
    )
    directory: AbsolutePath | None = Field(
        default=None,
        description="Folder of SQL files inside the image; default for the runner sql: /migrations. With the runner"
        " task: SQL that was rendered when the image was built, for the plan and its gate only.",
        examples=["/migrations"],
    )
    source: RelativePath = Field(
        default="migrations",
        description="The same folder in the build's context, for the linter.",
        examples=["migrations"],
    )
    secret: SecretTemplate | None = Field(
        default=None,
        description="Secret with the credential of the migrations; {environment} stands for the environment. Needed by"
        " the runner sql; with the runner task it switches the checks of the database on.",
        examples=["arive/{environment}/migrator"],
    )
    tls: Literal["verify-full", "off"] = Field(
        default="verify-full",
        description="How the connection to the database is secured.",
        examples=["verify-full"],
    )
    timeout: WithinDay = Field(
        default=timedelta(minutes=15), description="How long the migration may take.", examples=["15m"]
    )
    lock_timeout: WithinDay = Field(
        default=timedelta(seconds=5),
        description="How long one of its statements may wait for a lock of the database.",
        examples=["5s"],
    )
    statement_timeout: WithinDay | None = Field(
        default=None,
        description="How long one of its statements may take; default: timeout.",
        examples=["5m"],
    )
    transaction_age: WithinDay = Field(
        default=timedelta(minutes=5),
        description="No migration begins while a transaction of the database is older.",
        examples=["5m"],
    )
    snapshot: Literal["none", "before"] = Field(
        default="none",
        description="before: a snapshot of the database is made first, for disasters; needs database.",
        examples=["before"],
    )


class ConnectionString(Part):
    """A secret whose credential is inside a connection string."""

    noun: ClassVar[str] = "a format"

    key: JsonKey = Field(
        description="Key of the secret's JSON that holds the connection string.",
        examples=["connection_string"],
    )
    style: Literal["url", "npgsql"] = Field(
        description="url: scheme://user:password@host; npgsql: Host=h;Username=u;Password=p.",
        examples=["url"],
    )


SecretKind = Literal["postgres", "mysql", "redis", "token"]
RotationStrategy = Literal["alternating", "dual-password", "two-step", "regenerate"]
# The first is the default. MySQL's forks without dual passwords (MariaDB) alternate two users.
STRATEGIES: Final[Mapping[str, tuple[RotationStrategy, ...]]] = {
    "postgres": ("alternating",),
    "mysql": ("dual-password", "alternating"),
    "redis": ("two-step",),
    "token": ("regenerate",),
}


def _default_strategy(fields: dict[str, Any]) -> RotationStrategy:
    # Without a kind the secret is refused; pydantic asks for the default all the same.
    return STRATEGIES[fields.get("kind", "token")][0]


class Secret(Part):
    """A secret of Secrets Manager and how it is rotated."""

    noun: ClassVar[str] = "a secret"

    kind: SecretKind = Field(
        description="What the secret opens; redis is not supported yet.", examples=["postgres"]
    )
    strategy: RotationStrategy = Field(
        default_factory=_default_strategy,
        description="alternating: two users in turn (postgres, mysql); dual-password: one user, two passwords (mysql);"
        " two-step (redis); regenerate (token). Default: the first that fits the kind, dual-password for mysql.",
        examples=["alternating"],
    )
    admin: AdminTemplate | None = Field(
        default=None,
        description="Secret of a user that may change the others' passwords; {environment} stands for the environment."
        " Needed by alternating.",
        examples=["arive/production/database-admin"],
    )
    users: Annotated[tuple[DatabaseUser, ...], AsTuple] = Field(
        default=(),
        description="The two users that alternate; default: the current user name and the same with _clone, as it is"
        " when the secret is rotated.",
        examples=[["arive_a", "arive_b"]],
    )
    format: Annotated[
        Literal["json", "plain"] | ConnectionString,
        word_or(ConnectionString, "json", "plain", written="{key: ..., style: url|npgsql}"),
    ] = Field(
        default="json",
        description="json: Secrets Manager's usual JSON; a mapping: a connection string under one key; plain: the bare"
        " value, which is refused: it cannot be rotated before it is adopted.",
        examples=["json", {"key": "connection_string", "style": "url"}],
    )
    tls: Literal["verify-full", "off"] = Field(
        default="verify-full",
        description="How the connection is secured when the credential is tested.",
        examples=["off"],
    )
    overlap: MaybeNoneWithinDay = Field(
        default=timedelta(seconds=30),
        description="How long the old credential still works after the consumers have restarted.",
        examples=["30s"],
    )
    every: Interval | None = Field(
        default=None,
        description="How often it is rotated, in whole minutes; default: only when somebody asks.",
        examples=["30d"],
    )

    @property
    def form(self) -> str | Mapping[str, str]:
        """`format` as `domain.credentials` and JSON have it."""
        if isinstance(self.format, str):
            return self.format
        return {"key": self.format.key, "style": self.format.style}
