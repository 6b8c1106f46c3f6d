"""What a person, a script or an event asks for: the inputs of the machines, checked before any work starts.

The shapes are the contract's ("Machine inputs", "Events in"). Anything else is refused by naming the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidegate.domain.errors import BadInputError
from tidegate.domain.fields import EVENT_TRIGGER, Fields, ImageRequest
from tidegate.domain.ids import request_hash
from tidegate.domain.release import parse_release_name
from tidegate.domain.scaling import ScaleRequest, parse_scale

PREVIOUS = "previous"
MIGRATIONS = "migrations"
# Secrets Manager API reference, CreateSecret Name.
_SECRET_LIMIT = 512


@dataclass(frozen=True, slots=True)
class Restart:
    """Of the services that take a secret whose current version somebody else changed; `at` is when, ISO 8601."""

    secret: str
    version: str
    at: str


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """`order` is a ULID that tells pushes apart by their time, where the sender knows it. `only_migrations` runs those
    of a release and rolls nothing; `force` passes what a person has looked at: a step back over a migration that
    cannot be undone, a migration that was recorded as done. `scale` changes a service's count and releases nothing."""

    system: str
    environment: str
    commit: str | None = None
    images: Mapping[str, ImageRequest] = field(default_factory=dict)
    release: int | None = None
    reason: str = ""
    actor: str = ""
    trigger: str = "person"
    order: str = ""
    restart: Restart | None = None
    only_migrations: bool = False
    force: bool = False
    scale: ScaleRequest | None = None

    @property
    def by_event(self) -> bool:
        return self.trigger == EVENT_TRIGGER

    @property
    def unreleased(self) -> bool:
        """Whether it changes what a service is like, and brings no release."""
        return self.restart is not None or self.scale is not None


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """`to` is None for the previous release; `force` goes back even over a migration that cannot be undone."""

    system: str
    environment: str
    to: int | None
    reason: str = ""
    actor: str = ""
    trigger: str = "person"
    force: bool = False


@dataclass(frozen=True, slots=True)
class RotateRequest:
    """`slot` is the moment that a schedule started it for, the same for every attempt of the schedule. `adopt` rotates
    nothing: `plan` says which statements would prepare a single-user secret, `apply` runs those of the hash
    `statements`."""

    system: str
    environment: str
    secret: str
    reason: str = ""
    actor: str = ""
    trigger: str = "person"
    slot: str = ""
    adopt: str | None = None
    statements: str | None = None

    @property
    def scheduled(self) -> bool:
        return bool(self.slot)


@dataclass(frozen=True, slots=True)
class RecoverRequest:
    """The sweep's own: carry on, or undo, a deployment whose execution has ended without an outcome."""

    system: str
    environment: str
    deployment: str


@dataclass(frozen=True, slots=True)
class Published:
    """The detail of an `Image Published` event: every image has a digest; `environment` may be left out where a
    system has only one."""

    system: str
    environment: str | None
    commit: str | None
    images: Mapping[str, ImageRequest]
    actor: str
    run_url: str | None
    order: str = ""

    def hash(self, environment: str) -> str:
        named = {key: image.digest or "" for key, image in self.images.items()}
        return request_hash(self.system, environment, self.commit, named)

    def to_input(self, environment: str) -> dict[str, Any]:
        """The input of `deploy` that the event asks for: the same for every copy of the event."""
        images = {
            key: {name: value for name, value in (("digest", image.digest), ("tag", image.tag)) if value}
            for key, image in self.images.items()
        }
        document: dict[str, Any] = {
            "system": self.system,
            "environment": environment,
            "images": images,
            "actor": self.actor,
            "reason": f"published by {self.run_url}" if self.run_url else "image published",
            "trigger": EVENT_TRIGGER,
        }
        if self.order:
            document["order"] = self.order
        return document if self.commit is None else {**document, "commit": self.commit}


def parse_deploy(data: object) -> DeployRequest | RecoverRequest:
    fields = Fields(
        data,
        {
            *("system", "environment", "commit", "images", "release", "reason", "actor", "trigger"),
            *("order", "restart", "only", "force", "scale", "recover"),
        },
    )
    system, environment = fields.system(), fields.key("environment")
    if fields.has("recover"):
        return RecoverRequest(system, environment, fields.deployment("recover"))
    if fields.has("restart"):
        return _restart(fields, system, environment)
    if fields.has("scale"):
        return _scale(fields, system, environment)
    release = parse_release_name(fields.text("release")) if fields.has("release") else None
    images = fields.images()
    commit = fields.commit()
    if release is not None and (images or commit):
        raise BadInputError(
            "a release already says which images it has",
            field="release",
            hint="give either release, or commit and images",
        )
    if release is None and not images and commit is None:
        raise BadInputError(
            "nothing says what to deploy",
            field="images",
            hint="give release, commit, or images with a digest each",
        )
    return DeployRequest(
        system,
        environment,
        commit,
        images,
        release,
        fields.note("reason"),
        fields.note("actor"),
        fields.trigger(),
        fields.deployment("order") if fields.has("order") else "",
        only_migrations=_only_migrations(fields),
        force=fields.flag("force"),
    )


