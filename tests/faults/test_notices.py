"""Row 30: nobody can be told. Releases go out, and come back, all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tidegate.domain.outcome import Outcome
from tidegate_local import sample

from tests.e2e import histories, scenarios
from tests.e2e.support import SWEPT_SECONDS, SampleCloud
from tests.faults.stage import SOON, Stage
from tests.support.waiting import wait_until

pytestmark = pytest.mark.emulator

TOPICS = ("info", "warning", "critical")
DEAD_LETTERS = "tidegate-notice-dead-letters"
ANNOUNCING = ("plan_release", "lock", "record", "sweep")


def test_row_30_the_topics_are_gone(cloud: SampleCloud) -> None:
    """Notification target down: the deployment is unaffected, and the rules keep what could not be delivered."""
    stage = Stage.make(cloud, "untold", {"api": 1})
    with _without_topics(cloud):
        good = stage.released("nobody hears of it")
        with stage.fault("api", "crash"):
            failed = stage.ended(stage.arrived(stage.announce("nobody hears of this either")))
        told = _dead_letters(cloud, stage.name, {"Deployment Succeeded", "Deployment Failed"})
    assert failed.outcome is Outcome.FAILED_CLEAN, failed.explanation
    assert {entry["detail"]["outcome"] for entry in told} >= {"Succeeded", "FailedClean"}
    stage.check(good.digest, current=1, outcomes={failed.id: Outcome.FAILED_CLEAN})


def test_row_30_the_bus_takes_nothing(cloud: SampleCloud) -> None:
    """The functions may put no event: the deployments end as they should, and no lock stays for longer than a sweep.

    Without the `except` in steps.announce a release fails for want of "Deployment Started".
    """
    stage = Stage.make(cloud, "muted", {"api": 1})
    with _without_bus(cloud):
        build = stage.announce("nobody can be told")
        good = stage.ended(stage.arrived(build))
        assert good.outcome is Outcome.SUCCEEDED, good.explanation
        assert histories.document(cloud, good.execution)["outcome"] == "Succeeded"
        parameter = f"/tidegate/{stage.name}/{sample.ENVIRONMENT}/image/app"
        published = cloud.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
        assert published.endswith(f"@{build.digest}")
        with stage.fault("api", "crash"):
            failed = stage.ended(stage.arrived(stage.announce("nor of this")))
        histories.over(cloud, failed.execution, SWEPT_SECONDS)
        scenarios.sweep(cloud)
        assert stage.lock.free
    assert failed.outcome is Outcome.FAILED_CLEAN, failed.explanation
    stage.check(
        build.digest, current=1, outcomes={failed.id: Outcome.FAILED_CLEAN, good.id: Outcome.SUCCEEDED}
    )


@contextmanager
def _without_topics(cloud: SampleCloud) -> Iterator[None]:
    """They are deleted, and afterwards made again as they were."""
    sns = cloud.client("sns")
    arns = [f"arn:aws:sns:{sample.REGION}:000000000000:tidegate-{name}" for name in TOPICS]
    kept = {arn: sns.get_topic_attributes(TopicArn=arn)["Attributes"] for arn in arns}
    for arn in arns:
        sns.delete_topic(TopicArn=arn)
    try:
        yield
    finally:
        for arn, attributes in kept.items():
            settings = {
                name: attributes[name] for name in ("Policy", "KmsMasterKeyId") if attributes.get(name)
            }
            made = sns.create_topic(Name=arn.rpartition(":")[2], Attributes=settings)["TopicArn"]
            assert made == arn


@contextmanager
def _without_bus(cloud: SampleCloud) -> Iterator[None]:
    """The functions that announce may not call PutEvents."""
    functions, iam = cloud.client("lambda"), cloud.client("iam")
    denied = {"Effect": "Deny", "Action": "events:PutEvents", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    roles = [
        functions.get_function_configuration(FunctionName=f"tidegate-{name}")["Role"].rpartition("/")[2]
        for name in ANNOUNCING
    ]
    for role in roles:
        iam.put_role_policy(RoleName=role, PolicyName="mute", PolicyDocument=document)
    try:
        yield
    finally:
        for role in roles:
            iam.delete_role_policy(RoleName=role, PolicyName="mute")


def _dead_letters(cloud: SampleCloud, system: str, wanted: set[str]) -> list[dict[str, dict[str, str]]]:
    """The events of a system that did not reach their topic, once all that are wanted are there."""
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=DEAD_LETTERS)["QueueUrl"]
    found: list[dict[str, dict[str, str]]] = []

    def look() -> bool:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(message["Body"])
            if event["detail"].get("system") == system:
                found.append(event)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return {entry["detail-type"] for entry in found} >= wanted

    wait_until(look, what=f"{', '.join(sorted(wanted))} in {DEAD_LETTERS}", seconds=SOON, pause=0.2)
    return found
