"""What a deployment costs in state transitions, counted from the histories of its executions."""

from __future__ import annotations

import json

import pytest
from tidegate.domain.outcome import Outcome
from tidegate_local import sample

from tests.e2e import histories
from tests.e2e.support import SampleCloud
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

# AWS bills each step that is entered, of all executions together (Step Functions pricing, "state transitions").
AT_MOST = 14
SYSTEM = "solo"


def test_one_service_takes_no_more_than_14_billed_transitions(cloud: SampleCloud) -> None:
    manifest = {
        "system": SYSTEM,
        "images": {"app": {"repository": sample.REPOSITORY}},
        "services": {"api": {"service": "sample-api", "image": "app"}},
        "environments": {sample.ENVIRONMENT: {"region": sample.REGION, "cluster": sample.CLUSTER}},
    }
    cloud.ports.registry.put_manifest(SYSTEM, sample.ENVIRONMENT, manifest)
    build = cloud.push("one service")
    execution = cloud.ports.executions.start(
        "deploy",
        "count-transitions",
        {"system": SYSTEM, "environment": sample.ENVIRONMENT, "commit": build.commit},
    )
    deployment = wait_until(
        lambda: next(
            (entry for entry in cloud.ledger.history(SYSTEM, sample.ENVIRONMENT) if entry.outcome), None
        ),
        what="the outcome",
        seconds=60,
    )
    assert deployment.outcome is Outcome.SUCCEEDED, deployment.explanation

    histories.over(cloud, execution.arn)
    rolls = [rollout.execution for rollout in cloud.ledger.rollouts(deployment.id)]
    entered = [step.name for step in histories.all_entered(cloud, [execution.arn, *rolls])]
    print(f"\n{len(entered)} billed transitions: {', '.join(entered)}")  # noqa: T201
    assert len(entered) <= AT_MOST, json.dumps(entered)
