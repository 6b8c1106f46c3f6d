"""An environment that asks for ECR's scan: what another CI, or a team's own build, publishes is released when ECR has
scanned it, not refused because it has hardly begun."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.ports import Scan
from tidegate.steps import build_images, wake

from tests.unit.steps.building import ARN, PROJECT, Yard, environment
from tests.unit.steps.conftest import ENVIRONMENT, REPOSITORY, SYSTEM, Answer, digest


@pytest.fixture
def yard() -> Yard:
    yard = Yard()
    yard.register(environments={ENVIRONMENT: environment(scan={"fail_on": "HIGH"})})
    return yard


def published(yard: Yard, number: int = 1, **detail: Any) -> Answer:
    yard.world.images.push(REPOSITORY, digest(4))
    said = {"system": SYSTEM, "environment": ENVIRONMENT, "images": {"app": {"digest": digest(4)}}, **detail}
    event = {
        "id": f"event-{number}",
        "detail-type": "Image Published",
        "source": "tidegate.ci",
        "detail": said,
    }
    return wake.run({**event, "time": "2026-03-02T09:00:00Z"}, yard.world.ports)


def started(yard: Yard) -> list[tuple[str, dict[str, Any]]]:
    return [(run.machine, dict(run.payload)) for run in yard.world.executions.started]


def go_through(yard: Yard) -> Answer:
    """What the machine `build` does with what `wake` started."""
    ((machine, payload),) = started(yard)
    assert machine == "build"
    execution = {
        "id": yard.world.executions.started[0].arn,
        "name": "scanned",
        "started_at": "2026-03-02T09:00:01Z",
    }
    event = {"step": "Select", "request": payload, "execution": execution}
    selected = build_images.run(event, yard.world.ports)
    assert (selected["outcome"], selected["images"], selected["scanned"]) == ("Ready", [], True)
    return yard.publish(selected)


@pytest.mark.parametrize("commit", [{"commit": "d4"}, {}])
def test_waits_for_the_scan_and_then_releases_once(yard: Yard, commit: dict[str, str]) -> None:
    for number in range(3):
        published(yard, number, **commit)
    yard.world.images.set_scan(REPOSITORY, digest(4), Scan("COMPLETE", {"LOW": 1}))
    assert go_through(yard)["outcome"] == "Built"
    (deployed,) = yard.deployed()
    assert deployed["images"] == {"app": {"digest": digest(4)}}
    assert (deployed["trigger"], deployed.get("commit")) == ("event", commit.get("commit"))


def test_what_the_scan_finds_refuses_it_and_somebody_hears(yard: Yard) -> None:
    published(yard, commit="d4")
    yard.world.images.set_scan(REPOSITORY, digest(4), Scan("COMPLETE", {"CRITICAL": 2}))
    assert go_through(yard)["outcome"] == "Refused"
    assert yard.deployed() == []
    (refused,) = [detail for kind, detail in yard.world.bus.events if kind == "Deployment Refused"]
    assert (refused["system"], refused["environment"], refused["commit"]) == (SYSTEM, ENVIRONMENT, "d4")
    assert "2 CRITICAL" in refused["reason"]


def test_a_build_of_the_team_takes_the_same_way(yard: Yard) -> None:
    run = yard.world.builds.run(PROJECT, "d4")
    yard.finish(run.id)
    event = {
        "id": "event-1",
        "detail-type": "CodeBuild Build State Change",
        "time": "2026-03-02T09:00:00Z",
        "detail": {"build-status": "SUCCEEDED", "project-name": PROJECT, "build-id": f"{ARN}{run.id}"},
    }
    wake.run(event, yard.world.ports)
    ((machine, payload),) = started(yard)
    assert (machine, payload["built"], payload["environments"]) == (
        "build",
        {"app": {"digest": digest(4)}},
        [ENVIRONMENT],
    )


def test_without_a_scan_it_is_released_at_once() -> None:
    yard = Yard()
    published(yard)
    ((machine, _),) = started(yard)
    assert machine == "deploy"
