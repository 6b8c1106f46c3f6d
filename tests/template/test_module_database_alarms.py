"""infrastructure/database-alarms.yaml: what rings, when, and at whose door."""

from __future__ import annotations

from typing import Any

import pytest

from tests.systems.rendering import ROOT, render_file

ALARMS = ROOT / "infrastructure/database-alarms.yaml"


def alarms(**parameters: str) -> dict[str, dict[str, Any]]:
    rendered = render_file(
        ALARMS,
        **(
            {
                "Prefix": "orders-prod",
                "Identifier": "orders",
                "WarningTopicArn": "arn:aws:sns:eu-west-1:123456789012:warning",
                "CriticalTopicArn": "arn:aws:sns:eu-west-1:123456789012:critical",
            }
            | parameters
        ),
    )
    return {one["AlarmName"]: one for one in rendered.of("AWS::CloudWatch::Alarm").values()}


@pytest.mark.parametrize(
    ("name", "metric", "comparison", "threshold", "topic"),
    [
        ("cpu", "CPUUtilization", "GreaterThanThreshold", "80", "warning"),
        ("connections", "DatabaseConnections", "GreaterThanThreshold", "160", "warning"),
        ("storage", "FreeStorageSpace", "LessThanThreshold", str(5 * 2**30), "critical"),
        ("memory", "FreeableMemory", "LessThanThreshold", str(256 * 2**20), "critical"),
    ],
)
def test_an_alarm_rings_at_its_threshold_at_the_right_door(
    name: str, metric: str, comparison: str, threshold: str, topic: str
) -> None:
    alarm = alarms(Connections="160")[f"orders-prod-database-{name}"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/RDS", metric)
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == (comparison, threshold)
    assert (alarm["EvaluationPeriods"], alarm["Period"]) == ("2", "300")
    # The worst of a period, but for the CPU, where one peak is nothing. Nothing rings while the database is stopped.
    worst = {"cpu": "Average", "connections": "Maximum", "storage": "Minimum", "memory": "Minimum"}
    assert (alarm["Statistic"], alarm["TreatMissingData"]) == (worst[name], "missing")
    assert alarm["Dimensions"] == [{"Name": "DBInstanceIdentifier", "Value": "orders"}]
    arns = [f"arn:aws:sns:eu-west-1:123456789012:{topic}"]
    assert (alarm["AlarmActions"], alarm["OKActions"]) == (arns, arns)


def test_a_cluster_is_watched_as_one_and_its_storage_is_not() -> None:
    found = alarms(Cluster="true", Connections="100")
    assert {name.rpartition("-")[2] for name in found} == {"cpu", "connections", "memory"}
    assert {own["Dimensions"][0]["Name"] for own in found.values()} == {"DBClusterIdentifier"}


def test_zero_is_no_alarm() -> None:
    assert alarms(CpuPercent="0", FreeStorageBytes="0", FreeMemoryBytes="0") == {}


def test_without_topics_nobody_is_told() -> None:
    found = alarms(WarningTopicArn="", CriticalTopicArn="")
    assert found
    assert not any("AlarmActions" in own for own in found.values())
