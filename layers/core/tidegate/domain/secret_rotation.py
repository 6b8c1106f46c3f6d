"""What the function in the VPC is asked to do with a secret. Without pydantic: that function reads no manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidegate.domain.credentials import MYSQL, POSTGRES
from tidegate.domain.errors import BadInputError
from tidegate.domain.fields import Fields
from tidegate.domain.rotation import (
    ADOPT,
    ALTERNATING,
    DUAL_PASSWORD,
    PROMOTE,
    REGENERATE,
    RETIRE,
    SET,
    STAGE,
    STEPS,
    TEST,
    TOKEN,
)
from tidegate.domain.sql_migration import OFF, VERIFY_FULL

# Which is how AWS's own rotation for alternating users names the second one (Secrets Manager user guide, "Lambda
# function rotation strategies").
CLONE: Final = "_clone"

_STRATEGIES: Final = {POSTGRES: (ALTERNATING,), MYSQL: (ALTERNATING, DUAL_PASSWORD), TOKEN: (REGENERATE,)}
_STYLES: Final = ("url", "npgsql")
_LONGEST_SECRET: Final = 2048
# A longer one is cut off by PostgreSQL without a word (NAMEDATALEN, bytes), and refused by MySQL (characters).
_LONGEST_USER: Final = {POSTGRES: 63, MYSQL: 32}
# PutSecretValue: ClientRequestToken.
_VERSION: Final = range(32, 65)
_AFTER_PRECHECK: Final = frozenset({STAGE, SET, TEST, PROMOTE, RETIRE})
_KNOWN: Final = frozenset(
    {
        "step",
        "system",
        "environment",
        "deployment",
        "secret",
        "kind",
        "strategy",
        "admin",
        "users",
        "format",
        "tls",
        "version",
        "previous",
        "statements",
    }
)


@dataclass(frozen=True, slots=True)
class SecretRotation:
    """`version` is the id of the version that is written, `previous` that of the one that was current before, where it
    is known. No `users`: the current one and its clone. `statements` is the hash of what a person has agreed to."""

    step: str
    system: str
    environment: str
    deployment: str
    secret: str
    kind: str
    strategy: str
    admin: str | None
    users: tuple[str, ...]
    format: str | Mapping[str, str]
    tls: str
    version: str
    previous: str | None
    statements: str | None

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> SecretRotation:
        """Raises BadInputError naming the field."""
        fields = Fields(payload, set(_KNOWN))
        step = _one_of(fields, "step", STEPS)
        kind = _one_of(fields, "kind", tuple(_STRATEGIES))
        strategy = _one_of(fields, "strategy", _STRATEGIES[kind])
        if strategy == ALTERNATING and not fields.has("admin"):
            raise BadInputError(
                "admin is missing", field="admin", hint="the secret of who may change the users' passwords"
            )
        if step == ADOPT and not fields.has("statements"):
            raise BadInputError(
                "statements is missing", field="statements", hint="the hash that Adoption has told"
            )
        if step in _AFTER_PRECHECK and not fields.has("previous"):
            raise BadInputError("previous is missing", field="previous", hint="as Precheck has told it")
        return cls(
            step=step,
            system=fields.system(),
            environment=fields.key("environment"),
            deployment=fields.deployment("deployment"),
            secret=fields.text("secret", _LONGEST_SECRET),
            kind=kind,
            strategy=strategy,
            admin=fields.text("admin", _LONGEST_SECRET) if fields.has("admin") else None,
            users=_users(fields, strategy),
            format=_format(fields),
            tls=_one_of(fields, "tls", (VERIFY_FULL, OFF)),
            version=_version(fields, "version"),
            previous=_version(fields, "previous") if fields.has("previous") else None,
            statements=fields.text("statements", 100) if fields.has("statements") else None,
        )

    def next_user(self, current: str) -> str:
        """Who gets the new password. Raises BadInputError where that cannot be said."""
        if self.strategy != ALTERNATING:
            return current
        if self.users:
            if current not in self.users:
                raise BadInputError(
                    f"the secret's user {current} is none of {' and '.join(self.users)}",
                    field="users",
                    hint="correct users in the manifest, or the secret's user name",
                )
            return self.users[1] if current == self.users[0] else self.users[0]
        if current.endswith(CLONE) and current != CLONE:
            return current.removesuffix(CLONE)
        second = current + CLONE
        length = len(second.encode()) if self.kind == POSTGRES else len(second)
        if length > _LONGEST_USER[self.kind]:
            raise BadInputError(
                f"{second} is too long for a user's name",
                field="users",
                hint="name two users in the manifest",
            )
        return second


def _one_of(fields: Fields, name: str, known: tuple[str, ...]) -> str:
    value = fields.text(name)
    if value not in known:
        raise BadInputError(f"{name} is none of {', '.join(known)}", field=name, hint=f"give {known[0]}")
    return value


def _version(fields: Fields, name: str) -> str:
    value = fields.text(name)
    if len(value) not in _VERSION:
        raise BadInputError(f"{name} is no version's id", field=name, hint="32 to 64 characters")
    return value


def _users(fields: Fields, strategy: str) -> tuple[str, ...]:
    given = fields.raw("users") or []
    if not isinstance(given, list) or not all(isinstance(user, str) and user for user in given):
        raise BadInputError("users is not a list of names", field="users", hint='"users": ["app_a", "app_b"]')
    if strategy == ALTERNATING and given and (len(given) != 2 or given[0] == given[1]):
        raise BadInputError("users are not two", field="users", hint="name two users, or none")
    return tuple(given)


def _format(fields: Fields) -> str | Mapping[str, str]:
    given = fields.raw("format")
    if given == "json":
        return "json"
    if (
        not isinstance(given, Mapping)
        or set(given) != {"key", "style"}
        or not isinstance(given["key"], str)
        or not given["key"]
        or given["style"] not in _STYLES
    ):
        raise BadInputError(
            "format is none that a secret has",
            field="format",
            hint='"json", or {"key", "style": "url" | "npgsql"}',
        )
    return {"key": given["key"], "style": given["style"]}
