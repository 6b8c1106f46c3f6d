"""The events GetExecutionHistory shows.

MiniStack numbers events without a lock, though iterations write them at once, and leaves
`previousEventId` out. AWS links each event to the one it followed; here that is the one before it.
"""

import threading
from typing import Any

from ministack.core.responses import now_iso

_lock = threading.Lock()


def add_event(execution: dict[str, Any], kind: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """Append an event to the execution's history."""
    with _lock:
        number = len(execution["events"]) + 1
        event = {
            "id": number,
            "previousEventId": number - 1,
            "type": kind,
            "timestamp": now_iso(),
            **(details or {}),
        }
        execution["events"].append(event)
    return event
