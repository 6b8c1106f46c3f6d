"""CodeBuild's builds use the real docker where a Docker engine is."""

from pathlib import Path
from typing import Any

import pytest
from tidegate.adapters.ecr import EcrImages
from tidegate.domain.migration_lint import lint_of
from tidegate_local import base_image, engine

from tests.integration.local.building_project import phases
from tests.integration.local.image_shop import Shop, exported
from tests.support.embedded import Cloud
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.docker]

DOCKERFILE = (
    'ARG BASE_IMAGE\nFROM $BASE_IMAGE\nCOPY app /app\nRUN cat /app > /copied\nCMD ["cat", "/copied"]\n'
)


@pytest.fixture
def shop(cloud: Cloud, host: str, tmp_path: Path) -> Shop:
    base = base_image.build(host, cloud.endpoint_url.removeprefix("http://"))
    return Shop.make(cloud, tmp_path / "work", BuildArguments=f"BASE_IMAGE={base}")


def build(shop: Shop, commit: str) -> dict[str, Any]:
    """With the project's own variables."""
    return shop.project.ended(shop.project.start(sourceVersion=commit)["id"], seconds=120)


def test_a_pushed_commit_becomes_an_image_that_runs(shop: Shop, host: str) -> None:
    commit = shop.push({"Dockerfile": DOCKERFILE, "app": "hello"})
    ended = build(shop, commit)
    assert ended["buildStatus"] == "SUCCEEDED", "\n".join(shop.project.lines(ended))
    ((_, digest),) = shop.images().items()
    assert exported(ended)["TIDEGATE_DIGEST"] == digest
    registry = shop.cloud.endpoint_url.removeprefix("http://")
    with engine.connected(host) as docker:
        container = docker.containers.run(f"{registry}/{shop.name}@{digest}", detach=True)
        try:
            assert container.wait(timeout=30)["StatusCode"] == 0
            # The engine may write the last line of a container a moment after its end.
            printed = wait_until(container.logs, what="what the container printed")
        finally:
            container.remove()
        labels = docker.images.get(f"{registry}/{shop.name}@{digest}").labels
    assert printed == b"hello"
    assert labels["org.opencontainers.image.revision"] == commit


def test_the_migrations_of_an_image_are_linted_and_can_be_read(shop: Shop) -> None:
    """In layers as an engine writes them, some of them the base image's."""
    dockerfile = "ARG BASE_IMAGE\nFROM $BASE_IMAGE\nCOPY db /migrations\nRUN rm /migrations/2_b.sql\n"
    files = {"Dockerfile": dockerfile, "db/1_a.sql": "DROP TABLE a;\n", "db/2_b.sql": "SELECT 1;\n"}
    project = shop.project.start(
        sourceVersion=shop.push(files),
        environmentVariablesOverride=[{"name": "TIDEGATE_MIGRATIONS", "value": "db", "type": "PLAINTEXT"}],
    )
    ended = shop.project.ended(project["id"], seconds=120)
    assert ended["buildStatus"] == "SUCCEEDED", "\n".join(shop.project.lines(ended))
    ((_, digest),) = shop.images().items()
    images = EcrImages(lambda: shop.cloud.client("ecr"))
    folder = images.folder(shop.name, digest, "/migrations", ".sql")
    assert folder is not None
    assert folder.files == {"1_a.sql": b"DROP TABLE a;\n"}
    assert [one.rule for one in lint_of(folder.labels) or ()] == ["ban-drop-table"]


def test_a_run_that_fails_ends_the_build_with_its_line(shop: Shop) -> None:
    commit = shop.push({"Dockerfile": DOCKERFILE.replace("cat /app >", "cat /missing >"), "app": "hello"})
    ended = build(shop, commit)
    assert (ended["buildStatus"], phases(ended)["BUILD"]) == ("FAILED", "FAILED")
    assert any("cat: can't open '/missing'" in line for line in shop.project.output(ended))
    assert shop.images() == {}
