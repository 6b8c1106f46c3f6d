"""Events of AWS services, put on the default bus from inside the process.

PutEvents refuses sources that begin with `aws.`, on AWS and in MiniStack alike; AWS's own services do
not go through it. Neither do these.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias

from ministack.core.responses import request_scope
from ministack.services import eventbridge
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tidegate_local.seam import expect, expect_attributes

Json: TypeAlias = Mapping[str, Any]


class Event(BaseModel):
    """An event in EventBridge's own shape, as in `events/*.json` and in AWS's documentation.

    `id`, `time`, `account` and `region` are filled in where the sender leaves them out.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    source: Annotated[str, Field(min_length=1, max_length=256)]
    detail_type: Annotated[str, Field(alias="detail-type", min_length=1, max_length=128)]
    detail: dict[str, Any]
    resources: list[str] = Field(default_factory=list)
    id: str | None = None
    time: AwareDatetime | None = None
    account: Annotated[str, Field(pattern=r"^\d{12}$")] | None = None
    region: Annotated[str, Field(min_length=1)] | None = None
    version: str = "0"


def check_fit() -> None:
    """Raises `MendDoesNotFitError` where MiniStack's delivery is not the one used here."""
    expect(eventbridge, "_dispatch_event", signature="(event, view=None)")
    expect(eventbridge, "_archive_event", signature="(event, view=None)")
    expect(eventbridge, "_pattern_event_view", signature="(event)")
    expect_attributes(eventbridge, "_events_log_list", "_ensure_default_bus")


def deliver(event: Event, *, account: str, region: str, bus: str = "default") -> str:
    """Match `event` against the bus's rules and invoke their targets; returns its id.

    `account` and `region` are where it happens; the event's own fields may differ, as those of an event
    that was forwarded from another account do.
    """
    record = {
        "EventId": event.id or str(uuid.uuid4()),
        "Version": event.version,
        "Source": event.source,
        "DetailType": event.detail_type,
        "Detail": json.dumps(event.detail),
        "EventBusName": bus,
        "Time": int((event.time or datetime.now(UTC)).timestamp()),
        "Resources": event.resources,
        "Account": event.account or account,
        "Region": event.region or region,
    }
    with request_scope(account, region):
        eventbridge._ensure_default_bus()
        eventbridge._events_log_list().append(record)
        view = eventbridge._pattern_event_view(record)
        eventbridge._dispatch_event(record, view)
        eventbridge._archive_event(record, view)
    return str(record["EventId"])


def service_event(source: str, detail_type: str, detail: Json, resources: Sequence[str]) -> Event:
    """An event as a service of the embedded cloud sends it."""
    return Event(source=source, detail_type=detail_type, detail=dict(detail), resources=list(resources))
