"""Application Auto Scaling tells the bounds it was given.

AWS: RegisterScalableTarget, PutScalingPolicy and PutScheduledAction keep what the matching Describe operations tell
(Application Auto Scaling API reference). MiniStack: has no such service.
Mended by one that keeps and tells, and holds a service to its bounds but never scales it:
`tidegate_local.resources.scaling`.
"""

from collections.abc import Mapping
from typing import Any

from ministack import app
from ministack.core import iam_actions, router

from tidegate_local.resources import scaling
from tidegate_local.seam import MendDoesNotFitError

SERVICE = "application-autoscaling"


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    if SERVICE in router.SERVICE_PATTERNS:
        raise MendDoesNotFitError("ministack", "no Application Auto Scaling", "one of its own")

    async def handle(_method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Any) -> Any:
        return scaling.answer(headers.get("x-amz-target", ""), body)

    router.SERVICE_PATTERNS[SERVICE] = {
        "target_prefixes": ["AnyScaleFrontendService"],
        "host_patterns": [r"application-autoscaling\."],
        "credential_scope": SERVICE,
    }
    iam_actions.SERVICE_TO_IAM_NAMESPACE[SERVICE] = SERVICE
    app.SERVICE_HANDLERS[SERVICE] = handle
