"""CloudWatch alarms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.adapters.errors import asking

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

NAMES_AT_ONCE = 100  # DescribeAlarms: AlarmNames


class CloudWatchAlarms:
    def __init__(self, client: Callable[[], CloudWatchClient]) -> None:
        self._client = client

    def in_alarm(self, names: Sequence[str]) -> list[str]:
        """In the order they were asked for. A name without an alarm is not in ALARM."""
        wanted = list(dict.fromkeys(names))
        alarming: set[str] = set()
        for start in range(0, len(wanted), NAMES_AT_ONCE):
            question: dict[str, Any] = {
                "AlarmNames": wanted[start : start + NAMES_AT_ONCE],
                "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],  # metric alarms only, unless asked for
                "StateValue": "ALARM",
                "MaxRecords": NAMES_AT_ONCE,
            }
            while True:
                with asking("cloudwatch:DescribeAlarms"):
                    answer = self._client().describe_alarms(**question)
                found = [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
                alarming |= {alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"}
                if not answer.get("NextToken"):
                    break
                question["NextToken"] = answer["NextToken"]
        return [name for name in wanted if name in alarming]
