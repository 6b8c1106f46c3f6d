"""The sample's containers: the image they begin with, and what they answer. Only where a Docker engine runs them."""

import contextlib
import io
import tarfile
import time
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidegate_local import base_image, engine, sample
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import LocalError
from tidegate_local.lifecycle.record import Cloud

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecs import ECSClient

REPOSITORY, TAG = "sample-bootstrap", "0"
VERSION = "0 (before the first release)"
API = "sample-api"
ANSWER_SECONDS = 10.0
"""How long a container that ECS calls RUNNING may take to listen."""
_CALL_SECONDS = 2.0
_PAUSE_SECONDS = 0.2


def bootstrap(checkout: Checkout, cloud: Cloud, ecr: "ECRClient") -> str:
    """An image of the sample's application that its services run before the first release.

    Gives `<registry>/<name>@<digest>`. It is in a repository of its own, which is there before the sample's stack.
    Raises `LocalError`.
    """
    if cloud.engine is None:
        raise LocalError("there is no Docker engine to build an image with", field="docker")
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=REPOSITORY)
    name = f"{cloud.options.registry}/{REPOSITORY}"
    if not ecr.list_images(repositoryName=REPOSITORY)["imageIds"]:
        _build_and_push(checkout, cloud.engine, cloud.options.registry, name)
    found = ecr.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": TAG}])["imageDetails"]
    return f"{name}@{found[0]['imageDigest']}"


def answers(ecs: "ECSClient", wanted: str, pause: Callable[[float], None]) -> list[str]:
    """What each of the API's containers answers over HTTP at its own address; asked again for a while where one does
    not say `wanted`. A container that cannot be reached answers with an empty text."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        said = [_ask(address) for address in _addresses(ecs)]
        if set(said) == {wanted} or time.monotonic() > deadline:
            return said
        pause(_PAUSE_SECONDS)


def _build_and_push(checkout: Checkout, used: engine.Engine, registry: str, name: str) -> None:
    import docker.errors  # noqa: PLC0415 -- only where there is an engine

    try:
        arguments = {"BASE_IMAGE": base_image.build(used.address, registry)}
    except base_image.NoBusyboxError:
        arguments = {}  # what the Dockerfile names
    try:
        with engine.connected(used.address) as client:
            client.images.build(
                fileobj=_context(checkout),
                custom_context=True,
                rm=True,
                buildargs=arguments,
                tag=f"{name}:{TAG}",
            )
            said: list[dict[str, Any]] = list(client.api.push(name, TAG, stream=True, decode=True))
    except docker.errors.DockerException as error:
        raise _no_image(str(error)) from error
    refused = next((line["error"] for line in said if "error" in line), None)
    if refused is not None:
        raise _no_image(refused)


def _no_image(why: str) -> LocalError:
    return LocalError(
        f"the sample's image cannot be built: {why}",
        hint="without Docker: tidegate demo --docker off",
        field="docker",
    )


def _context(checkout: Checkout) -> io.BytesIO:
    """The sample's application as a build context, with a version from before all releases."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        application = sample.folder(checkout) / "app"
        for path in sorted(one for one in application.rglob("*") if one.is_file()):
            content = f"{VERSION}\n".encode() if path.name == "version" else path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(application).as_posix())
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    written.seek(0)
    return written


def _addresses(ecs: "ECSClient") -> list[str]:
    """The private addresses of the API's running tasks."""
    running = ecs.list_tasks(cluster=sample.CLUSTER, serviceName=API, desiredStatus="RUNNING")["taskArns"]
    if not running:
        return []
    tasks = ecs.describe_tasks(cluster=sample.CLUSTER, tasks=running)["tasks"]
    details = [detail for task in tasks for entry in task["attachments"] for detail in entry["details"]]
    return sorted(entry["value"] for entry in details if entry["name"] == "privateIPv4Address")


def _ask(address: str) -> str:
    # A proxy of this machine does not know the containers.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}/", timeout=_CALL_SECONDS) as response:
            return str(response.read(200).decode(errors="replace").strip())
    except OSError:
        return ""
