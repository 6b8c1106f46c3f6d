"""The Docker engine of this machine: where it is, whether it answers, what a cloud leaves in it.

The SDK is imported where it is used: without Docker nothing of it is loaded.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
CLOUD_LABEL = "tidegate.cloud"
PING_SECONDS = 2.0
CALL_SECONDS = 60.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answered. `address` as DOCKER_HOST has it, `version` e.g. `20.10.24`."""

    address: str
    version: str


@dataclass(frozen=True, slots=True)
class Bridge:
    """The network of containers that name none: this machine's `address` in it, and its addresses, `subnet`."""

    address: str
    subnet: str


class NoEngineError(Exception):
    """No engine can be used; the message says why, and where it was looked for."""


def address(environ: Mapping[str, str] | None = None) -> str:
    """Where the engine is meant to be: DOCKER_HOST, else the socket of a Linux installation."""
    given = os.environ if environ is None else environ
    return given.get("DOCKER_HOST") or DEFAULT_ADDRESS


def find(environ: Mapping[str, str] | None = None) -> Engine:
    """The engine of this machine, if it answers within two seconds. Raises `NoEngineError`.

    One elsewhere is refused: it could not reach a registry on this machine's loopback.
    """
    where = address(environ)
    parts = urlsplit(where)
    if parts.scheme != "unix" and parts.hostname not in _LOOPBACK:
        raise NoEngineError(f"the Docker engine at {where} is not on this machine")
    try:
        with connected(where, seconds=PING_SECONDS) as docker:
            said = docker.version()
    except _errors() as error:
        raise NoEngineError(f"no Docker engine answers at {where}") from error
    if is_behind_a_wall(said):
        raise NoEngineError(
            f"the Docker engine at {where} is Docker Desktop: its containers are in a virtual machine, where this "
            "machine's loopback does not reach"
        )
    return Engine(where, str(said["Version"]))


def is_behind_a_wall(version: Mapping[str, Any]) -> bool:
    """Whether `docker version` is that of Docker Desktop, which names itself as the server's platform."""
    return "Docker Desktop" in str((version.get("Platform") or {}).get("Name"))


def bridge(where: str) -> Bridge | None:
    """The default bridge of the engine at `where`; None for one that was set up without it, or with IPv6 alone."""
    with contextlib.suppress(*_errors()), connected(where) as docker:
        for entry in docker.api.inspect_network("bridge")["IPAM"]["Config"] or []:
            if "." in entry.get("Gateway", ""):
                return Bridge(entry["Gateway"], entry["Subnet"])
    return None


@contextmanager
def connected(where: str, *, seconds: float | None = CALL_SECONDS) -> Iterator[Any]:
    """A `docker.DockerClient` of the engine at `where`; `seconds` is the time-out of one call, None for none."""
    import docker  # noqa: PLC0415 -- see above

    client = docker.DockerClient(base_url=where, timeout=seconds)
    try:
        yield client
    finally:
        client.close()


def sweep(where: str, *, cloud_id: str, registry: str) -> None:
    """Remove every container of the cloud, and every image name under its `registry` (`127.0.0.1:<port>`).

    An image that has another name too keeps it. Does nothing where no engine answers any more.
    """
    with contextlib.suppress(*_errors()), connected(where) as docker:
        remove_containers(docker, cloud_id)
        remove_image_names(docker, registry)


def sweep_containers(where: str, *, cloud_id: str) -> None:
    """`sweep` without the images."""
    with contextlib.suppress(*_errors()), connected(where) as docker:
        remove_containers(docker, cloud_id)


def remove_containers(docker: Any, cloud_id: str) -> None:
    """Kill and remove them with their anonymous volumes."""
    found = docker.api.containers(all=True, filters={"label": f"{CLOUD_LABEL}={cloud_id}"})
    for container in found:
        # It may be gone, or on its way.
        with contextlib.suppress(*_errors()):
            docker.api.remove_container(container["Id"], v=True, force=True)


def remove_image_names(docker: Any, registry: str) -> None:
    """Untag what was built for, pushed to or pulled from the registry, and remove what failed builds left of it."""
    for image in docker.api.images():
        own = [name for name in _names(image) if name.startswith(f"{registry}/")]
        if own:
            _remove_failed_builds(docker, image["Id"])
        for name in own:
            # Removing the last tag removes the digest's name with it.
            with contextlib.suppress(*_errors()):
                docker.api.remove_image(name, force=True)


def _remove_failed_builds(docker: Any, base: str) -> None:
    """The builder without BuildKit keeps the container of a step that failed, and the steps before it."""
    ended = {"ancestor": base, "status": ["exited", "created"]}
    for container in docker.api.containers(all=True, filters=ended):
        with contextlib.suppress(*_errors()):
            step = container["ImageID"]
            # Whoever runs a container names its image.
            if not _names(docker.api.inspect_image(step)):
                docker.api.remove_container(container["Id"], v=True)
                docker.api.remove_image(step)


def _names(image: Mapping[str, Any]) -> list[str]:
    found = [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]
    return [name for name in found if not name.startswith("<none>")]


def _errors() -> tuple[type[Exception], ...]:
    import docker.errors  # noqa: PLC0415 -- see above
    import requests  # noqa: PLC0415

    return (docker.errors.DockerException, requests.RequestException, OSError, KeyError, ValueError)
