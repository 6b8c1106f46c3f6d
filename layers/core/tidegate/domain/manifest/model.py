"""The manifest, and what it says about one environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, ClassVar

from pydantic import Field

from tidegate.domain.errors import NotFoundError
from tidegate.domain.manifest.environment import Environment
from tidegate.domain.manifest.fields import (
    EnvironmentName,
    ImageKey,
    Region,
    SecretTemplate,
    ServiceKey,
    SystemName,
    in_environment,
)
from tidegate.domain.manifest.parts import (
    AsTuple,
    Database,
    Image,
    Migrations,
    Part,
    Secret,
    Service,
    Smoke,
)
from tidegate.domain.manifest.problems import one_of, shown, suggestion


@dataclass(frozen=True, slots=True)
class ResolvedService:
    """A service as one environment has it: overrides applied, defaults filled in.

    `service` is the ECS service name, `image` a key of the manifest's images, `repository` and `tag` (a template, see
    `tags.render_tag`) that image's own. `container` is None for "the only one of the task definition".
    """

    key: str
    service: str
    image: str
    repository: str
    tag: str
    container: str | None
    wave: int
    smoke: Smoke | None


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """What the manifest says about one environment. `services` are in the order they roll: by wave, then by key;
    `secrets`, and their admins, have their names there."""

    system: str
    name: str
    settings: Environment
    images: Mapping[str, Image]
    services: Mapping[str, ResolvedService]
    database: Database | None
    migrations: Migrations | None
    secrets: Mapping[str, Secret]

    @property
    def region(self) -> str:
        return self.settings.region

    @property
    def cluster(self) -> str:
        return self.settings.cluster

    def waves(self) -> tuple[tuple[ResolvedService, ...], ...]:
        """The services of each wave, first wave first; no wave is empty, whatever the numbers in the manifest."""
        return tuple(
            tuple(wave) for _, wave in groupby(self.services.values(), key=lambda service: service.wave)
        )


def _secret(secret: Secret, environment: str) -> Secret:
    if secret.admin is None:
        return secret
    return secret.model_copy(update={"admin": in_environment(secret.admin, environment)})


class Manifest(Part):
    """A system's manifest. Make it with `parse_manifest`: only that applies the rules of `checks.py`."""

    noun: ClassVar[str] = "the manifest"

    system: SystemName = Field(description="Name of the system.", examples=["arive"])
    residency: Annotated[tuple[Region, ...], AsTuple, Field(min_length=1)] = Field(
        default=(),
        description="Regions outside of which no environment of the system may be. Default: any region.",
        examples=[["eu-west-2"]],
    )
    images: Mapping[ImageKey, Image] = Field(
        default_factory=dict,
        description="What is built, by a name of your choice.",
        examples=[{"app": {"repository": "arive-api", "tag": "{commit}"}}],
    )
    services: Mapping[ServiceKey, Service] = Field(
        default_factory=dict,
        description="The ECS services released together, by a name of your choice.",
        examples=[{"api": {"service": "arive-api", "image": "app"}}],
    )
    database: Database | None = Field(
        default=None,
        description="The database that snapshot and wake act on.",
        examples=[{"cluster": "arive-cluster"}, {"instance": "harvestry-db"}],
    )
    migrations: Migrations | None = Field(
        default=None,
        description="How the database's schema is changed, before the services roll.",
        examples=[{"runner": "task", "service": "api", "command": ["litestar", "database", "upgrade"]}],
    )
    secrets: Mapping[SecretTemplate, Secret] = Field(
        default_factory=dict,
        description="Secrets that are rotated, by their name in Secrets Manager, in which {environment} stands for the"
        " environment.",
        examples=[
            {
                "arive/{environment}/database": {
                    "kind": "postgres",
                    "admin": "arive/{environment}/database-admin",
                }
            }
        ],
    )
    environments: Mapping[EnvironmentName, Environment] = Field(
        min_length=1,
        description="The places the system runs, at least one.",
        examples=[{"production": {"region": "us-east-1", "cluster": "arive-cluster"}}],
    )

    def linted(self, image: str) -> str:
        """The folder in the build's context whose SQL files are linted when an image is built; empty for none."""
        wanted = self.migrations
        if wanted is None:
            return ""
        if wanted.runner == "sql":
            return wanted.source if image == (wanted.image or next(iter(self.images))) else ""
        if wanted.directory is None or wanted.service is None or self.services[wanted.service].image != image:
            return ""
        return wanted.source

    def for_environment(self, name: str) -> EnvironmentView:
        """The manifest as the environment `name` has it; NotFoundError when there is no such environment."""
        settings = self.environments.get(name)
        if settings is None:
            raise NotFoundError(
                f"{self.system} has no environment {shown(name)}",
                field="environment",
                hint=suggestion(
                    name, self.environments, otherwise=f"it has {one_of(sorted(self.environments))}"
                ),
            )
        resolved = sorted(
            (self._resolve(key, service, settings) for key, service in self.services.items()),
            key=lambda service: (service.wave, service.key),
        )
        return EnvironmentView(
            system=self.system,
            name=name,
            settings=settings,
            images=dict(sorted(self.images.items())),
            services={service.key: service for service in resolved},
            database=self.database,
            migrations=self.migrations,
            secrets=dict(
                sorted(
                    ((in_environment(key, name), _secret(one, name)) for key, one in self.secrets.items()),
                    key=lambda named: named[0],
                )
            ),
        )

    def _resolve(self, key: str, service: Service, settings: Environment) -> ResolvedService:
        override = settings.services.get(key)
        # Only what the override gives, or `wave: null` would win over the service's own.
        changes = (
            {} if override is None else {name: getattr(override, name) for name in override.model_fields_set}
        )
        service = service.model_copy(update=changes)
        image = self.images[service.image]
        return ResolvedService(
            key=key,
            service=service.service or key,
            image=service.image,
            repository=image.repository,
            tag=image.tag,
            container=service.container,
            wave=service.wave,
            smoke=service.smoke,
        )
