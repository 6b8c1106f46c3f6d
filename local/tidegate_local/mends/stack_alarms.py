"""An alarm on an expression is made, though nothing computes it.

AWS: an alarm has MetricName and Namespace, or Metrics with one expression that is returned, and not both
(CloudFormation template reference, AWS::CloudWatch::Alarm). MiniStack: fails the resource that has Metrics.
Mended by keeping such an alarm, which tells its Metrics; its state is INSUFFICIENT_DATA until SetAlarmState.
"""

from typing import Any

from ministack.services.cloudformation import provisioners

from tidegate_local.resources import shapes
from tidegate_local.seam import graft

Json = dict[str, Any]
_OF_ONE_METRIC = ("MetricName", "Namespace", "Statistic", "Period", "Unit", "ExtendedStatistic")


def install() -> None:
    """Raises `MendDoesNotFitError`."""

    def record(name: str, props: Json) -> Json:
        metrics = props.get("Metrics")
        if not metrics:
            return dict(original(name, props))
        both = next((key for key in (*_OF_ONE_METRIC, "Dimensions") if props.get(key)), None)
        if both is not None:
            raise ValueError(f"Metrics and {both} exclude one another")
        # It asks for a metric; then there is none.
        named = {**props, "MetricName": "-", "Namespace": "-", "Metrics": None}
        own = shapes.request("cloudwatch", "PutMetricAlarm", {"Metrics": metrics})
        alarm = {**original(name, named), **own, "Dimensions": []}
        for absent in _OF_ONE_METRIC:
            alarm.pop(absent, None)
        return alarm

    original = graft(
        provisioners,
        "_cw_metric_alarm_record",
        record,
        signature="(name, props)",
        shows='if props.get("Metrics"):',
    )
