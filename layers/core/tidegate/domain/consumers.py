"""Which task definitions take a secret, and how: its consumers have to start again when it changes.

Forms of `valueFrom` (ECS developer guide, "Pass Secrets Manager secrets through Amazon ECS environment variables" and
"Pass Systems Manager parameters …"):
- a secret's ARN, and behind it `:json-key:version-stage:version-id`, each of which may be empty. The ARN may lack the
  six characters that Secrets Manager gave it;
- a parameter that only stands for a secret (Systems Manager user guide, "Referencing Secrets Manager secrets from
  Parameter Store parameters"): `/aws/reference/secretsmanager/<name>`, by name or ARN, and behind it `:` with the id or
  the stage of a version.
A container's log driver takes secrets the same way (`logConfiguration.secretOptions`). The credentials of a private
registry (`repositoryCredentials.credentialsParameter`: ARN, or name in the task's own region) are read for each pull of
an image: whoever runs has no copy of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

CURRENT = "AWSCURRENT"
REFERENCE: Final = "/aws/reference/secretsmanager/"
PULL: Final = "repositoryCredentials"
LOG: Final = "logConfiguration.secretOptions."
# Secrets Manager appends a dash and six characters to the name in the ARN.
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}")
# A reference's selector does not say which it is. Secrets Manager API reference, PutSecretValue: ClientRequestToken,
# which becomes the version's id, has 32 to 64 characters; no stage of AWS's own is that long.
_SHORTEST_VERSION: Final = 32


@dataclass(frozen=True, slots=True)
class Taking:
    """One way in which a container takes a secret. `variable` is its environment variable, `logConfiguration.…` where
    its log driver takes it, `repositoryCredentials` where only the pull of its image does. `key` is empty for the whole
    secret, `stage` and `version` where none is named."""

    container: str
    variable: str
    key: str = ""
    stage: str = ""
    version: str = ""

    @property
    def held(self) -> bool:
        """Whether it takes a fixed version, or one by another label than AWSCURRENT: what becomes current is nothing to
        it, and what it takes may be disabled by a rotation."""
        return bool(self.version) or (self.stage or CURRENT) != CURRENT

    @property
    def restarts(self) -> bool:
        """Whether it has the new value only when it has started again."""
        return not self.held and self.variable != PULL

    @property
    def what(self) -> str:
        """What it is held to, for a sentence: `version 0f3a…`, `AWSPREVIOUS`; else `AWSCURRENT`."""
        return f"version {self.version}" if self.version else self.stage or CURRENT


def consumes(task_definition: Mapping[str, Any], secret: str) -> bool:
    """Whether a container takes the current value of a secret, given by its ARN or its name, when it starts."""
    return any(taking.restarts for taking in takings(task_definition, secret))


def takings(task_definition: Mapping[str, Any], secret: str) -> list[Taking]:
    """Every way in which containers take a secret, given by its ARN or its name; `task_definition` is what
    DescribeTaskDefinition says."""
    return list(_takings(task_definition, secret))


def _takings(task_definition: Mapping[str, Any], secret: str) -> Iterator[Taking]:
    # A name without an ARN is of the task's own region and account.
    here = str(task_definition.get("taskDefinitionArn") or "")
    for container in task_definition["containerDefinitions"]:
        name = str(container.get("name", ""))
        logs = container.get("logConfiguration") or {}
        for prefix, entries in (("", container.get("secrets")), (LOG, logs.get("secretOptions"))):
            for entry in entries or ():
                selected = _selected(str(entry["valueFrom"]), secret, here)
                if selected is not None:
                    yield Taking(name, f"{prefix}{entry.get('name', '')}", *selected)
        pulled = str((container.get(PULL) or {}).get("credentialsParameter") or "")
        if pulled and _is_secret(pulled, secret, here):
            yield Taking(name, PULL)


def _selected(value_from: str, secret: str, here: str) -> tuple[str, str, str] | None:
    """Key, stage and version that are taken of the secret; None where it is another one."""
    parts = value_from.split(":")
    if value_from.startswith(REFERENCE):
        return _referred(value_from, secret, here)
    if len(parts) < 6 or parts[0] != "arn":
        return None
    if parts[2] == "ssm" and parts[5].startswith(f"parameter{REFERENCE}"):
        return _referred(":".join(parts[5:]).removeprefix("parameter"), secret, value_from)
    if parts[2] != "secretsmanager" or not _is_secret(":".join(parts[:7]), secret, here):
        return None
    key, stage, version = (*parts[7:10], "", "", "")[:3]
    return key, stage, version


def _referred(path: str, secret: str, where: str) -> tuple[str, str, str] | None:
    name, _, selector = path.removeprefix(REFERENCE).partition(":")
    if not _is_secret(name, secret, where):
        return None
    return ("", "", selector) if is_version(selector) else ("", selector, "")


def is_version(selector: str) -> bool:
    """Whether the selector of a reference is the id of a version, else the name of a stage."""
    return len(selector) >= _SHORTEST_VERSION


def _is_secret(taken: str, secret: str, where: str) -> bool:
    """Whether `taken`, an ARN or a name, is the secret. `where` is an ARN of the region and account that a name is of,
    or empty."""
    if taken.startswith("arn:"):
        if secret.startswith("arn:"):
            return taken == secret or _is_named(secret, taken)
        name = taken.split(":", 6)[-1]
        return name == secret or _is_named(name, secret)
    if not secret.startswith("arn:"):
        return taken == secret
    place, name = secret.split(":")[3:5], secret.split(":", 6)[-1]
    return (not where or where.split(":")[3:5] == place) and (name == taken or _is_named(name, taken))


def _is_named(whole: str, name: str) -> bool:
    """Whether `whole` is a name, or an ARN, with Secrets Manager's six characters, and `name` the same without them."""
    return whole.startswith(name) and _SUFFIX.fullmatch(whole[len(name) :]) is not None
