"""What the sweep promises, with the real schedule: nothing is called by hand here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tidegate.domain.outcome import Outcome
from tidegate.ledger.time import parse_iso
from tidegate_local.lifecycle.cloud import Wanted

from tests.e2e.support import SWEPT_SECONDS, SampleCloud, sample_cloud
from tests.support.leftovers import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator
TWO_MINUTES = 120.0


@pytest.fixture(scope="module")
def silent_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleCloud]:
    """ECS says nothing by itself here, as when every event is lost."""
    state = tmp_path_factory.mktemp("silent") / "state"
    with sample_cloud(state, Wanted(port=free_port(), ecs_events=False)) as running:
        yield running


def test_without_any_ecs_event_a_release_succeeds_by_the_sweep(silent_cloud: SampleCloud) -> None:
    build = silent_cloud.push("no event at all")
    silent_cloud.announce(build)
    done = silent_cloud.ended(silent_cloud.arrived(build), seconds=2 * SWEPT_SECONDS)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert set(silent_cloud.digests().values()) == {build.digest}


def test_a_release_stopped_by_hand_is_reverted_within_two_minutes(cloud: SampleCloud) -> None:
    before = cloud.released(cloud.push("before")).release
    digests = cloud.digests()
    cloud.control.set_fault("sample-worker", "hang")
    build = cloud.push("stopped by hand")
    cloud.announce(build)
    deployment = cloud.arrived(build)
    wait_until(
        lambda: any(rollout.service == "worker" for rollout in cloud.ledger.rollouts(deployment.id)),
        what="the worker to roll",
        seconds=30,
    )
    cloud.client("stepfunctions").stop_execution(executionArn=deployment.execution)
    stopped = datetime.now(UTC)
    cloud.control.clear_fault("sample-worker")

    done = cloud.ended(deployment, seconds=TWO_MINUTES)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert (parse_iso(done.finished_at or "") - stopped).total_seconds() < TWO_MINUTES
    said = [line.detail for line in cloud.ledger.timeline(done.id) if line.what == "recovery started"]
    assert said == ["its execution ended as ABORTED, without an outcome"]
    assert cloud.digests() == digests
    current = cloud.ledger.current(deployment.system, deployment.environment)
    assert current is not None
    assert current.release == before

    after = cloud.released(cloud.push("the next one goes through"))
    assert after.outcome is Outcome.SUCCEEDED, after.explanation


def test_a_rollout_that_hangs_is_given_up_and_taken_back(cloud: SampleCloud) -> None:
    cloud.released(cloud.push("before the one that hangs"))
    digests = cloud.digests()
    cloud.control.set_fault("sample-api", "hang")
    build = cloud.push("hangs")
    cloud.announce(build)
    done = cloud.ended(cloud.arrived(build), seconds=SWEPT_SECONDS)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "ECS had not decided within" in done.explanation
    assert cloud.digests() == digests
    cloud.wait_for_free_lock()
