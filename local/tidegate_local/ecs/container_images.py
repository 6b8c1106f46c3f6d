"""The image of a container, had before it is created."""

from typing import Any

import docker.errors
import requests

Broken = (docker.errors.DockerException, requests.RequestException, OSError)
"""What a call of the engine may raise: its refusals, and its silence."""


class PullError(Exception):
    """It cannot be had; the message in Fargate's words (ECS developer guide, "CannotPullContainer task errors"),
    with Docker's reason."""

    def __init__(self, image: str, why: str) -> None:
        super().__init__(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
            f"failed to resolve ref {image}: {why}"
        )


def provide(engine: Any, image: str, *, registry: str) -> str | None:
    """Pull it unless it is there; its digest in the registry it came from, None for a local build.

    An image of `registry`, the cloud's own, is asked for each time unless named by digest: a tag may have moved, and
    what is not in ECR must not run. Others are taken as they are: a public registry counts the pulls, and may be
    out of reach. `engine` is the SDK's APIClient. Raises `PullError`.
    """
    ours = image.startswith(f"{registry}/")
    found = None if ours and "@" not in image else _inspect(engine, image)
    if found is None:
        try:
            for line in engine.pull(image, stream=True, decode=True):
                if "error" in line:
                    raise PullError(image, line["error"])
        except Broken as error:
            raise PullError(image, told(error)) from error
        found = _inspect(engine, image)
    if found is None:
        raise PullError(image, "not found")
    digests = [name.rpartition("@") for name in found.get("RepoDigests") or []]
    return next((digest for name, _, digest in digests if name == _repository(image)), None)


def told(error: Exception) -> str:
    """The engine's own words."""
    return str(getattr(error, "explanation", None) or error)


def _inspect(engine: Any, image: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = engine.inspect_image(image)
    except docker.errors.ImageNotFound:
        return None
    return found


def _repository(image: str) -> str:
    """The name without digest and tag; a port is no tag."""
    head, slash, last = image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
