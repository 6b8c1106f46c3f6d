"""An alarm that changes its state says so on the default bus.

AWS: sends `CloudWatch Alarm State Change` with the state, the one before it and the alarm's configuration (CloudWatch
user guide, "Alarm events and EventBridge"), whether or not the alarm's actions are enabled, and also where
SetAlarmState has changed it.
MiniStack: does the alarm's SNS actions only.
Mended at the one place that every change of state passes, that of a composite alarm as well. Events about an alarm's
creation, configuration and deletion are not sent.
"""

from datetime import UTC, datetime
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch

from tidegate_local.events import service_event
from tidegate_local.seam import graft
from tidegate_local.silence import Deliver

Json = dict[str, Any]


def install(deliver: Deliver) -> None:
    """Raises `MendDoesNotFitError`."""
    before: dict[str, Json] = {}  # by ARN: MiniStack has overwritten it when it gets here

    def dispatch(alarm: Json, old_state: str, new_state: str, reason: str) -> None:
        arn = alarm["AlarmArn"]
        state = _state(new_state, reason, alarm)
        previous = before.get(arn, {})
        if previous.get("value") != old_state:
            previous = {**_state(old_state, "Unchecked: Initial alarm creation", {}), **_created(alarm)}
        before[arn] = state
        detail = {
            "alarmName": alarm["AlarmName"],
            "configuration": _configuration(alarm),
            "previousState": previous,
            "state": state,
        }
        event = service_event("aws.cloudwatch", "CloudWatch Alarm State Change", detail, [arn])
        deliver(event, account=get_account_id(), region=get_region())
        original(alarm, old_state, new_state, reason)

    original = graft(
        cloudwatch,
        "_dispatch_alarm_actions",
        dispatch,
        signature="(alarm, old_state, new_state, reason)",
        shows='if not alarm.get("ActionsEnabled", True):',
    )


def _state(value: str, reason: str, alarm: Json) -> Json:
    data = {"reasonData": alarm["StateReasonData"]} if alarm.get("StateReasonData") else {}
    return {"value": value, "reason": reason, **data, "timestamp": _moment(datetime.now(UTC))}


def _created(alarm: Json) -> Json:
    """When a state that nobody has seen change began, as far as the alarm still tells."""
    seconds = alarm.get("AlarmConfigurationUpdatedTimestamp")
    if not isinstance(seconds, int | float):
        return {}
    return {"timestamp": _moment(datetime.fromtimestamp(seconds, UTC))}


def _configuration(alarm: Json) -> Json:
    shown: Json = {}
    if alarm.get("AlarmDescription"):
        shown["description"] = alarm["AlarmDescription"]
    if alarm.get("AlarmRule"):
        return {**shown, "alarmRule": alarm["AlarmRule"]}
    metric = {
        "namespace": alarm.get("Namespace"),
        "name": alarm.get("MetricName"),
        "dimensions": {one["Name"]: one["Value"] for one in alarm.get("Dimensions") or []},
    }
    stat = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    measured = {"metric": metric, "period": alarm.get("Period"), "stat": stat}
    return {**shown, "metrics": [{"id": "m1", "metricStat": measured, "returnData": True}]}


def _moment(at: datetime) -> str:
    """E.g. `2019-10-02T17:04:40.989+0000`."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"
