"""An alarm on an expression, which a stack makes.

AWS: an alarm has either one metric (MetricName, Namespace, …) or Metrics, a list of metrics and of expressions over
them (CloudFormation template reference, AWS::CloudWatch::Alarm; PutMetricAlarm). DescribeAlarms tells the one or the
other.
MiniStack: "Properties.Metrics (metric math) is not supported", and the stack fails.
Mended by keeping and telling Metrics. Nothing works the expression out, as with any alarm without data: the alarm stays
INSUFFICIENT_DATA until somebody sets its state (SetAlarmState).
"""

from typing import Any

from ministack.services.cloudformation import provisioners

from tidegate_local.seam import graft

Json = dict[str, Any]
_OF_ONE_METRIC = (
    "MetricName",
    "Namespace",
    "Dimensions",
    "Period",
    "Statistic",
    "ExtendedStatistic",
    "Unit",
)


def install() -> None:
    """Raises `MendDoesNotFitError`."""

    def record(name: str, props: Json) -> Json:
        metrics = props.get("Metrics")
        if not metrics:
            kept: Json = original(name, props)
            return kept
        both = [key for key in _OF_ONE_METRIC if props.get(key) not in (None, "", [])]
        if both:
            raise ValueError(f"Metrics and {both[0]} exclude one another")
        stood_in = {key: value for key, value in props.items() if key != "Metrics"}
        alarm: Json = original(name, {**stood_in, "MetricName": "-", "Namespace": "-"})
        for key in _OF_ONE_METRIC:
            alarm.pop(key, None)
        return {**alarm, "Metrics": [_query(one) for one in metrics]}

    original = graft(
        provisioners,
        "_cw_metric_alarm_record",
        record,
        signature="(name, props)",
        shows="AWS::CloudWatch::Alarm Properties.Metrics (metric math) is not supported",
    )


def _query(written: Json) -> Json:
    """With the types of the API: numbers and booleans of a template may be text."""
    told = dict(written)
    if "ReturnData" in told:
        told["ReturnData"] = str(told["ReturnData"]).lower() == "true"
    if "Period" in told:
        told["Period"] = int(told["Period"])
    if "MetricStat" in told:
        told["MetricStat"] = {**told["MetricStat"], "Period": int(told["MetricStat"]["Period"])}
    return told
