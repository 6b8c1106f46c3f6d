"""Does anything ring, or lie in a dead-letter queue?"""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.adapters.errors import asking

from tidegate_cli.doctor.findings import Finding, error, ok, skipped, warning
from tidegate_cli.doctor.inspection import Inspection

# The template's outputs.
_QUEUES = {
    "WakeDeadLettersUrl": "events that EventBridge could not hand to wake",
    "WakeFailuresUrl": "events that wake failed on",
    "SweepDeadLettersUrl": "minutes in which the sweep could not be started",
    "RotationDeadLettersUrl": "rotations that EventBridge Scheduler could not start",
    "NoticeDeadLettersUrl": "announcements that did not reach their topic",
}
_COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
_MEND = "docs/operations.md, Alarms, says what to do with them"


def dead_letters(inspection: Inspection) -> Iterator[Finding]:
    name = "dead letters"
    found = inspection.installation
    queues = {} if found is None else {key: found.outputs[key] for key in _QUEUES if key in found.outputs}
    if not queues:
        yield skipped(name, "there is no installation to look at")
        return
    filled = 0
    for key, url in queues.items():
        count = _messages(inspection, url)
        if count:
            filled += 1
            yield warning(name, f"{url.rpartition('/')[2]} has {count}: {_QUEUES[key]}", _MEND)
    if not filled:
        yield ok(name, f"{len(queues)} queues are empty")


def alarms(inspection: Inspection) -> Iterator[Finding]:
    name = "alarms"
    if inspection.installation is None:
        yield skipped(name, "there is no installation to look at")
        return
    names = inspection.alarm_names()
    ringing = inspection.ports.alarms.in_alarm(names) if names else []
    for alarm in ringing:
        yield error(name, f"{alarm} is in ALARM", _MEND)
    if not ringing:
        yield ok(name, f"{len(names)} are quiet")


def _messages(inspection: Inspection, url: str) -> int:
    with asking("sqs:GetQueueAttributes"):
        answer = inspection.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)
    return sum(int(answer.get("Attributes", {}).get(count, 0)) for count in _COUNTS)
