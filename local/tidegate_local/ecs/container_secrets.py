"""The values behind a container's `secrets`."""

from ministack.services import ecs, secretsmanager, ssm

from tidegate_local.ecs.records import Record
from tidegate_local.seam import expect


class SecretError(Exception):
    """One cannot be read; the message names it, never a value."""


def check_fit() -> None:
    """Raises `MendDoesNotFitError` where MiniStack reads secrets otherwise than is assumed here."""
    expect(ecs, "_resolve_container_secrets", signature="(cdef)")
    expect(ssm, "resolve_parameter_value", signature="(name_or_arn, version=None, decrypt=False)")


def resolve(definition: Record) -> dict[str, str]:
    """Value by variable, from Secrets Manager (whole, or one JSON key) and Parameter Store.

    Parameters are decrypted, as ECS does it (ECS API, Secret); MiniStack hands over the encrypted text. Call inside
    the task's account and region. Raises `SecretError`.
    """
    found = {}
    for entry in definition.get("secrets") or []:
        name, source = entry["name"], entry["valueFrom"]
        if "secretsmanager" in source:
            try:
                found.update(ecs._resolve_container_secrets({"secrets": [entry]}))
            except ecs._SecretResolutionError as error:
                raise SecretError(str(error)) from error
        else:
            value = ssm.resolve_parameter_value(source, decrypt=True)
            if value is None:
                raise SecretError(f"unable to retrieve parameter {source} for environment variable {name}")
            found[name] = str(value)
    return found


def current_version(secret: str) -> str | None:
    """Id of the version that a task started now would be given. Call inside the task's account and region."""
    _, known = secretsmanager._resolve(secret)
    versions = {} if known is None else known["Versions"]
    return next((version for version, entry in versions.items() if "AWSCURRENT" in entry["Stages"]), None)
