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

    def missing(self, names: Sequence[str]) -> list[str]:
        known = self._states(names)
        return [name for name in dict.fromkeys(names) if name not in known]

    def in_alarm(self, names: Sequence[str]) -> list[str]:
        """In the order they were asked for. A name without an alarm is not in ALARM."""
        known = self._states(names, StateValue="ALARM")
        return [name for name in dict.fromkeys(names) if known.get(name) == "ALARM"]

    def _states(self, names: Sequence[str], **only: str) -> dict[str, str]:
        """The states by name: OK, ALARM or INSUFFICIENT_DATA."""
        wanted = list(dict.fromkeys(names))
        found: dict[str, str] = {}
        for start in range(0, len(wanted), NAMES_AT_ONCE):
            question: dict[str, Any] = {
                "AlarmNames": wanted[start : start + NAMES_AT_ONCE],
                "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],  # metric alarms only, unless asked for
                "MaxRecords": NAMES_AT_ONCE,
                **only,
            }
            while True:
                with asking("cloudwatch:DescribeAlarms"):
                    answer = self._client().describe_alarms(**question)
                for alarm in (*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])):
                    found[alarm["AlarmName"]] = alarm["StateValue"]
                if not answer.get("NextToken"):
                    break
                question["NextToken"] = answer["NextToken"]
        return found
