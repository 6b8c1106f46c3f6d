"""Task definitions of a release: the base that infrastructure as code made, with the release's image in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.domain.deployment import Deployment
from tidegate.domain.errors import OutsideError
from tidegate.domain.plan import DEPLOYMENT_TAG, RELEASE_TAG, same_shape, with_images
from tidegate.ports import Ports, TaskDefinition


def revision_with(
    ports: Ports, deployment: Deployment, base_arn: str, container: str, image_uri: str, service: str
) -> tuple[TaskDefinition, bool]:
    """A revision of the base that runs the image in `container`, and whether it was registered now.

    The base itself where it runs that image; what an attempt before, or another part of this deployment, registered.
    """
    containers = ports.containers
    base = containers.task_definition(base_arn)
    if base is None:
        raise OutsideError(f"service {service}: ECS no longer knows {base_arn}", field=f"services.{service}")
    wanted = with_images(base.content, {container: image_uri})
    if base.active and same_shape(wanted, base.content):
        return base, False
    newest = containers.task_definition(base.family)
    if newest is not None and _made_by(deployment, newest.tags, newest.content, container, image_uri):
        return newest, False
    tags = {
        **base.tags,
        DEPLOYMENT_TAG: deployment.id,
        RELEASE_TAG: deployment.release_name or "",
    }
    return containers.register(wanted, tags), True


def _made_by(
    deployment: Deployment,
    tags: Mapping[str, str],
    content: Mapping[str, Any],
    container: str,
    image_uri: str,
) -> bool:
    if tags.get(DEPLOYMENT_TAG) != deployment.id:
        return False
    images = {entry["name"]: entry["image"] for entry in content["containerDefinitions"]}
    return images.get(container) == image_uri
