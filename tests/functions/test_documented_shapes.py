"""The samples of AWS's events have the fields that AWS documents, and no other: `documented_shapes.yaml`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.template.loading import ROOT

SHAPES: dict[str, dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("documented_shapes.yaml").read_text()
)
CASES = [(kind, name) for kind, shape in SHAPES.items() for name in shape["files"]]
BUILD_STATUSES = {"SUCCEEDED", "FAILED", "STOPPED", "IN_PROGRESS"}
PHASES = {
    "SUBMITTED",
    "QUEUED",
    "PROVISIONING",
    "DOWNLOAD_SOURCE",
    "INSTALL",
    "PRE_BUILD",
    "BUILD",
    "POST_BUILD",
    "UPLOAD_ARTIFACTS",
    "FINALIZING",
    "COMPLETED",
}


def sample(name: str) -> dict[str, Any]:
    path = ROOT / "events/wake" / f"{name}.json"
    event: dict[str, Any] = json.loads(path.read_text())
    return event


def paths(value: object, at: str, stop: frozenset[str]) -> Iterator[str]:
    """The dotted paths of the leaves; an empty list has none."""
    if at in stop:
        yield at
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, f"{at}.{key}" if at else key, stop)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{at}[]", stop)
    else:
        yield at


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[name for _, name in CASES])
def test_a_sample_has_the_documented_fields_and_no_other(kind: str, name: str) -> None:
    shape = SHAPES[kind]
    found = set(paths(sample(name), "", frozenset(shape.get("open", ()))))
    assert sorted(set(shape["documented"]) - found) == []
    assert sorted(found - set(shape["documented"]) - shape["also"].keys()) == []
    assert sample(name)["detail-type"] == kind.partition(",")[0]
    assert shape["page"].startswith("https://docs.aws.amazon.com/")


@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_not_on_the_page_is_used_and_says_where_it_is_from(kind: str) -> None:
    shape = SHAPES[kind]
    stop = frozenset(shape.get("open", ()))
    found = {path for name in shape["files"] for path in paths(sample(name), "", stop)}
    assert sorted(shape["also"].keys() - found) == []
    assert all(len(source) > 20 for source in shape["also"].values())


@pytest.mark.parametrize("name", SHAPES["CodeBuild Build State Change"]["files"])
def test_a_build_says_one_thing_everywhere(name: str) -> None:
    event = sample(name)
    detail = event["detail"]
    information = detail["additional-information"]
    assert event["resources"] == [detail["build-id"]]
    assert detail["build-status"] in BUILD_STATUSES
    assert name.removesuffix("_of_a_team") == f"codebuild_{detail['build-status'].lower()}"
    project, _, stream = detail["build-id"].partition(":build/")[2].partition(":")
    assert (project, stream) == (detail["project-name"], information["logs"]["stream-name"])
    assert {phase["phase-type"] for phase in information["phases"]} <= PHASES
    ended = {phase.get("phase-status") for phase in information["phases"]} - {"SUCCEEDED", None}
    assert ended == {detail["build-status"]} - {"SUCCEEDED", "IN_PROGRESS"}


def test_a_missing_and_an_invented_field_are_found() -> None:
    event = sample("ecr_scan_complete")
    shape = SHAPES["ECR Image Scan"]
    del event["detail"]["scan-status"]
    event["detail"]["tag"] = "x"
    found = set(paths(event, "", frozenset(shape["open"])))
    assert set(shape["documented"]) - found == {"detail.scan-status"}
    assert found - set(shape["documented"]) == {"detail.tag"}