def _only_migrations(fields: Fields) -> bool:
    if not fields.has("only"):
        return False
    if fields.text("only") != MIGRATIONS:
        raise BadInputError(
            "only migrations can be run alone", field="only", hint='"only": "migrations", or leave it out'
        )
    return True


def _restart(fields: Fields, system: str, environment: str) -> DeployRequest:
    _releases_nothing(fields, "restart", "scale")
    inner = Fields(fields.raw("restart"), {"secret", "version", "at"})
    restart = Restart(inner.text("secret"), inner.text("version"), _moment(inner.text("at"), "restart.at"))
    return DeployRequest(
        system,
        environment,
        reason=fields.note("reason"),
        actor=fields.note("actor"),
        trigger=fields.trigger(),
        restart=restart,
    )


def _scale(fields: Fields, system: str, environment: str) -> DeployRequest:
    _releases_nothing(fields, "scale")
    return DeployRequest(
        system,
        environment,
        reason=fields.note("reason"),
        actor=fields.note("actor"),
        trigger=fields.trigger(),
        scale=parse_scale(fields.raw("scale")),
    )


def _releases_nothing(fields: Fields, what: str, *others: str) -> None:
    for name in ("release", "images", "commit", "order", "only", "force", *others):
        if fields.has(name):
            raise BadInputError(
                f"a {what} releases nothing", field=name, hint=f"give either {what}, or what to release"
            )


def _moment(text: str, field: str) -> str:
    try:
        known = datetime.fromisoformat(text).utcoffset() is not None
    except ValueError:
        known = False
    if not known:
        raise BadInputError(
            f"{field} is no moment", field=field, hint="ISO 8601 in UTC: 2026-11-23T08:00:00Z"
        )
    return text


def parse_rollback(data: object) -> RollbackRequest | RecoverRequest:
    fields = Fields(data, {"system", "environment", "to", "reason", "actor", "trigger", "force", "recover"})
    system, environment = fields.system(), fields.key("environment")
    if fields.has("recover"):
        return RecoverRequest(system, environment, fields.deployment("recover"))
    target = fields.text("to") if fields.has("to") else PREVIOUS
    return RollbackRequest(
        system,
        environment,
        None if target == PREVIOUS else parse_release_name(target, field="to"),
        fields.note("reason"),
        fields.note("actor"),
        fields.trigger(),
        fields.flag("force"),
    )


def parse_rotate(data: object) -> RotateRequest | RecoverRequest:
    fields = Fields(
        data,
        {
            *("system", "environment", "secret", "reason", "actor", "trigger"),
            *("slot", "adopt", "statements", "recover"),
        },
    )
    system, environment = fields.system(), fields.key("environment")
    if fields.has("recover"):
        return RecoverRequest(system, environment, fields.deployment("recover"))
    adopt = fields.text("adopt") if fields.has("adopt") else None
    if adopt not in (None, "plan", "apply"):
        raise BadInputError(f"unknown adopt {adopt!r}", field="adopt", hint="plan or apply")
    if (adopt == "apply") != fields.has("statements"):
        raise BadInputError(
            "the hash of the statements belongs to adopt: apply",
            field="statements",
            hint="tidegate secrets adopt prints them, asks, and gives their hash",
        )
    return RotateRequest(
        system,
        environment,
        fields.text("secret", _SECRET_LIMIT),
        fields.note("reason"),
        fields.note("actor"),
        fields.trigger(),
        _moment(fields.text("slot"), "slot") if fields.has("slot") else "",
        adopt,
        fields.text("statements") if fields.has("statements") else None,
    )


def parse_published(detail: object) -> Published:
    fields = Fields(detail, {"system", "environment", "commit", "images", "actor", "run_url"})
    system = fields.system()
    images = fields.images()
    if not images:
        raise BadInputError(
            "the event names no image", field="images", hint='"images": {"app": {"digest": "sha256:…"}}'
        )
    for key, image in images.items():
        if image.digest is None:
            # A tag may move: the next event with the same one would pass for a copy of this one.
            raise BadInputError(
                f"the event names image {key} by its tag alone",
                field=f"images.{key}.digest",
                hint="add the digest that was pushed: sha256: and 64 hexadecimal digits",
            )
    return Published(
        system,
        fields.key("environment") if fields.has("environment") else None,
        fields.commit(),
        images,
        fields.note("actor") or "ci",
        fields.note("run_url") or None,
    )
