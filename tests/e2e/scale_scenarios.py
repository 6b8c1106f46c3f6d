"""Stories of a service whose count somebody changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome
from tidegate_local import sample

from tests.e2e.scenarios import PATIENCE, scenario, sweep
from tests.e2e.support import SampleCloud
from tests.support.waiting import wait_until

KEY, SERVICE = "worker", "sample-worker"
PARAMETER = f"/tidegate/{sample.SYSTEM}/{sample.ENVIRONMENT}/count/{KEY}"
STEADY_RULE = "tidegate-ecs-service"
TARGET = {
    "ServiceNamespace": "ecs",
    "ResourceId": f"service/{sample.CLUSTER}/{SERVICE}",
    "ScalableDimension": "ecs:service:DesiredCount",
}


@scenario
def a_service_is_scaled_and_keeps_its_count(cloud: SampleCloud) -> None:
    """No ECS deployment is started; a release and a rollback leave the count alone."""
    for note in ("before it is scaled", "also before it is scaled"):
        assert cloud.released(cloud.push(note)).outcome is Outcome.SUCCEEDED
    before = _service(cloud)
    with _as_it_was(cloud):
        document = _scaled(cloud, 3)
        assert document["outcome"] == "Succeeded", document
        assert document["services"][KEY]["desired"] == 3
        after = _service(cloud)
        assert (after["desiredCount"], after["runningCount"]) == (3, 3)
        assert _deployments(after) == _deployments(before)
        assert _published(cloud) == "3"
        assert _scaled(cloud, 3)["outcome"] == "NoChange"

        assert cloud.released(cloud.push("after it was scaled")).outcome is Outcome.SUCCEEDED
        assert _service(cloud)["desiredCount"] == 3
        answer = cloud.command.run(
            *(
                "--local",
                "rollback",
                sample.SYSTEM,
                sample.ENVIRONMENT,
                "--reason",
                "slow",
                "--wait",
                "--json",
            )
        )
        assert json.loads(answer.output)["outcome"] == "Succeeded", answer.output
        assert _service(cloud)["desiredCount"] == 3

        document = _scaled(cloud, 0)
        assert document["outcome"] == "Succeeded", document
        assert _service(cloud)["runningCount"] == 0
        assert _published(cloud) == "0"


@scenario
def a_count_that_somebody_takes_back_is_as_before(cloud: SampleCloud) -> None:
    before, told = _service(cloud)["desiredCount"], _published(cloud)
    with _as_it_was(cloud):
        with _held_when_reached(cloud, before + 2) as deployment:
            answer = cloud.command.run("--local", "abort", deployment.id, "--reason", "wrong one", "--json")
            assert answer.exit_code == 0, answer.output + answer.progress
        done = cloud.ended(deployment, seconds=PATIENCE)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert "wrong one" in done.explanation
    assert _service(cloud)["desiredCount"] == before
    assert _published(cloud) == told
    cloud.wait_for_free_lock()


@scenario
def a_count_whose_run_was_stopped_is_put_back(cloud: SampleCloud) -> None:
    before = _service(cloud)["desiredCount"]
    with _as_it_was(cloud):
        with _held_when_reached(cloud, before + 2) as deployment:
            cloud.client("stepfunctions").stop_execution(executionArn=deployment.execution)
        sweep(cloud)
        done = cloud.ended(deployment, seconds=90)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert _service(cloud)["desiredCount"] == before
    assert "recovery started" in cloud.timeline(done)
    cloud.wait_for_free_lock()


@scenario
def a_lost_word_of_a_steady_service_is_made_good_by_the_sweep(cloud: SampleCloud) -> None:
    """Where the tasks were there before the run looked, nothing is left for the sweep: then this shows no more than
    that nobody has to hear."""
    with _as_it_was(cloud), _nobody_hears(cloud):
        identity = _started(cloud, _service(cloud)["desiredCount"] + 1)

        def swept() -> Deployment | None:
            sweep(cloud)
            found = cloud.ledger.find(identity)
            return found if found is not None and found.outcome is not None else None

        done = wait_until(swept, what="the sweep to finish it", seconds=PATIENCE, pause=1)
        assert done.outcome is Outcome.SUCCEEDED, done.explanation


@scenario
def a_count_that_auto_scaling_would_undo_is_refused(cloud: SampleCloud) -> None:
    scaling = cloud.client("application-autoscaling")
    before = _service(cloud)["desiredCount"]
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    try:
        document = _scaled(cloud, 9)
    finally:
        scaling.deregister_scalable_target(**TARGET)
    assert document["outcome"] == "Refused", document
    assert "auto scaling keeps it between 1 and 4 tasks" in document["reason"]
    assert _service(cloud)["desiredCount"] == before


# --- how they are told


@contextmanager
def _as_it_was(cloud: SampleCloud) -> Iterator[None]:
    """Other stories find the service as they know it."""
    before, told = _service(cloud)["desiredCount"], _published(cloud)
    try:
        yield
    finally:
        if told is None and _published(cloud) is not None:
            cloud.client("ssm").delete_parameter(Name=PARAMETER)
        cloud.client("ecs").update_service(cluster=sample.CLUSTER, service=SERVICE, desiredCount=before)
        wait_until(
            lambda: _service(cloud)["runningCount"] == before,
            what=f"{SERVICE} to have {before} tasks again",
            seconds=PATIENCE,
        )


@contextmanager
def _nobody_hears(cloud: SampleCloud) -> Iterator[None]:
    """What ECS says of services that are steady is lost."""
    events = cloud.client("events")
    events.disable_rule(Name=STEADY_RULE)
    try:
        yield
    finally:
        events.enable_rule(Name=STEADY_RULE)


def _scaled(cloud: SampleCloud, count: int) -> dict[str, Any]:
    """The command, followed to its outcome document."""
    answer = cloud.command.run(
        *("--local", "scale", sample.SYSTEM, sample.ENVIRONMENT, KEY, str(count)),
        *("--reason", "the queue is long", "--wait", "--timeout", "60s", "--json"),
    )
    cloud.wait_for_free_lock()
    return dict(json.loads(answer.output))


@contextmanager
def _held_when_reached(cloud: SampleCloud, count: int) -> Iterator[Deployment]:
    """A deployment that stands still when ECS has the count, and before it succeeds."""
    cloud.control.hold("deploy", "RecordSuccess", sample.SYSTEM)
    try:
        identity = _started(cloud, count)
        wait_until(
            lambda: [entry for entry in cloud.control.held() if entry["system"] == sample.SYSTEM],
            what="it to come to RecordSuccess",
            seconds=PATIENCE,
        )
        assert _service(cloud)["desiredCount"] == count
        found = cloud.ledger.find(identity)
        assert found is not None
        yield found
    finally:
        cloud.control.release("deploy", "RecordSuccess", sample.SYSTEM)


def _started(cloud: SampleCloud, count: int) -> str:
    """Its deployment's id."""
    answer = cloud.command.run(
        "--local", "scale", sample.SYSTEM, sample.ENVIRONMENT, KEY, str(count), "--json"
    )
    return str(json.loads(answer.output)["deployment"])


def _service(cloud: SampleCloud) -> dict[str, Any]:
    answer = cloud.client("ecs").describe_services(cluster=sample.CLUSTER, services=[SERVICE])
    return dict(answer["services"][0])


def _deployments(service: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["id"], entry["rolloutState"]) for entry in service["deployments"]]


def _published(cloud: SampleCloud) -> str | None:
    found = cloud.client("ssm").get_parameters(Names=[PARAMETER])["Parameters"]
    return str(found[0]["Value"]) if found else None
