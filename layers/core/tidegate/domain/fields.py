"""A mapping from outside, read field by field, each error naming its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.errors import BadInputError
from tidegate.domain.ids import is_ulid
from tidegate.domain.release import is_digest

_SYSTEM = re.compile(r"[a-z][a-z0-9-]{0,29}")
# An environment or an image is a key of the manifest and part of parameter names and ECR tags.
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_TEXT_LIMIT = 1024
# JSON may hold half of a surrogate pair ("\ud800"), which is no character: it has no hash and no place in the table.
HALF_CHARACTER = re.compile("[\ud800-\udfff]")
EVENT_TRIGGER = "event"
# An execution that starts another names itself so in its input (Step Functions developer guide, "Start workflow
# executions from a task state"): the console links them by it.
STARTED_BY = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image as asked for: a digest, or a tag that is resolved to one."""

    digest: str | None = None
    tag: str | None = None


class Fields:
    """Raises BadInputError where it is no mapping, or has a field that is not `known`."""

    def __init__(self, data: object, known: set[str]) -> None:
        if not isinstance(data, Mapping):
            raise BadInputError(
                "the input is not a JSON object", field="input", hint='start with {"system": …}'
            )
        unknown = sorted(str(key) for key in data if key not in known and key != STARTED_BY)
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
        if HALF_CHARACTER.search(value):
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

    def flag(self, name: str) -> bool:
        """May be left out, which is False."""
        value = self._data.get(name)
        if value is not None and not isinstance(value, bool):
            raise BadInputError(f"{name} is neither true nor false", field=name, hint=f'"{name}": true')
        return value is True

    def raw(self, name: str) -> Any:
        """As it came, for the caller to check."""
        return self._data.get(name)

    def keys(self, name: str) -> tuple[str, ...]:
        """A list of the manifest's keys, sorted, each once."""
        value = self._data.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(
            isinstance(key, str) and _KEY.fullmatch(key) for key in value
        ):
            raise BadInputError(f"{name} is not a list of keys", field=name, hint=f'"{name}": ["app"]')
        return tuple(sorted(set(value)))

    def images(self, name: str = "images") -> dict[str, ImageRequest]:
        value = self._data.get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise BadInputError(
                f"{name} is not an object", field=name, hint=f'"{name}": {{"app": {{"digest": "sha256:…"}}}}'
            )
        return {_image_key(name, key): _image(f"{name}.{key}", entry) for key, entry in value.items()}


def _shown(text: str) -> str:
    """As much of a name from outside as a reason can carry: the whole answer has to fit into 256 KiB."""
    return text[:100].encode(errors="backslashreplace").decode()


def _image_key(name: str, key: object) -> str:
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise BadInputError(
            f"{_shown(str(key))!r} cannot be an image",
            field=name,
            hint="use the manifest's key of the image",
        )
    return key


def _image(field_name: str, entry: object) -> ImageRequest:
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
