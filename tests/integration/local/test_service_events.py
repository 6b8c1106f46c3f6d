"""Alarms and secrets say on the bus what happened to them, unless they are silenced."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator

Json = dict[str, Any]


@pytest.fixture
def alarm(cloud: Cloud) -> str:
    """Name of a new alarm, that does nothing of its own."""
    name = f"alarm-{uuid.uuid4().hex[:8]}"
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        AlarmDescription="Too many errors",
        Namespace=f"shop/{name}",
        MetricName="errors",
        Dimensions=[{"Name": "service", "Value": "api"}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        ActionsEnabled=False,
    )
    return name


@pytest.fixture
def secret(cloud: Cloud) -> Json:
    """Name and ARN of a new secret."""
    name = f"shop/{uuid.uuid4().hex[:8]}"
    created: Json = cloud.client("secretsmanager").create_secret(Name=name, SecretString="first")
    return created


@pytest.fixture
def silence(cloud: Cloud) -> Iterator[Callable[[str], None]]:
    begun = []

    def begin(source: str) -> None:
        cloud.control.silence(source)
        begun.append(source)

    yield begin
    for source in begun:
        cloud.control.end_silence(source)


def set_state(cloud: Cloud, alarm: str, value: str, reason: str) -> None:
    cloud.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue=value, StateReason=reason)


# -- alarms ----------------------------------------------------------------------------------------


def test_a_changed_alarm_is_on_the_bus(cloud: Cloud, alarm: str, queue: tuple[str, str]) -> None:
    url, arn = queue
    cloud.rule({"source": ["aws.cloudwatch"], "detail": {"alarmName": [alarm]}}, arn)
    set_state(cloud, alarm, "ALARM", "five errors")
    event = cloud.message(url)["body"]
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == [f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{alarm}"]
    detail = event["detail"]
    assert (detail["state"]["value"], detail["state"]["reason"]) == ("ALARM", "five errors")
    assert detail["previousState"]["value"] == "INSUFFICIENT_DATA"
    assert detail["state"]["timestamp"].endswith("+0000")
    assert detail["configuration"]["description"] == "Too many errors"
    assert detail["configuration"]["metrics"][0]["metricStat"]["metric"] == {
        "namespace": f"shop/{alarm}",
        "name": "errors",
        "dimensions": {"service": "api"},
    }
    set_state(cloud, alarm, "ALARM", "the same again")
    set_state(cloud, alarm, "OK", "none")
    after = cloud.message(url)["body"]["detail"]
    assert after["previousState"] == detail["state"], "the same state again is no change"
    assert after["state"]["value"] == "OK"


def test_an_alarm_that_a_metric_changes_is_on_the_bus(
    cloud: Cloud, alarm: str, queue: tuple[str, str]
) -> None:
    url, arn = queue
    cloud.rule({"source": ["aws.cloudwatch"], "detail": {"alarmName": [alarm]}}, arn)
    datum = {
        "MetricName": "errors",
        "Value": 5.0,
        "Dimensions": [{"Name": "service", "Value": "api"}],
    }
    cloud.client("cloudwatch").put_metric_data(Namespace=f"shop/{alarm}", MetricData=[datum])
    assert cloud.message(url)["body"]["detail"]["state"]["value"] == "ALARM"


def test_a_composite_alarm_is_on_the_bus(cloud: Cloud, alarm: str, queue: tuple[str, str]) -> None:
    url, arn = queue
    rule, name = f"ALARM({alarm})", f"{alarm}-any"
    set_state(cloud, alarm, "OK", "none")
    cloud.client("cloudwatch").put_composite_alarm(AlarmName=name, AlarmRule=rule)
    cloud.rule({"source": ["aws.cloudwatch"], "detail": {"alarmName": [name]}}, arn)
    set_state(cloud, alarm, "ALARM", "five errors")
    detail = cloud.message(url)["body"]["detail"]
    assert (detail["previousState"]["value"], detail["state"]["value"]) == ("OK", "ALARM")
    assert detail["configuration"] == {"alarmRule": rule}


def test_a_silent_alarm_is_not(cloud: Cloud, alarm: str, silence: Callable[[str], None]) -> None:
    silence("aws.cloudwatch")
    set_state(cloud, alarm, "ALARM", "five errors")
    (swallowed,) = cloud.control.swallowed("aws.cloudwatch")
    assert swallowed["detail"]["alarmName"] == alarm
    described = cloud.client("cloudwatch").describe_alarms(AlarmNames=[alarm])
    assert described["MetricAlarms"][0]["StateValue"] == "ALARM"


# -- secrets ---------------------------------------------------------------------------------------


def put(cloud: Cloud, name: str) -> str:
    return str(cloud.client("secretsmanager").put_secret_value(SecretId=name, SecretString="2")["VersionId"])


def update(cloud: Cloud, name: str) -> str:
    return str(cloud.client("secretsmanager").update_secret(SecretId=name, SecretString="2")["VersionId"])


def rotate(cloud: Cloud, name: str) -> str:
    return str(cloud.client("secretsmanager").rotate_secret(SecretId=name)["VersionId"])


def move(cloud: Cloud, name: str) -> str:
    client = cloud.client("secretsmanager")
    before = client.describe_secret(SecretId=name)["VersionIdsToStages"]
    current = next(version for version, stages in before.items() if "AWSCURRENT" in stages)
    pending = client.put_secret_value(SecretId=name, SecretString="2", VersionStages=["AWSPENDING"])
    client.update_secret_version_stage(
        SecretId=name,
        VersionStage="AWSCURRENT",
        MoveToVersionId=pending["VersionId"],
        RemoveFromVersionId=current,
    )
    return str(pending["VersionId"])


@pytest.mark.parametrize("change", [put, update, rotate, move])
def test_a_new_value_of_a_secret_is_on_the_bus(
    cloud: Cloud, secret: Json, queue: tuple[str, str], change: Callable[[Cloud, str], str]
) -> None:
    url, arn = queue
    cloud.rule({"source": ["aws.secretsmanager"], "detail": {"name": [secret["Name"]]}}, arn)
    version = change(cloud, secret["Name"])
    event = cloud.message(url)["body"]
    assert event["detail-type"] == "Secret Label Updated"
    assert event["detail"] == {
        "name": secret["Name"],
        "labelUpdated": "AWSCURRENT",
        "versionId": version,
    }
    assert event["resources"] == [secret["ARN"]]


def test_a_silent_secret_is_not(cloud: Cloud, secret: Json, silence: Callable[[str], None]) -> None:
    silence("aws.secretsmanager")
    version = put(cloud, secret["Name"])
    (swallowed,) = cloud.control.swallowed("aws.secretsmanager")
    assert swallowed["detail"]["versionId"] == version


def test_a_changed_description_is_no_new_value(
    cloud: Cloud, secret: Json, silence: Callable[[str], None]
) -> None:
    silence("aws.secretsmanager")
    cloud.client("secretsmanager").update_secret(SecretId=secret["Name"], Description="other")
    assert cloud.control.swallowed("aws.secretsmanager") == []
