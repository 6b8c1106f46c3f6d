"""A container that a stack defines takes its secrets.

AWS: `Secrets`, `RepositoryCredentials`, `HealthCheck`, `DependsOn` and `LogConfiguration.SecretOptions` of a container
are those of RegisterTaskDefinition (CloudFormation template reference, "AWS::ECS::TaskDefinition ContainerDefinition").
MiniStack: hands them over in CloudFormation's spelling (`ValueFrom`), so that nothing finds what is in them.
Mended by spelling them as the API does.
"""

from typing import Any

from ministack.services.cloudformation import provisioners

from tidegate_local.seam import expect, graft

PARTS = ("secrets", "repositoryCredentials", "healthCheck", "dependsOn")


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    spelled = expect(provisioners, "_pascal_to_camel", signature="(obj)")

    def normalized(cdefs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = original(cdefs)
        for container in found:
            container.update({part: spelled(container[part]) for part in PARTS if part in container})
            log = container.get("logConfiguration") or {}
            if "secretOptions" in log:
                container["logConfiguration"] = {**log, "secretOptions": spelled(log["secretOptions"])}
        return found

    original = graft(
        provisioners,
        "_normalize_container_defs",
        normalized,
        signature="(cdefs)",
        shows='elif camel == "logConfiguration" and isinstance(v, dict):',
    )
