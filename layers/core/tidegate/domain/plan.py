"""A plan: which services of a release change, from which task definition, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tidegate.domain.errors import NotFoundError
from tidegate.domain.ids import content_hash
from tidegate.domain.migration import MigrationPlan
from tidegate.domain.rotation import RotationPlan
from tidegate.domain.scaling import ScalePlan

# What RegisterTaskDefinition takes, of what DescribeTaskDefinition gives (ECS API reference). Everything else
# (revision, status, registeredAt, compatibilities, …) is ECS's own note on a revision.
REGISTER_FIELDS = frozenset(
    {
        "family",
        "taskRoleArn",
        "executionRoleArn",
        "networkMode",
        "containerDefinitions",
        "volumes",
        "placementConstraints",
        "requiresCompatibilities",
        "cpu",
        "memory",
        "pidMode",
        "ipcMode",
        "proxyConfiguration",
        "inferenceAccelerators",
        "ephemeralStorage",
        "runtimePlatform",
        "enableFaultInjection",
    }
)

# Tags on every revision that Tidegate registers: who made it, for which release.
DEPLOYMENT_TAG = "tidegate:deployment"
RELEASE_TAG = "tidegate:release"


def shape(task_definition: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a task definition that decides what runs: what can be registered again."""
    return {
        key: value
        for key, value in task_definition.items()
        if key in REGISTER_FIELDS and value not in (None, [], {}, "")
    }


def with_images(task_definition: Mapping[str, Any], images: Mapping[str, str]) -> dict[str, Any]:
    """A task definition whose containers named in `images` run those images; every other field is kept."""
    replaced = shape(task_definition)
    replaced["containerDefinitions"] = [
        {**container, "image": images.get(container["name"], container["image"])}
        for container in task_definition["containerDefinitions"]
    ]
    return replaced


def same_shape(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return content_hash(shape(one)) == content_hash(shape(other))


def differences(old: Any, new: Any, path: str = "") -> list[dict[str, Any]]:
    """What changes between two shapes, a line each: `{"path", "from", "to"}`; containers are matched by name."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        lines: list[dict[str, Any]] = []
        for key in sorted({*old, *new}):
            lines += differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        return lines
    if _named(old) and _named(new):
        before, after = ({item["name"]: item for item in side} for side in (old, new))
        return [
            line
            for name in sorted({*before, *after})
            for line in differences(before.get(name), after.get(name), f"{path}[{name}]")
        ]
    return [] if old == new else [{"path": path, "from": old, "to": new}]


def _named(value: Any) -> bool:
    """Whether a list can be compared by name: each item has one, and no two the same."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) and "name" in item for item in value):
        return False
    return len({item["name"] for item in value}) == len(value)


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One service's part.

    `restarts` is the ECS deployment that a restart takes the place of, with the same task definition. `smoke` is what
    `steps.smoke` is asked once the service has rolled. `base` is the task definition whose shape the new revision
    takes, `previous` the one that runs and is gone back to; `target` is known when an existing revision is to run (a
    rollback, an unchanged service), and None when a new one is registered from `base` with `image` in `container`.
    """

    key: str
    service: str
    wave: int
    image: str
    digest: str
    image_uri: str
    container: str
    base: str
    previous: str
    target: str | None
    changed: bool
    restarts: str | None = None
    smoke: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> ServicePlan:
        return cls(**{**item, "wave": int(item["wave"])})


@dataclass(frozen=True, slots=True)
class Watch:
    """How long alarms are watched: after the last wave (a bake), or after a success (a guard)."""

    seconds: int
    alarms: tuple[str, ...]

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    def to_json(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "alarms": list(self.alarms)}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Watch:
        return cls(int(item["seconds"]), tuple(item["alarms"]))


@dataclass(frozen=True, slots=True)
class Plan:
    cluster: str
    services: tuple[ServicePlan, ...]
    bake: Watch | None = None
    guard: Watch | None = None
    migration: MigrationPlan | None = None
    rotation: RotationPlan | None = None
    scale: ScalePlan | None = None

    @property
    def hash(self) -> str:
        return content_hash(self.to_json())

    @property
    def changed(self) -> tuple[ServicePlan, ...]:
        return tuple(service for service in self.services if service.changed)

    def service(self, key: str) -> ServicePlan:
        """Raises NotFoundError for a key that is not in the plan."""
        for service in self.services:
            if service.key == key:
                return service
        raise NotFoundError(f"the plan has no service {key}", field="service")

    def waves(self) -> list[list[str]]:
        """Keys of the services that change, wave by wave in rising order; an empty wave is left out."""
        return waves_of(self.changed)

    def to_json(self) -> dict[str, Any]:
        """Without a key for a migration, a rotation or a count that is not there: the hash of such a plan is what it
        always was."""
        migration = {} if self.migration is None else {"migration": self.migration.to_json()}
        rotation = {} if self.rotation is None else {"rotation": self.rotation.to_json()}
        scale = {} if self.scale is None else {"scale": self.scale.to_json()}
        return {
            "cluster": self.cluster,
            "services": [service.to_json() for service in self.services],
            "bake": None if self.bake is None else self.bake.to_json(),
            "guard": None if self.guard is None else self.guard.to_json(),
            **migration,
            **rotation,
            **scale,
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Plan:
        services: Sequence[Mapping[str, Any]] = item["services"]
        bake, guard, migration = item.get("bake"), item.get("guard"), item.get("migration")
        rotation, scale = item.get("rotation"), item.get("scale")
        return cls(
            item["cluster"],
            tuple(ServicePlan.from_json(service) for service in services),
            None if bake is None else Watch.from_json(bake),
            None if guard is None else Watch.from_json(guard),
            None if migration is None else MigrationPlan.from_json(migration),
            None if rotation is None else RotationPlan.from_json(rotation),
            None if scale is None else ScalePlan.from_json(scale),
        )


def waves_of(services: Iterable[ServicePlan]) -> list[list[str]]:
    by_wave: dict[int, list[str]] = {}
    for service in services:
        by_wave.setdefault(service.wave, []).append(service.key)
    return [sorted(by_wave[wave]) for wave in sorted(by_wave)]
