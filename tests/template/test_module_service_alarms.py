"""infrastructure/service-alarms.yaml: what rings, for whom, and what is left out."""

from __future__ import annotations

import pytest

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file

WARNING = "arn:aws:sns:eu-west-1:123456789012:warning"
CRITICAL = "arn:aws:sns:eu-west-1:123456789012:critical"
ALARM = "AWS::CloudWatch::Alarm"
GIVEN = {
    "Prefix": "shop-api",
    "ClusterName": "shop",
    "ServiceName": "shop-api",
    "LoadBalancerFullName": "app/shop/50dc6c495c0c9188",
    "TargetGroupFullName": "targetgroup/shop/943f017f100becff",
    "ResponseMilliseconds": "500",
    "WarningTopicArn": WARNING,
    "CriticalTopicArn": CRITICAL,
}
OF_SERVICE = [{"Name": "ClusterName", "Value": "shop"}, {"Name": "ServiceName", "Value": "shop-api"}]
OF_TARGETS = [
    {"Name": "LoadBalancer", "Value": GIVEN["LoadBalancerFullName"]},
    {"Name": "TargetGroup", "Value": GIVEN["TargetGroupFullName"]},
]


def alarms(**parameters: str) -> Rendered:
    return render_file(ROOT / "infrastructure/service-alarms.yaml", **{**GIVEN, **parameters})


@pytest.mark.parametrize(
    ("alarm", "metric", "dimensions", "statistic", "comparison", "threshold", "topic"),
    [
        ("CpuAlarm", "CPUUtilization", OF_SERVICE, "Average", "GreaterThanThreshold", "80", WARNING),
        ("MemoryAlarm", "MemoryUtilization", OF_SERVICE, "Average", "GreaterThanThreshold", "80", WARNING),
        (
            "ErrorsAlarm",
            "HTTPCode_Target_5XX_Count",
            OF_TARGETS,
            "Sum",
            "GreaterThanThreshold",
            "10",
            CRITICAL,
        ),
        (
            "HealthyHostsAlarm",
            "HealthyHostCount",
            OF_TARGETS,
            "Minimum",
            "LessThanThreshold",
            "1",
            CRITICAL,
        ),
    ],
)
def test_the_alarm_watches(
    alarm: str,
    metric: str,
    dimensions: list[dict[str, str]],
    statistic: str,
    comparison: str,
    threshold: str,
    topic: str,
) -> None:
    found = alarms()[alarm]
    assert (found["MetricName"], found["Dimensions"], found["Statistic"]) == (metric, dimensions, statistic)
    assert found["Namespace"] == ("AWS/ECS" if dimensions == OF_SERVICE else "AWS/ApplicationELB")
    assert (found["ComparisonOperator"], found["Threshold"]) == (comparison, threshold)
    assert found["AlarmActions"] == found["OKActions"] == [topic]


def test_errors_are_counted_by_the_minute() -> None:
    assert (alarms()["ErrorsAlarm"]["Period"], alarms()["ErrorsAlarm"]["EvaluationPeriods"]) == (60, 1)


def test_a_minute_without_errors_is_well_and_one_without_tasks_is_not() -> None:
    assert alarms()["ErrorsAlarm"]["TreatMissingData"] == "notBreaching"
    assert alarms()["HealthyHostsAlarm"]["TreatMissingData"] == "breaching"


def test_an_hour_without_requests_is_no_slow_one() -> None:
    assert alarms()["ResponseAlarm"]["TreatMissingData"] == "notBreaching"
    assert alarms()["ResponseAlarm"]["ComparisonOperator"] == "GreaterThanThreshold"
    assert alarms()["ResponseAlarm"]["AlarmActions"] == alarms()["ResponseAlarm"]["OKActions"] == [WARNING]


def test_a_task_that_is_replaced_is_no_outage() -> None:
    assert (alarms()["HealthyHostsAlarm"]["Period"], alarms()["HealthyHostsAlarm"]["EvaluationPeriods"]) == (
        60,
        2,
    )


def test_cpu_and_memory_are_over_periods() -> None:
    rendered = alarms(EvaluationPeriods="3", PeriodSeconds="60")
    [measured] = [one["MetricStat"] for one in rendered["ResponseAlarm"]["Metrics"] if "MetricStat" in one]
    assert measured["Period"] == "60"
    for alarm in ("CpuAlarm", "MemoryAlarm", "ResponseAlarm"):
        assert rendered[alarm]["EvaluationPeriods"] == "3"
    assert rendered["CpuAlarm"]["Period"] == rendered["MemoryAlarm"]["Period"] == "60"


def test_responses_are_measured_in_seconds_and_judged_in_milliseconds() -> None:
    alarm = alarms()["ResponseAlarm"]
    computed, measured = alarm["Metrics"]
    assert computed["Expression"] == f"1000 * {measured['Id']}"
    assert measured["MetricStat"]["Metric"]["MetricName"] == "TargetResponseTime"
    assert measured["MetricStat"]["Metric"]["Dimensions"] == OF_TARGETS
    assert (measured["ReturnData"], measured["MetricStat"]["Stat"], alarm["Threshold"]) == (
        False,
        "p95",
        "500",
    )


@pytest.mark.parametrize(
    ("parameter", "off", "alarm"),
    [
        ("CpuPercent", "0", "Cpu"),
        ("MemoryPercent", "0", "Memory"),
        ("ErrorsPerMinute", "-1", "Errors"),
        ("HealthyHosts", "0", "HealthyHosts"),
        ("ResponseMilliseconds", "0", "Response"),
    ],
)
def test_each_alarm_can_be_left_out(parameter: str, off: str, alarm: str) -> None:
    rendered = alarms(**{parameter: off})
    assert len(rendered.of(ALARM)) == 4
    assert rendered.outputs[f"{alarm}AlarmName"] == ""
    assert alarms().outputs[f"{alarm}AlarmName"] == alarms()[f"{alarm}Alarm"]["AlarmName"]


def test_a_worker_has_two() -> None:
    rendered = alarms(LoadBalancerFullName="", TargetGroupFullName="")
    assert sorted(rendered.of(ALARM)) == ["CpuAlarm", "MemoryAlarm"]


@pytest.mark.parametrize("missing", ["LoadBalancerFullName", "TargetGroupFullName"])
def test_a_load_balancer_goes_with_its_target_group(missing: str) -> None:
    with pytest.raises(RenderError, match=missing):
        alarms(**{missing: ""})


def test_without_topics_nobody_hears() -> None:
    rendered = alarms(WarningTopicArn="", CriticalTopicArn="")
    assert not any({"AlarmActions", "OKActions"} & one.keys() for one in rendered.of(ALARM).values())
