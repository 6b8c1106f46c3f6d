"""AWS Application Auto Scaling (https://docs.aws.amazon.com/autoscaling/application/APIReference/)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidegate.adapters.errors import asking
from tidegate.domain.scaling import Bounds

_DIMENSION = "ecs:service:DesiredCount"


class ApplicationAutoScaling:
    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def bounds(self, cluster: str, service: str) -> Bounds | None:
        """A resource and a dimension have one scalable target at most (API reference, RegisterScalableTarget)."""
        with asking("application-autoscaling:DescribeScalableTargets"):
            found = self._client().describe_scalable_targets(
                ServiceNamespace="ecs",
                ResourceIds=[f"service/{cluster}/{service}"],
                ScalableDimension=_DIMENSION,
            )["ScalableTargets"]
        return Bounds(found[0]["MinCapacity"], found[0]["MaxCapacity"]) if found else None
