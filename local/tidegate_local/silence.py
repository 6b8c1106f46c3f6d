"""Events of a source that are swallowed instead of sent, so that a test can see what a lost one costs."""

import threading
from collections.abc import Callable
from typing import Any

from tidegate_local.events import Event

Deliver = Callable[..., str]


class Silence:
    """Which sources are silent, and what they would have said since."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._swallowed: dict[str, list[dict[str, Any]]] = {}

    def over(self, deliver: Deliver) -> Deliver:
        """`deliver` for what services of the embedded cloud say themselves; "" for what was swallowed."""

        def deliver_unless_silent(event: Event, **where: Any) -> str:
            with self._lock:
                if event.source in self._swallowed:
                    self._swallowed[event.source].append(event.model_dump(mode="json", by_alias=True))
                    return ""
            return deliver(event, **where)

        return deliver_unless_silent

    def begin(self, source: str) -> None:
        """From now on nothing of `source`, e.g. aws.codebuild, is sent. What was swallowed before is kept."""
        with self._lock:
            self._swallowed.setdefault(source, [])

    def swallowed(self, source: str) -> list[dict[str, Any]]:
        """What it would have said so far, in order; it stays silent."""
        with self._lock:
            return list(self._swallowed.get(source, []))

    def end(self, source: str) -> list[dict[str, Any]]:
        """It may speak again; what it would have said meanwhile, in order."""
        with self._lock:
            return self._swallowed.pop(source, [])
