"""The values behind a container's `secrets`."""

import json

from ministack.services import secretsmanager, ssm

from tidegate_local.ecs.records import Record
from tidegate_local.seam import expect

_CURRENT = "AWSCURRENT"
_REFERENCE = "/aws/reference/secretsmanager/"
# Secrets Manager API reference, PutSecretValue: ClientRequestToken, which becomes the version's id, has 32 to 64.
_SHORTEST_VERSION = 32


class SecretError(Exception):
    """One cannot be read; the message names it, never a value."""


def check_fit() -> None:
    """Raises `MendDoesNotFitError` where MiniStack reads secrets otherwise than is assumed here."""
    expect(
        secretsmanager,
        "resolve_secret_string",
        signature="(secret_id, version_stage='AWSCURRENT', version_id=None)",
    )
    expect(ssm, "resolve_parameter_value", signature="(name_or_arn, version=None, decrypt=False)")


def resolve(definition: Record) -> dict[str, str]:
    """Value by variable, from Secrets Manager and Parameter Store.

    Of a secret the whole or one JSON key, and the version or the stage that is named; also by a parameter that stands
    for it (ECS developer guide, "Pass Secrets Manager secrets through Amazon ECS environment variables"; Systems
    Manager user guide, "Referencing Secrets Manager secrets from Parameter Store parameters"). Other parameters are
    decrypted (ECS API, Secret). MiniStack does none of this but the key. Call inside the task's account and region.
    Raises `SecretError`.
    """
    return {
        entry["name"]: _value(entry["valueFrom"], f"for environment variable {entry['name']}")
        for entry in definition.get("secrets") or []
    }


def current_version(secret: str) -> str | None:
    """Id of the version that a task started now would be given. Call inside the task's account and region."""
    _, known = secretsmanager._resolve(secret)
    versions = {} if known is None else known["Versions"]
    return next((version for version, entry in versions.items() if _CURRENT in entry["Stages"]), None)


def _value(source: str, purpose: str) -> str:
    if _REFERENCE in source:
        name, _, selector = source.partition(_REFERENCE)[2].partition(":")
        if len(selector) >= _SHORTEST_VERSION:
            value = secretsmanager.resolve_secret_string(name, version_id=selector)
        else:
            value = secretsmanager.resolve_secret_string(name, selector or _CURRENT)
        kind, key = "secret", ""
    elif ":secretsmanager:" in source:
        parts = source.split(":")
        key, stage, version = (*parts[7:10], "", "", "")[:3]
        value = secretsmanager.resolve_secret_string(":".join(parts[:7]), stage or _CURRENT, version or None)
        kind = "secret"
    else:
        value, kind, key = ssm.resolve_parameter_value(source, decrypt=True), "parameter", ""
    if value is None:
        raise SecretError(f"unable to retrieve {kind} {source} {purpose}")
    return _part(str(value), key, source, purpose) if key else str(value)


def _part(text: str, key: str, source: str, purpose: str) -> str:
    try:
        value = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        raise SecretError(f"unable to retrieve json key '{key}' from secret {source} {purpose}") from None
    return value if isinstance(value, str) else json.dumps(value)
