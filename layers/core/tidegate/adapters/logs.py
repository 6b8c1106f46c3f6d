"""CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

MOST_LINES = 10_000  # GetLogEvents: limit
MOST_PAGES = (
    5  # a page may be empty while older lines exist; five reach back far enough for a task that crashed
)


class CloudWatchLogs:
    def __init__(self, client: Callable[[], CloudWatchLogsClient]) -> None:
        self._client = client

    def tail(self, group: str, stream: str, lines: int) -> list[str]:
        """Oldest first, without line ends. GetLogEvents gives the token it was asked with at the stream's start."""
        found: list[str] = []
        question: dict[str, Any] = {"logGroupName": group, "logStreamName": stream, "startFromHead": False}
        for _ in range(MOST_PAGES):
            left = min(lines, MOST_LINES) - len(found)
            if left <= 0:
                break
            with asking("logs:GetLogEvents"):
                try:
                    answer = self._client().get_log_events(**question, limit=left)
                except ClientError as error:
                    if code_of(error) == "ResourceNotFoundException":
                        return []
                    raise
            found = [event["message"].rstrip("\n") for event in answer["events"]] + found
            token = answer.get("nextBackwardToken")
            if token is None or token == question.get("nextToken"):
                break
            question["nextToken"] = token
        return found
