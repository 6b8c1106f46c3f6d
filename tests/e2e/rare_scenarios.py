"""Stories that are told seldom: what is left when the recovery dies too, and what is said when alarms are involved."""

from __future__ import annotations

from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome
from tidegate.ledger.handover import release
from tidegate.steps.sweep import MAX_RECOVERIES
from tidegate_local import sample

from tests.e2e import scenarios
from tests.e2e.scenarios import scenario, sweep
from tests.e2e.support import SampleCloud
from tests.support.waiting import wait_until

_BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@scenario
def a_run_that_dies_again_and_again_is_given_up(cloud: SampleCloud) -> None:
    """A person is told, and finds the lock still held: nothing moves what nobody understands."""
    scenarios._settle(cloud)
    sfn = cloud.client("stepfunctions")
    with scenarios._fault(cloud, "sample-worker", "hang"):
        build = cloud.push("dies again and again")
        cloud.announce(build)
        deployment = scenarios._rolling(cloud, cloud.arrived(build), "worker")
        try:
            for _ in range(MAX_RECOVERIES):
                sfn.stop_execution(executionArn=_now(cloud, deployment).execution)
                sweep(cloud)
            sfn.stop_execution(executionArn=_now(cloud, deployment).execution)
            sweep(cloud)
            done = _now(cloud, deployment)
            assert done.outcome is Outcome.FAILED_DIRTY, done.explanation
            assert not cloud.lock_is_free()
            scenarios.heard(cloud, "Lock Stuck", deployment.id)
        finally:
            # What docs/operations.md asks of a person, once the services are as they should be.
            release(cloud.ports, sample.SYSTEM, sample.ENVIRONMENT, deployment.id)


@scenario
def alarms_that_ring_are_in_the_report(cloud: SampleCloud) -> None:
    scenarios._settle(cloud)
    name = scenarios._fresh("sample-latency")
    cloudwatch, ecs = cloud.client("cloudwatch"), cloud.client("ecs")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="sample",
        MetricName="latency",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="quiet before the release")
    service = {"cluster": sample.CLUSTER, "service": "sample-worker"}
    watched = {**_BREAKER, "alarms": {"alarmNames": [name], "enable": True, "rollback": True}}
    ecs.update_service(**service, deploymentConfiguration=watched)
    try:
        with scenarios._fault(cloud, "sample-worker", "hang"):
            build = cloud.push("rings its alarm")
            cloud.announce(build)
            deployment = scenarios._rolling(cloud, cloud.arrived(build), "worker")
            cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="slow")
            # Somebody gives up on it, in ECS itself; ECS sends no event for a deployment that was replaced.
            assert deployment.plan is not None
            ecs.update_service(**service, taskDefinition=deployment.plan.service("worker").previous)
            sweep(cloud)
            done = scenarios._ended(cloud, deployment)
    finally:
        unwatched = {**_BREAKER, "alarms": {"alarmNames": [], "enable": False, "rollback": False}}
        ecs.update_service(**service, deploymentConfiguration=unwatched)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    cloud.wait_for_free_lock()
    reports = {report.service: report for report in cloud.ledger.reports(done.id)}
    assert reports["worker"].alarms == (name,), reports


@scenario
def a_lock_handed_to_a_dead_run_passes_on(cloud: SampleCloud) -> None:
    """Nobody has swept yet: who hands the lock over finds out by itself that nobody takes it."""
    one, two = cloud.push("hands over"), cloud.push("is dead by then")
    with scenarios._fault(cloud, "sample-api", "hang"):
        cloud.announce(one)
        first = scenarios._rolling(cloud, cloud.arrived(one))
        cloud.announce(two)
        second = scenarios.queued(cloud, cloud.arrived(two))
        cloud.client("stepfunctions").stop_execution(executionArn=second.execution)
    assert scenarios._ended(cloud, first).outcome is Outcome.SUCCEEDED
    cloud.wait_for_free_lock()
    assert _now(cloud, second).outcome is None
    sweep(cloud)
    assert scenarios._ended(cloud, second).outcome is Outcome.FAILED_CLEAN


def _now(cloud: SampleCloud, deployment: Deployment) -> Deployment:
    found = wait_until(lambda: cloud.ledger.find(deployment.id), what=deployment.id)
    assert found is not None
    return found
