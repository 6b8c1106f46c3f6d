"""What a person, a script or an event asks for: the inputs of the machines, checked before any work starts.

The shapes are the contract's ("Machine inputs", "Events in"). Anything else is refused by naming the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.domain.errors import BadInputError
from tidegate.domain.ids import is_ulid, request_hash
from tidegate.domain.release import is_digest, parse_release_name

_SYSTEM = re.compile(r"[a-z][a-z0-9-]{0,29}")
# An environment or an image is a key of the manifest and part of parameter names and ECR tags.
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_TEXT_LIMIT = 1024
# JSON may hold half of a surrogate pair ("\ud800"), which is no character: it has no hash and no place in the table.
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
EVENT_TRIGGER = "event"
PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image as asked for: a digest, or a tag that is resolved to one."""

    digest: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class DeployRequest:
    system: str
    environment: str
    commit: str | None = None
    images: Mapping[str, ImageRequest] = field(default_factory=dict)
    release: int | None = None
    reason: str = ""
    actor: str = ""
    trigger: str = "person"

    @property
    def by_event(self) -> bool:
        return self.trigger == EVENT_TRIGGER


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """`to` is None for the previous release."""

    system: str
    environment: str
    to: int | None
    reason: str = ""
    actor: str = ""
    trigger: str = "person"


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
        return document if self.commit is None else {**document, "commit": self.commit}


def parse_deploy(data: object) -> DeployRequest | RecoverRequest:
    fields = _Fields(
        data,
        {"system", "environment", "commit", "images", "release", "reason", "actor", "trigger", "recover"},
    )
    system, environment = fields.system(), fields.key("environment")
    if fields.has("recover"):
        return RecoverRequest(system, environment, fields.deployment("recover"))
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
    )


def parse_rollback(data: object) -> RollbackRequest | RecoverRequest:
    fields = _Fields(data, {"system", "environment", "to", "reason", "actor", "trigger", "recover"})
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
    )


def parse_published(detail: object) -> Published:
    fields = _Fields(detail, {"system", "environment", "commit", "images", "actor", "run_url"})
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


class _Fields:
    """A mapping from outside, read field by field, each error naming its field."""

    def __init__(self, data: object, known: set[str]) -> None:
        if not isinstance(data, Mapping):
            raise BadInputError(
                "the input is not a JSON object", field="input", hint='start with {"system": …}'
            )
        unknown = sorted(str(key) for key in data if key not in known)
        if unknown:
            raise BadInputError(
                f"unknown field {_shown(unknown[0])!r}",
                field=_shown(unknown[0]),
                hint=f"known are {', '.join(sorted(known - {'recover'}))}",
            )
        self._data: Mapping[str, Any] = data

    def has(self, name: str) -> bool:
        return self._data.get(name) is not None

    def text(self, name: str, limit: int = _TEXT_LIMIT) -> str:
        value = self._data.get(name)
        if value is None:
            raise BadInputError(f"{name} is missing", field=name, hint=f"give {name} as text")
        if not isinstance(value, str) or not value or len(value) > limit:
            raise BadInputError(
                f"{name} is not a text of 1 to {limit} characters", field=name, hint=f"give {name} as text"
            )
        if _HALF_CHARACTER.search(value):
            raise BadInputError(f"{name} holds half a character", field=name, hint="send valid Unicode")
        return value

    def note(self, name: str) -> str:
        """A remark for people: may be left out or empty."""
        return self.text(name) if self._data.get(name) not in (None, "") else ""

    def system(self) -> str:
        value = self.text("system")
        if _SYSTEM.fullmatch(value) is None:
            raise BadInputError(
                f"{value!r} cannot be a system",
                field="system",
                hint="lower-case letters, digits and dashes, at most 30",
            )
        return value

    def key(self, name: str) -> str:
        value = self.text(name)
        if _KEY.fullmatch(value) is None:
            raise BadInputError(
                f"{value!r} cannot be an {name}", field=name, hint="a key as the manifest has it"
            )
        return value

    def deployment(self, name: str) -> str:
        value = self.text(name)
        if not is_ulid(value):
            raise BadInputError(f"{value!r} is not a deployment", field=name, hint="see `tidegate history`")
        return value

    def commit(self) -> str | None:
        return self.text("commit", 64) if self.has("commit") else None

    def trigger(self) -> str:
        value = self.note("trigger") or "person"
        if value not in ("person", EVENT_TRIGGER):
            raise BadInputError(f"unknown trigger {value!r}", field="trigger", hint="leave it out")
        return value

    def images(self) -> dict[str, ImageRequest]:
        value = self._data.get("images")
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise BadInputError(
                "images is not an object", field="images", hint='"images": {"app": {"digest": "sha256:…"}}'
            )
        return {_image_key(key): _image(key, entry) for key, entry in value.items()}


def _shown(text: str) -> str:
    """As much of a name from outside as a reason can carry: the whole answer has to fit into 256 KiB."""
    return text[:100].encode(errors="backslashreplace").decode()


def _image_key(key: object) -> str:
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise BadInputError(
            f"{_shown(str(key))!r} cannot be an image",
            field="images",
            hint="use the manifest's key of the image",
        )
    return key


def _image(key: object, entry: object) -> ImageRequest:
    field_name = f"images.{key}"
    if not isinstance(entry, Mapping) or not entry or set(entry) - {"digest", "tag"}:
        raise BadInputError(
            f"{field_name} does not say which image",
            field=field_name,
            hint='{"digest": "sha256:…"} or {"tag": "…"}',
        )
    digest, tag = entry.get("digest"), entry.get("tag")
    if digest is not None and not (isinstance(digest, str) and is_digest(digest)):
        raise BadInputError(
            f"{field_name}.digest is not a digest",
            field=f"{field_name}.digest",
            hint="sha256: and 64 hexadecimal digits",
        )
    if tag is not None and not (isinstance(tag, str) and _TAG.fullmatch(tag)):
        raise BadInputError(
            f"{field_name}.tag is not a tag", field=f"{field_name}.tag", hint="see `docker tag`"
        )
    if digest is None and tag is None:
        raise BadInputError(
            f"{field_name} does not say which image",
            field=field_name,
            hint='{"digest": "sha256:…"} or {"tag": "…"}',
        )
    return ImageRequest(digest, tag)
