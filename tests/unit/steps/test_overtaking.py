"""Two pushes to a branch whose builds run side by side: the newer commit stays."""

from __future__ import annotations

import pytest
from tidegate.domain.build import BuildOutcome

from tests.unit.steps.building import MAIN, SOURCE, Yard, image
from tests.unit.steps.conftest import REPOSITORY, SYSTEM, Answer, digest


@pytest.fixture
def yard() -> Yard:
    return Yard()


def _under_way(yard: Yard, commit: str, **request: object) -> tuple[Answer, str]:
    selected = yard.push(commit, **request)
    return selected, yard.start(selected)


def _published(yard: Yard, selected: Answer, id_: str, made: int) -> Answer:
    yard.finish(id_, made=made)
    yard.event(id_)
    return yard.publish(selected)


def test_an_older_commit_that_is_built_last_is_not_released_over_the_newer(yard: Yard) -> None:
    """Red without `overtaken_by` in publish_images."""
    older, newer = _under_way(yard, "d4"), _under_way(yard, "e5")
    assert _published(yard, *newer, made=5)["outcome"] == "Built"
    late = _published(yard, *older, made=4)
    assert late["outcome"] == BuildOutcome.SUPERSEDED.value
    assert "e5" in late["document"]["reason"]
    assert [run["commit"] for run in yard.deployed()] == ["e5"]
    assert yard.world.images.digest(REPOSITORY, "d4") is None
    assert yard.builds.last_commit(SYSTEM, MAIN, SOURCE) == "e5"


def test_in_order_both_are_released(yard: Yard) -> None:
    older, newer = _under_way(yard, "d4"), _under_way(yard, "e5")
    assert _published(yard, *older, made=4)["outcome"] == "Built"
    assert _published(yard, *newer, made=5)["outcome"] == "Built"
    assert [run["commit"] for run in yard.deployed()] == ["d4", "e5"]


def test_another_branch_or_a_build_of_some_images_overtakes_nobody(yard: Yard) -> None:
    yard.register(images={"app": image(), "other": image("other")})
    older = yard.push("d4")
    ids = {key: yard.start(older, key) for key in older["images"]}
    some = yard.push("e5", images=["other"])
    assert _published(yard, some, yard.start(some, "other"), made=7)["outcome"] == "Built"
    for number, (key, id_) in enumerate(ids.items()):
        yard.finish(id_, made=8 + number, key=key)
        yard.event(id_)
    assert yard.publish(older)["outcome"] == "Built"
    assert yard.world.images.digest(REPOSITORY, "d4") == digest(8)
