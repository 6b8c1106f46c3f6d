"""A schedule invokes its target at its own times, and tells it which of them this is.

AWS: a schedule with a rate begins at its StartDate; in the input of its target `<aws.scheduler.scheduled-time>` is the
time it was invoked for, `2022-03-22T18:59:43Z`, the same for every attempt; there are also
`<aws.scheduler.schedule-arn>`, `…execution-id>` and `…attempt-number>` (EventBridge Scheduler user guide, "Rate-based
schedules" and "Adding context attributes").
MiniStack: counts a rate from the schedule's creation, looks every ten seconds, and passes the input on as it is.
Mended by a look of our own, every second. A flexible time window is used at its beginning; nothing is tried twice, and
a target that is not there is buried as a rule's is. The role of a schedule is not looked at, here as there.
"""

import time
from datetime import UTC, datetime
from typing import Any

from ministack.core.responses import new_uuid, request_scope
from ministack.services import eventbridge, scheduler

from tidegate_local.seam import expect, expect_attributes, graft

Json = dict[str, Any]
_EVERY_SECONDS = 1.0


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(scheduler, "_schedules", "_SCHEDULE_TICK_INTERVAL")
    expect(scheduler, "_to_epoch", signature="(value)")
    expect(scheduler, "_at_time_epoch", signature="(expr: str)")
    expect(eventbridge, "_parse_rate_seconds", signature="(expr: str) -> int | None")
    expect(eventbridge, "_parse_cron_fields", signature="(expr: str)")
    expect(
        eventbridge,
        "_cron_next_fire",
        signature="(fields, after_dt: datetime.datetime) -> datetime.datetime | None",
    )
    invoked: dict[tuple[Any, ...], float] = {}

    def look() -> None:
        now = time.time()
        for key, schedule in list(scheduler._schedules._data.items()):
            # Made anew under the same name, it is another one.
            known = (*key, schedule["CreationDate"])
            slot = _due(schedule, now, invoked.get(known))
            if slot is not None:
                invoked[known] = slot
                _invoke(schedule, slot, *key[:2])
                if schedule.get("ActionAfterCompletion") == "DELETE" and _once(schedule):
                    scheduler._schedules._data.pop(key, None)

    graft(
        scheduler, "_tick_schedules", look, signature="()", shows="_eb._invoke_target(target, event, sched)"
    )
    scheduler._SCHEDULE_TICK_INTERVAL = _EVERY_SECONDS


def _once(schedule: Json) -> bool:
    return scheduler._at_time_epoch(schedule["ScheduleExpression"]) is not None


def _due(schedule: Json, now: float, last: float | None) -> float | None:
    """The time that it is to be invoked for; None where that is over or still to come."""
    start, end = scheduler._to_epoch(schedule.get("StartDate")), scheduler._to_epoch(schedule.get("EndDate"))
    if schedule.get("State") != "ENABLED" or (end is not None and now > end):
        return None
    slot = _latest(schedule, start, now, last)
    if slot is None or slot > now or (last is not None and slot <= last):
        return None
    # What was its time before it was changed is none of its times any more.
    return None if slot < int(schedule["LastModificationDate"]) and not _once(schedule) else slot


def _latest(schedule: Json, start: float | None, now: float, last: float | None) -> float | None:
    expression = schedule["ScheduleExpression"]
    made, changed = schedule["CreationDate"], schedule["LastModificationDate"]
    at: float | None = scheduler._at_time_epoch(expression)
    if at is not None:
        return at
    interval = eventbridge._parse_rate_seconds(expression)
    if interval is not None:
        first = made + interval if start is None else start
        return None if now < first else float(first + (now - first) // interval * interval)
    fields = eventbridge._parse_cron_fields(expression)
    if fields is None or (start is not None and now < start):
        return None
    following = eventbridge._cron_next_fire(fields, datetime.fromtimestamp(max(last or made, changed), UTC))
    return None if following is None else float(following.timestamp())


def _invoke(schedule: Json, slot: float, account: str, region: str) -> None:
    told = {
        "schedule-arn": schedule["Arn"],
        "scheduled-time": datetime.fromtimestamp(slot, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": new_uuid(),
        "attempt-number": "1",
    }
    target = {"Input": "{}", **schedule["Target"]}
    for name, value in told.items():
        target["Input"] = target["Input"].replace(f"<aws.scheduler.{name}>", value)
    event = {
        "EventId": new_uuid(),
        "Source": "aws.scheduler",
        "DetailType": "Scheduled Event",
        "Detail": "{}",
        "Time": slot,
        "Resources": [schedule["Arn"]],
        "Account": account,
        "Region": region,
    }
    with request_scope(account, region):
        eventbridge._invoke_target(target, event, schedule)
