"""Structured logs and metrics, by Powertools: JSON lines, and EMF lines that CloudWatch turns into metrics.

Importing both costs some 40 ms beside botocore's 215; Metrics adds nothing to what Logger needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

SERVICE = "tidegate"
NAMESPACE = "Tidegate"
KEYS = ("system", "environment", "deployment", "service")
# What an alarm of the template watches. An alarm names all dimensions of its metric and cannot know systems and
# environments, so these are written a second time, with the stack as their only dimension.
ALARMED = frozenset({"FailedDirty", "RotationsOverdue"})


@lru_cache(maxsize=1)
def logger() -> Logger:
    return Logger(service=SERVICE)


def subject(event: Mapping[str, Any]) -> dict[str, str]:
    """What an event, or a step's answer, is about, as log keys: by its top level, else by its `detail` (an
    EventBridge event) or its `request` (the input of a machine)."""
    parts = [event, event.get("detail"), event.get("request")]
    found: dict[str, str] = {}
    for part in parts:
        if isinstance(part, Mapping):
            for key in KEYS:
                value = part.get(key)
                if isinstance(value, str):
                    found.setdefault(key, value)
    return found


class EmfMetrics:
    """Writes each count at once, one line with its own dimensions: nothing is left to flush when a function dies."""

    def __init__(self, stack: str) -> None:
        self._stack = stack

    def count(self, name: str, value: float = 1, unit: str = "Count", **dimensions: str) -> None:
        _write(name, value, unit, dimensions)
        if name in ALARMED:
            _write(name, value, unit, {"stack": self._stack})


def _write(name: str, value: float, unit: str, dimensions: Mapping[str, str]) -> None:
    with single_metric(name=name, unit=MetricUnit(unit), value=value, namespace=NAMESPACE) as metric:
        for dimension, text in dimensions.items():
            metric.add_dimension(name=dimension, value=text)
