"""What a container definition means to Docker, as keyword arguments of the SDK's `create_container`.

Read from the ECS API's ContainerDefinition. Left out because nothing here needs it: limits of memory and processor,
volumes, GPUs, other log drivers than awslogs (their lines are still in `docker logs`), an order of start (dependsOn).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tidegate_local.engine import CLOUD_LABEL

Record: TypeAlias = dict[str, Any]

STOP_SECONDS = 2
"""The longest that a container may take to obey a signal; ECS gives it `stopTimeout`, 30 s by default."""
CHECK_SECONDS = 1
"""The longest time between two health checks; ECS takes `interval`, 30 s by default."""
AUTHORITIES, TRUSTED_PLACE = "SSL_CERT_FILE", "/etc/tidegate-authorities.pem"

_SECOND = 1_000_000_000
_ECR = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/")


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """One container: its image as Docker knows it, and everything else that `create_container` takes."""

    name: str
    image: str
    essential: bool
    checked: bool
    stop_seconds: int
    create: dict[str, Any] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    """For `create_host_config`."""


def of_container(
    task: Record,
    definition: Record,
    *,
    secrets: Mapping[str, str],
    cloud_id: str,
    registry: str,
    trusted: Path | None = None,
) -> ContainerSettings:
    """`definition` is the container's in its task definition, `secrets` the resolved values by variable; `trusted` is
    a file with the authorities that it trusts from the beginning: what OpenSSL reads them from names it.

    RunTask's overrides come before the definition; of the environment, secrets come last, as ECS has it.
    """
    authorities = {AUTHORITIES: TRUSTED_PLACE} if trusted is not None else {}
    override = _override(task, definition["name"])
    check = definition.get("healthCheck")
    linux = definition.get("linuxParameters") or {}
    create = {
        "command": override.get("command") or definition.get("command"),
        "entrypoint": definition.get("entryPoint") or None,
        "environment": authorities | _environment(definition) | _environment(override) | dict(secrets),
        "working_dir": definition.get("workingDirectory"),
        "user": definition.get("user"),
        "labels": _labels(task, definition, cloud_id),
        "healthcheck": _health_check(check) if check else None,
        "name": f"tidegate-{cloud_id[:6]}-{definition['name'][:40]}-{_task_id(task)[:12]}",
        "use_config_proxy": False,
    }
    host = {
        "init": bool(linux.get("initProcessEnabled")) or None,
        "read_only": bool(definition.get("readonlyRootFilesystem")),
        "privileged": bool(definition.get("privileged")),
        "extra_hosts": {
            entry["hostname"]: entry["ipAddress"] for entry in definition.get("extraHosts") or []
        },
        # The engine may be set up to keep no lines, or to send them elsewhere; here they are read back.
        "log_config": {"Type": "json-file", "Config": {"max-size": "20m"}},
        "ulimits": [
            {"Name": entry["name"], "Soft": entry["softLimit"], "Hard": entry["hardLimit"]}
            for entry in definition.get("ulimits") or []
        ],
    }
    if trusted is not None:
        host["binds"] = {str(trusted): {"bind": TRUSTED_PLACE, "mode": "ro"}}
    return ContainerSettings(
        name=definition["name"],
        image=local_name(definition["image"], registry),
        essential=bool(definition.get("essential", True)),
        checked=check is not None,
        stop_seconds=min(int(definition.get("stopTimeout", 30)), STOP_SECONDS),
        create=create,
        host=host,
    )


def local_name(image: str, registry: str) -> str:
    """The image where the engine finds it: a name of ECR's stands for the registry of this cloud."""
    return _ECR.sub(f"{registry}/", image, count=1) if _ECR.match(image) else image


def _override(task: Record, name: str) -> Record:
    given = (task.get("overrides") or {}).get("containerOverrides") or []
    return next((entry for entry in given if entry.get("name") == name), {})


def _environment(holder: Record) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in holder.get("environment") or []}


def _labels(task: Record, definition: Record, cloud_id: str) -> dict[str, str]:
    """The ECS agent's labels, so that tools that know them find the containers, and ours."""
    family, _, revision = task["taskDefinitionArn"].rpartition("/")[2].partition(":")
    return {
        **(definition.get("dockerLabels") or {}),
        CLOUD_LABEL: cloud_id,
        "tidegate.group": task.get("group", ""),
        "com.amazonaws.ecs.cluster": task["clusterArn"],
        "com.amazonaws.ecs.container-name": definition["name"],
        "com.amazonaws.ecs.task-arn": task["taskArn"],
        "com.amazonaws.ecs.task-definition-family": family,
        "com.amazonaws.ecs.task-definition-version": revision,
    }


def _health_check(check: Record) -> dict[str, Any]:
    """Docker's form of it, times in nanoseconds. It is asked more often than on AWS, where a minute costs nothing."""
    command = list(check["command"])
    return {
        "test": command if command[0] in ("CMD", "CMD-SHELL", "NONE") else ["CMD", *command],
        "interval": min(int(check.get("interval", 30)), CHECK_SECONDS) * _SECOND,
        "timeout": int(check.get("timeout", 5)) * _SECOND,
        "retries": int(check.get("retries", 3)),
        "start_period": int(check.get("startPeriod", 0)) * _SECOND,
    }


def _task_id(task: Record) -> str:
    return str(task["taskArn"]).rpartition("/")[2]
