"""Alarms that a stack makes on an expression."""

from typing import Any

import pytest

from tests.integration.local.stacks import Stack, Template, name, resources
from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator

METRIC = {
    "Namespace": "AWS/ApplicationELB",
    "MetricName": "TargetResponseTime",
    "Dimensions": [{"Name": "LoadBalancer", "Value": "app/shop/50dc6c495c0c9188"}],
}
METRICS = [
    {"Id": "milliseconds", "Label": "slow", "Expression": "1000 * seconds"},
    {"Id": "seconds", "ReturnData": "false", "MetricStat": {"Metric": METRIC, "Stat": "p95", "Period": "60"}},
]


def alarm(alarm_name: str, **properties: Any) -> Template:
    own = {
        "AlarmName": alarm_name,
        "Metrics": METRICS,
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": "2",
        "Threshold": "500",
        "TreatMissingData": "notBreaching",
        **properties,
    }
    return resources(Alarm=("AWS::CloudWatch::Alarm", own))


def told(cloud: Cloud, alarm_name: str) -> dict[str, Any]:
    [only] = cloud.client("cloudwatch").describe_alarms(AlarmNames=[alarm_name])["MetricAlarms"]
    return dict(only)


def test_it_has_the_expression_and_no_metric(cloud: Cloud) -> None:
    slow = name("slow")
    stack = Stack(cloud)
    assert stack.create(alarm(slow)) == "CREATE_COMPLETE", stack.failures
    own = told(cloud, slow)
    assert own["Metrics"] == [
        METRICS[0],
        {"Id": "seconds", "ReturnData": False, "MetricStat": {"Metric": METRIC, "Stat": "p95", "Period": 60}},
    ]
    assert own["Threshold"] == 500
    assert own["StateValue"] == "INSUFFICIENT_DATA"
    assert not {"MetricName", "Namespace", "Period", "Statistic"} & set(own)


def test_an_update_keeps_its_state(cloud: Cloud) -> None:
    slow = name("slow")
    stack = Stack(cloud)
    assert stack.create(alarm(slow)) == "CREATE_COMPLETE", stack.failures
    cloud.client("cloudwatch").set_alarm_state(AlarmName=slow, StateValue="ALARM", StateReason="tried")
    assert stack.update(alarm(slow, Threshold="900")) == "UPDATE_COMPLETE", stack.failures
    own = told(cloud, slow)
    assert (own["Threshold"], own["StateValue"]) == (900, "ALARM")
    assert stack.delete() == "DELETE_COMPLETE"
    assert not cloud.client("cloudwatch").describe_alarms(AlarmNames=[slow])["MetricAlarms"]


def test_a_metric_beside_it_fails_the_stack(cloud: Cloud) -> None:
    stack = Stack(cloud)
    assert stack.create(alarm(name("slow"), MetricName="TargetResponseTime")) == "ROLLBACK_COMPLETE"
    assert "Metrics and MetricName" in stack.failures["Alarm"]
