"""Amazon EventBridge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tidegate.adapters.errors import asking
from tidegate.domain.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


class EventBridgeBus:
    def __init__(self, client: Callable[[], EventBridgeClient]) -> None:
        self._client = client

    def emit(self, detail_type: str, detail: Mapping[str, Any], source: str = "tidegate") -> None:
        """PutEvents succeeds as a call even where it took no event."""
        action = "events:PutEvents"
        with asking(action):
            answer = self._client().put_events(
                Entries=[
                    {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)},
                ]
            )
        if answer["FailedEntryCount"]:
            entry = answer["Entries"][0]
            raise TransientError(f"{action}: {entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")
