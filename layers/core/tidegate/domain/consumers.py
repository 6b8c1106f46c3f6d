"""Which task definitions take a secret: its consumers have to start again when it changes.

Forms of `valueFrom` (ECS developer guide, "Pass Secrets Manager secrets through Amazon ECS environment variables"): the
secret's ARN, and behind it `:json-key:version-stage:version-id`, each of which may be empty. The ARN may lack the six
characters that Secrets Manager gave it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

CURRENT = "AWSCURRENT"
# Secrets Manager appends a dash and six characters to the name in the ARN.
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}")


def consumes(task_definition: Mapping[str, Any], secret: str) -> bool:
    """Whether a container takes the current value of a secret, given by its ARN or its name."""
    return any(
        _takes(entry["valueFrom"], secret)
        for container in task_definition["containerDefinitions"]
        for entry in container.get("secrets", [])
    )


def _takes(value_from: str, secret: str) -> bool:
    parts = value_from.split(":")
    if len(parts) < 7 or parts[2] != "secretsmanager":
        return False
    stage, version = (*parts[8:10], "", "")[:2]
    if version or (stage or CURRENT) != CURRENT:
        # It is held to one version: what is current is nothing to it.
        return False
    if secret.startswith("arn:"):
        taken = ":".join(parts[:7])
        return taken == secret or _is_named(secret, taken)
    return parts[6] == secret or _is_named(parts[6], secret)


def _is_named(whole: str, name: str) -> bool:
    """Whether `whole` is a name, or an ARN, with Secrets Manager's six characters, and `name` the same without them."""
    return whole.startswith(name) and _SUFFIX.fullmatch(whole[len(name) :]) is not None
