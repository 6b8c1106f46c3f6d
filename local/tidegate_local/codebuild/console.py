"""The lines of a build, sent to CloudWatch Logs as they come, in CodeBuild's form.

Everything goes through one pipe, CodeBuild's own lines and what the commands print, so that their order is kept.
"""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

SECONDS = 0.2
LARGEST_BATCH = 500
LONGEST_LINE = 250_000  # bytes; CloudWatch Logs takes events of 256 KiB, 26 bytes each of them its own


class Console:
    """One build's stream. `write_end` is what the commands print to."""

    def __init__(self, logs: Any, group: str, stream: str) -> None:
        """`logs` is a client of CloudWatch Logs, or None where the project logs nowhere."""
        self._logs, self._group, self._stream = logs, group, stream
        self._secrets: tuple[bytes, ...] = ()
        self._read_end, self.write_end = os.pipe()
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, name="tidegate-build-log", daemon=True)

    def open(self) -> None:
        """Create the stream. Raises botocore's errors."""
        if self._logs is None:
            self._reader.start()
            return
        # The group may be there already, and the role be allowed no more than its streams.
        with contextlib.suppress(ClientError):
            self._logs.create_log_group(logGroupName=self._group)
        self._logs.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
        self._reader.start()

    def hide(self, values: Sequence[str]) -> None:
        """Show *** in the place of these from now on, as CodeBuild does with secrets and parameters."""
        self._secrets = tuple(value.encode() for value in values if len(value) >= 3)

    def say(self, line: str) -> None:
        """A line of CodeBuild's own: `[Container] 2026/01/02 03:04:05.678901 <line>`."""
        moment = datetime.now(UTC)
        os.write(self.write_end, f"[Container] {moment:%Y/%m/%d %H:%M:%S.%f} {line}\n".encode())

    def close(self) -> None:
        """Send what is left. Whoever still holds the pipe talks to nobody from now on."""
        if self._reader.is_alive():
            os.close(self.write_end)
            # A process that outlives the build would keep the pipe open for ever.
            self._closing.set()
            self._reader.join(timeout=10)
        os.close(self._read_end)

    def _read(self) -> None:
        os.set_blocking(self._read_end, False)
        pending, events = b"", list[dict[str, Any]]()
        sent = time.monotonic()
        while True:
            chunk = self._chunk()
            *lines, pending = (pending + (chunk or b"")).split(b"\n")
            over = chunk == b"" or (chunk is None and self._closing.is_set())
            if over and pending:
                lines.append(pending)
            events += [self._event(line) for line in lines]
            if events and (over or len(events) >= LARGEST_BATCH or time.monotonic() - sent > SECONDS):
                self._send(events)
                events, sent = [], time.monotonic()
            if over:
                return
            if chunk is None:
                self._closing.wait(0.02)

    def _chunk(self) -> bytes | None:
        """What is there to read; None for nothing yet, b"" for nothing ever again."""
        try:
            return os.read(self._read_end, 65536)
        except BlockingIOError:
            return None

    def _event(self, line: bytes) -> dict[str, Any]:
        for secret in self._secrets:
            line = line.replace(secret, b"***")
        text = line[:LONGEST_LINE].decode("utf-8", "replace")
        return {"timestamp": int(time.time() * 1000), "message": f"{text}\n"}

    def _send(self, events: list[dict[str, Any]]) -> None:
        if self._logs is None:
            return
        for start in range(0, len(events), LARGEST_BATCH):
            # Lost lines do not fail a build, here as there.
            with contextlib.suppress(BotoCoreError, ClientError):
                self._logs.put_log_events(
                    logGroupName=self._group,
                    logStreamName=self._stream,
                    logEvents=events[start : start + LARGEST_BATCH],
                )
