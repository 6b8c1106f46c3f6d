"""The files of an image: in memory, and from the embedded cloud's registry; what ECR refuses, on the wire."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.ecr import MANIFESTS, EcrImages
from tidegate.adapters.image_layers import Blob
from tidegate.domain.errors import OutsideError, RefusalError, TransientError
from tidegate.ports import ImageFolder, Images
from tidegate_local import images as local_images

from tests.integration.adapters.cloud import Wire, ok, refused
from tests.integration.adapters.layering import DOCKER, INDEX, MANIFEST, digest_of, image_of, index_of, layer
from tests.support.embedded import Cloud, running_cloud
from tests.support.fakes import FakeImages

DIGEST = f"sha256:{'0' * 64}"
FILES = {"/migrations/1_a.sql": b"a", "/migrations/2_b.sql": b"b", "/migrations/x/3.sql": b"c", "/app": b"d"}
FOUND = ImageFolder({"1_a.sql": b"a", "2_b.sql": b"b"}, {"team": "shop"})
Push = Callable[[Mapping[str, bytes], Mapping[str, str]], str]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def repository(cloud: Cloud) -> str:
    name = f"shop/{uuid.uuid4().hex[:8]}"
    cloud.client("ecr").create_repository(repositoryName=name)
    return name


def put(cloud: Cloud, repository: str, manifest: str, kind: str) -> str:
    cloud.client("ecr").put_image(
        repositoryName=repository,
        imageManifest=manifest,
        imageManifestMediaType=kind,
        imageTag=uuid.uuid4().hex,
    )
    return digest_of(manifest.encode())


def pushing(cloud: Cloud, repository: str) -> Callable[[bytes], Blob]:
    def push(content: bytes) -> Blob:
        local_images.upload(cloud.client("ecr"), repository, content)
        return Blob(digest_of(content), len(content))

    return push


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def images(request: pytest.FixtureRequest) -> tuple[Images, str, Push]:
    if request.param == "fake":
        fake = FakeImages()

        def remember(files: Mapping[str, bytes], labels: Mapping[str, str]) -> str:
            fake.push("shop", DIGEST)
            fake.files["shop", DIGEST], fake.labels["shop", DIGEST] = dict(files), dict(labels)
            return DIGEST

        fake.add_repository("shop")
        return fake, "shop", remember
    cloud, repository = request.getfixturevalue("cloud"), request.getfixturevalue("repository")

    def push(files: Mapping[str, bytes], labels: Mapping[str, str]) -> str:
        layers = [layer((path, content)) for path, content in files.items()]
        manifest = image_of(pushing(cloud, repository), *layers, labels=labels)
        return put(cloud, repository, manifest, MANIFEST)

    return EcrImages(lambda: cloud.client("ecr")), repository, push


def test_the_files_of_the_folder_and_the_labels_are_read(images: tuple[Images, str, Push]) -> None:
    port, repository, push = images
    digest = push(FILES, FOUND.labels)
    assert port.folder(repository, digest, "/migrations", ".sql") == FOUND
    assert port.folder(repository, digest, "migrations/", "a.sql") == ImageFolder(
        {"1_a.sql": b"a"}, FOUND.labels
    )


def test_an_image_without_the_folder_has_no_files(images: tuple[Images, str, Push]) -> None:
    port, repository, push = images
    digest = push({"/app": b"x"}, {})
    assert port.folder(repository, digest, "/migrations", ".sql") == ImageFolder({}, {})


def test_an_image_that_is_not_there_has_none(images: tuple[Images, str, Push]) -> None:
    port, repository, push = images
    push(FILES, {})
    assert port.folder(repository, f"sha256:{'9' * 64}", "/migrations", ".sql") is None
    assert port.folder("nothing", DIGEST, "/migrations", ".sql") is None


@pytest.mark.emulator
@pytest.mark.parametrize("kind", [DOCKER, MANIFEST])
def test_an_index_leads_to_its_image(cloud: Cloud, repository: str, kind: str) -> None:
    manifest = image_of(pushing(cloud, repository), layer(("migrations/1.sql", "1")), kind=kind)
    put(cloud, repository, manifest, kind)
    index = index_of(("{}", {"platform": {"os": "windows"}}), (manifest, {"platform": {"os": "linux"}}))
    digest = put(cloud, repository, index, INDEX)
    found = EcrImages(lambda: cloud.client("ecr")).folder(repository, digest, "/migrations", ".sql")
    assert found == ImageFolder({"1.sql": b"1"}, {})


@pytest.mark.emulator
def test_an_index_whose_image_is_gone_is_an_error(cloud: Cloud, repository: str) -> None:
    digest = put(cloud, repository, index_of(('{"layers": []}', {})), INDEX)
    with pytest.raises(OutsideError, match="lacks sha256:"):
        EcrImages(lambda: cloud.client("ecr")).folder(repository, digest, "/migrations", ".sql")


@pytest.mark.emulator
def test_a_layer_that_is_too_large_is_refused_before_it_is_downloaded(
    cloud: Cloud, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.adapters.image_layers.COMPRESSED_BYTES", 10)
    manifest = image_of(pushing(cloud, repository), layer(("migrations/1.sql", "1")))
    digest = put(cloud, repository, manifest, MANIFEST)
    with pytest.raises(RefusalError, match="MiB"):
        EcrImages(lambda: cloud.client("ecr")).folder(repository, digest, "/migrations", ".sql")


@pytest.fixture
def client(clients: Clients) -> Any:
    return clients.client("ecr")


BLOB = Blob(DIGEST, 10)
TEXT = image_of(lambda _: BLOB, b"")
IMAGE = ok({"images": [{"imageManifest": TEXT}], "failures": []})


def test_both_kinds_of_manifest_and_of_index_are_accepted(client: Any) -> None:
    wire = Wire(client, ok({"images": [], "failures": [{"failureCode": "ImageNotFound"}]}))
    assert EcrImages(lambda: client).folder("shop", DIGEST, "/m", ".sql") is None
    (asked,) = wire.requests
    assert set(asked["acceptedMediaTypes"]) == set(MANIFESTS) >= {DOCKER, MANIFEST, INDEX}


@pytest.mark.parametrize(
    ("action", "answers"), [("ecr:BatchGetImage", []), ("ecr:GetDownloadUrlForLayer", [IMAGE])]
)
def test_each_permission_is_named(client: Any, action: str, answers: list[Any]) -> None:
    Wire(client, *answers, refused("AccessDeniedException"))
    with pytest.raises(OutsideError) as raised:
        EcrImages(lambda: client).folder("shop", digest_of(TEXT.encode()), "/m", ".sql")
    assert raised.value.hint == f"allow {action} to the role that made this call"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("LayersNotFoundException", OutsideError),
        ("LayerInaccessibleException", OutsideError),
        ("ServerException", TransientError),
    ],
)
def test_a_layer_that_ecr_does_not_give(
    client: Any, code: str, error: type[Exception], no_waiting: None
) -> None:
    Wire(client, IMAGE, *[refused(code)] * 3)
    with pytest.raises(error):
        EcrImages(lambda: client).folder("shop", digest_of(TEXT.encode()), "/m", ".sql")


def test_a_manifest_that_the_digest_does_not_name_is_not_taken(client: Any) -> None:
    Wire(client, IMAGE)
    with pytest.raises(OutsideError, match="something else"):
        EcrImages(lambda: client).folder("shop", DIGEST, "/m", ".sql")


def test_who_reads_no_image_does_not_pay_for_it() -> None:
    """Guards the imports inside `EcrImages`: every function's cold start loads that module."""
    heavy = ["tarfile", "tidegate.adapters.image_layers", "tidegate.adapters.layer_download"]
    script = f"import sys, tidegate.adapters.ecr\nsys.exit(bool(sys.modules.keys() & {heavy}))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
