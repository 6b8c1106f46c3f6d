"""What the function in the VPC is asked to do with a database. Without pydantic: that function reads no manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tidegate.domain.credentials import JSON, Format
from tidegate.domain.errors import BadInputError
from tidegate.domain.fields import Fields
from tidegate.domain.release import is_digest

VERIFY_FULL, OFF = "verify-full", "off"
TASK, SQL = "task", "sql"
CHECK, MIGRATE, VERIFY, TERMINATE = "Check", "Migrate", "Verify", "Terminate"
STEPS: Final = (CHECK, MIGRATE, VERIFY, TERMINATE)
# The code of an OutsideError: the secret is of a database that is not PostgreSQL.
OTHER_ENGINE: Final = "other_engine"
# Names of connections (application_name), before a deployment's id. A migrator changes the schema, or may; who waits
# for one does not.
MIGRATOR, WAITER, LOOKER = "tidegate-migrate-", "tidegate-waits-", "tidegate-looks-"
DIRECTORY: Final = "/migrations"

_LONGEST = 86_400
_LONGEST_NAME = 2048
_IMAGE = frozenset({"repository", "digest", "directory"})
_KNOWN = frozenset(
    {
        "step",
        "system",
        "environment",
        "deployment",
        "release",
        "secret",
        "format",
        "tls",
        "lock_timeout",
        "statement_timeout",
        "transaction_age",
        "runner",
        "image",
        "deadline",
    }
)


@dataclass(frozen=True, slots=True)
class SqlImage:
    """The files in a folder of one image."""

    repository: str
    digest: str
    directory: str


@dataclass(frozen=True, slots=True)
class SqlMigration:
    """Times are in seconds. `image` is there for the runner `sql`; no `deadline`: none but the invocation's."""

    step: str
    deployment: str
    release: str
    secret: str
    tls: str
    lock_timeout: float
    statement_timeout: float
    transaction_age: float
    runner: str
    image: SqlImage | None
    deadline: datetime | None
    format: Format = JSON

    @property
    def migrator(self) -> str:
        return MIGRATOR + self.deployment

    @property
    def waiter(self) -> str:
        return WAITER + self.deployment

    @property
    def looker(self) -> str:
        return LOOKER + self.deployment

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> SqlMigration:
        """Raises BadInputError naming the field."""
        fields = Fields(payload, set(_KNOWN))
        runner = _one_of(fields, "runner", (TASK, SQL))
        return cls(
            step=_one_of(fields, "step", STEPS),
            deployment=fields.deployment("deployment"),
            release=fields.text("release", 100),
            secret=fields.text("secret", _LONGEST_NAME),
            tls=_one_of(fields, "tls", (VERIFY_FULL, OFF)),
            lock_timeout=_seconds(fields, "lock_timeout"),
            statement_timeout=_seconds(fields, "statement_timeout"),
            transaction_age=_seconds(fields, "transaction_age"),
            runner=runner,
            image=_image(fields) if runner == SQL else None,
            deadline=_moment(fields, "deadline") if fields.has("deadline") else None,
            format=_format(fields) if fields.has("format") else JSON,
        )


def _one_of(fields: Fields, name: str, known: tuple[str, ...]) -> str:
    value = fields.text(name)
    if value not in known:
        raise BadInputError(f"{name} is none of {', '.join(known)}", field=name, hint=f"give {known[0]}")
    return value


def _seconds(fields: Fields, name: str) -> float:
    value = fields.raw(name)
    # A NaN is neither below nor above anything. PostgreSQL takes 0 for no limit at all.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.001 <= value <= _LONGEST:
        raise BadInputError(f"{name} is not a number of seconds", field=name, hint=f"up to {_LONGEST}")
    return value


def _moment(fields: Fields, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(fields.text(name))
    except ValueError:
        raise BadInputError(f"{name} is no moment", field=name, hint="ISO 8601, in UTC") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _format(fields: Fields) -> Format:
    given = fields.raw("format")
    if isinstance(given, Mapping) and set(given) == {"key", "style"}:
        return {"key": str(given["key"]), "style": str(given["style"])}
    if given != JSON:
        raise BadInputError("format is not known", field="format", hint='"json", or {"key", "style"}')
    return JSON


def _image(fields: Fields) -> SqlImage:
    given = fields.raw("image")
    if not isinstance(given, Mapping) or set(given) - _IMAGE:
        raise BadInputError(
            "image says not which", field="image", hint='{"repository", "digest", "directory"}'
        )
    repository, digest, directory = given.get("repository"), given.get("digest"), given.get("directory")
    if not isinstance(repository, str) or not repository:
        raise BadInputError("image.repository is missing", field="image.repository", hint="its name in ECR")
    if not isinstance(digest, str) or not is_digest(digest):
        raise BadInputError("image.digest is not a digest", field="image.digest", hint="sha256:…")
    if directory is not None and not isinstance(directory, str):
        raise BadInputError("image.directory is no text", field="image.directory", hint=DIRECTORY)
    return SqlImage(repository, digest, directory or DIRECTORY)
