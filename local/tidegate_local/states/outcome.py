"""How one attempt of a task came out, whoever says so first."""

import threading
import time
from typing import Any

from ministack.services import stepfunctions as sfn

from tidegate_local.states.lifetime import EndedError, Lifetime


class Outcome:
    """Settled once: by the integration, by the holder of the token, by the clock."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._result: tuple[Any] | None = None
        self._error: Exception | None = None
        self._ended = False
        self._beat_at = time.monotonic()

    def succeed(self, result: Any) -> bool:
        """False if it was settled before."""
        with self._news:
            if self._settled:
                return False
            self._result = (result,)
            self._news.notify_all()
            return True

    def fail(self, error: Exception) -> bool:
        """False if it was settled before."""
        with self._news:
            if self._settled:
                return False
            self._error = error
            self._news.notify_all()
            return True

    def beat(self) -> bool:
        """The holder of the token lives. False if it was settled before."""
        with self._news:
            if self._settled:
                return False
            self._beat_at = time.monotonic()
            self._news.notify_all()
            return True

    def wait(self, lifetime: Lifetime, *, timeout: float | None, heartbeat: float | None) -> Any:
        """The result. Raises the task's error, `States.Timeout`, `States.HeartbeatTimeout`, `EndedError`."""
        give_up = None if timeout is None else time.monotonic() + timeout
        with self._news:
            self._beat_at = time.monotonic()
        forget = lifetime.at_end(self._end)
        try:
            with self._news:
                while not self._settled:
                    self._news.wait(self._patience(give_up, heartbeat))
                    self._expire(give_up, timeout, heartbeat)
                if self._result is not None:
                    return self._result[0]
        finally:
            forget()
        if self._error is not None:
            raise self._error
        raise EndedError

    @property
    def _settled(self) -> bool:
        return self._result is not None or self._error is not None or self._ended

    def _patience(self, give_up: float | None, heartbeat: float | None) -> float | None:
        limits = [give_up] if give_up is not None else []
        if heartbeat is not None:
            limits.append(self._beat_at + heartbeat)
        return max(0.0, min(limits) - time.monotonic()) if limits else None

    def _expire(self, give_up: float | None, timeout: float | None, heartbeat: float | None) -> None:
        if self._settled:
            return
        now = time.monotonic()
        if give_up is not None and now >= give_up:
            self._error = sfn._ExecutionError("States.Timeout", f"Task timed out after {timeout:g} seconds")
        elif heartbeat is not None and now >= self._beat_at + heartbeat:
            self._error = sfn._ExecutionError(
                "States.HeartbeatTimeout", f"No heartbeat was received for {heartbeat:g} seconds"
            )

    def _end(self) -> None:
        with self._news:
            self._ended = True
            self._news.notify_all()
