"""A push starts `build` for each system that is built from the repository: once, whatever the event."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.build_request import parse_build
from tidegate.domain.errors import TransientError
from tidegate.steps import wake

from tests.unit.steps.building import MAIN, PROJECT, SOURCE, Yard, image
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def yard() -> Yard:
    return Yard()


def codecommit(**detail: Any) -> dict[str, Any]:
    said = {
        "event": "referenceUpdated",
        "repositoryName": "shop",
        "repositoryId": "1",
        "referenceType": "branch",
        "referenceName": "main",
        "referenceFullName": MAIN,
        "commitId": NEW,
        "oldCommitId": OLD,
        "callerUserArn": "arn:aws:sts::123456789012:assumed-role/dev/ada",
    }
    return _event("CodeCommit Repository State Change", {**said, **detail})


def github(**detail: Any) -> dict[str, Any]:
    said = {
        "repository": "Shop/Web",
        "ref": MAIN,
        "before": OLD,
        "commit": NEW,
        "forced": False,
        "changed": ["web/a"],
        "actor": "ada",
        "url": "https://github.com/shop/web/compare/a...b",
        "delivery": "1",
    }
    return _event("GitHub Push", {**said, **detail})


def _event(detail_type: str, detail: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in detail.items() if value is not ...}
    return {"id": "event-1", "detail-type": detail_type, "time": "2026-03-02T09:00:00Z", "detail": known}


def _inputs(yard: Yard) -> list[Any]:
    assert {started.machine for started in yard.world.executions.started} <= {"build"}
    return [started.payload for started in yard.world.executions.started]


def test_of_codecommit(yard: Yard) -> None:
    assert wake.run(codecommit(), yard.world.ports)["did"] == "started"
    (started,) = _inputs(yard)
    assert started == {
        "system": SYSTEM,
        "commit": NEW,
        "ref": MAIN,
        "repository": SOURCE,
        "before": OLD,
        "actor": "assumed-role/dev/ada",
        "reason": "push to main",
        "trigger": "event",
    }
    assert parse_build(started).by_event


def test_of_github_without_regard_to_case(yard: Yard) -> None:
    yard.world.builds.add_project(PROJECT, "GITHUB", "https://github.com/SHOP/web")
    wake.run(github(), yard.world.ports)
    (started,) = _inputs(yard)
    assert (started["repository"], started["changed"]) == ("github:shop/web", ["web/a"])
    assert started["reason"] == "push https://github.com/shop/web/compare/a...b"
    assert parse_build(started).changed == ("web/a",)


def test_a_forced_push_of_github_says_nothing_of_what_changed(yard: Yard) -> None:
    yard.world.builds.add_project(PROJECT, "GITHUB", "https://github.com/shop/web")
    wake.run(github(forced=True, changed=None, before=None), yard.world.ports)
    assert not {"changed", "before"} & _inputs(yard)[0].keys()


@pytest.mark.parametrize("make", [codecommit, github])
def test_ten_copies_start_one_build(yard: Yard, make: Any) -> None:
    yard.world.builds.add_project("web-build", "GITHUB", "https://github.com/shop/web")
    yard.register(images={"app": image(), "web": image("web", build={"project": "web-build"})})
    for _ in range(10):
        wake.run(make(), yard.world.ports)
    (started,) = yard.world.executions.started
    assert len(started.name) <= 80


def test_the_same_push_made_again_is_another(yard: Yard) -> None:
    """A branch that was set back and pushed once more."""
    for number in (1, 2):
        wake.run({**codecommit(), "id": f"event-{number}"}, yard.world.ports)
    assert len(_inputs(yard)) == 2


def test_every_system_that_is_built_from_it(yard: Yard) -> None:
    yard.register(system="books")
    yard.world.builds.add_project("elsewhere", "CODECOMMIT", yard.project.location.replace("shop", "other"))
    yard.register(system="other", images={"app": image(build={"project": "elsewhere"})})
    wake.run(codecommit(), yard.world.ports)
    assert [started["system"] for started in _inputs(yard)] == ["books", SYSTEM]


@pytest.mark.parametrize("lost", ["fails", "loses"])
def test_a_crash_between_two_systems_starts_each_once(yard: Yard, lost: str) -> None:
    yard.register(system="books")
    getattr(yard.world.executions, lost)("start")
    with pytest.raises(TransientError):
        wake.run(codecommit(), yard.world.ports)
    wake.run(codecommit(), yard.world.ports)
    assert sorted(started["system"] for started in _inputs(yard)) == ["books", SYSTEM]


def test_a_new_branch_has_nothing_before(yard: Yard) -> None:
    wake.run(codecommit(event="referenceCreated", oldCommitId=...), yard.world.ports)
    assert "before" not in _inputs(yard)[0]


@pytest.mark.parametrize(
    "detail",
    [
        {"event": "referenceDeleted"},
        {"referenceType": "tag", "referenceFullName": "refs/tags/v1"},
        {"repositoryName": "nobody"},
        {"repositoryName": ...},
        {"commitId": None},
        {"referenceFullName": "refs/heads/\ud800"},
        {"repositoryName": "shop\udfff"},
    ],
)
def test_what_starts_nothing(yard: Yard, detail: dict[str, Any]) -> None:
    assert wake.run(codecommit(**detail), yard.world.ports)["did"] == "nothing"
    assert yard.world.executions.started == []


@pytest.mark.parametrize("detail", [None, 3, [], "x"])
def test_a_detail_that_is_none(yard: Yard, detail: Any) -> None:
    assert wake.run({**codecommit(), "detail": detail}, yard.world.ports)["did"] == "nothing"


def test_paths_that_are_no_text_are_left_out(yard: Yard) -> None:
    yard.world.builds.add_project(PROJECT, "GITHUB", "https://github.com/shop/web")
    wake.run(github(changed=["a", "\ud800"]), yard.world.ports)
    assert "changed" not in _inputs(yard)[0]


@pytest.mark.parametrize("source", ["S3", "NO_SOURCE", "CODEPIPELINE", "GITHUB"])
def test_a_project_with_another_source_is_not_meant(yard: Yard, source: str) -> None:
    yard.world.builds.add_project(PROJECT, source, yard.project.location)
    assert wake.run(codecommit(), yard.world.ports)["did"] == "nothing"


def test_a_project_that_is_missing_is_not_meant(yard: Yard) -> None:
    del yard.world.builds.known[PROJECT]
    assert wake.run(codecommit(), yard.world.ports)["did"] == "nothing"


def test_a_manifest_that_cannot_be_read_holds_up_no_other(yard: Yard) -> None:
    yard.register(system="books")
    yard.world.registry.texts["aaa", ENVIRONMENT] = "{"
    yard.world.registry.texts["books", ENVIRONMENT] = '{"system": 3}'
    wake.run(codecommit(), yard.world.ports)
    assert [started["system"] for started in _inputs(yard)] == [SYSTEM]


def test_codebuild_is_not_asked_where_nothing_is_built(yard: Yard) -> None:
    yard.register(images={"app": {"repository": "shop-app"}})
    assert wake.run(codecommit(), yard.world.ports)["did"] == "nothing"
    assert yard.world.builds.called("projects") == 0
