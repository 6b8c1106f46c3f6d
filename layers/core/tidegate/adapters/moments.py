"""Times as every port gives them: ISO 8601 in UTC with milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def iso(moment: datetime) -> str:
    """`2026-03-02T09:00:00.000Z`; botocore gives local zones, so the zone is converted."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def plain(value: Any) -> Any:
    """An answer of botocore as JSON: its times as text, nothing else changed."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
