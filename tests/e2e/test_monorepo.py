"""A change under one context of a monorepo, without a container engine: images are simulated, all else is real."""

from __future__ import annotations

from pathlib import Path

import pytest
from tidegate_local.images import publish

from tests.e2e import monorepo
from tests.e2e.support import SampleCloud

pytestmark = pytest.mark.emulator


def test_a_change_under_one_context_rolls_one_service(cloud: SampleCloud, tmp_path: Path) -> None:
    ecr = cloud.client("ecr")
    repository = ecr.create_repository(repositoryName=monorepo.REPOSITORY, imageTagMutability="IMMUTABLE")[
        "repository"
    ]
    digest = publish(ecr, monorepo.REPOSITORY, "by-hand", "before the first push")
    image = f"{repository['repositoryUri']}@{digest}"
    system, developer = monorepo.begin(cloud, image, tmp_path)
    monorepo.check_the_first_push(system, developer)
    monorepo.check_a_change_of_one(system, developer)
