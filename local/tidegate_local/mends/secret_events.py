"""What Secrets Manager says about a new version can be kept back, and is kept like any other event.

AWS: sends `Secret Label Updated` when a staging label, AWSPENDING and AWSPREVIOUS aside, comes to another version: with
PutSecretValue, UpdateSecret, UpdateSecretVersionStage and at the end of a rotation (Secrets Manager user guide,
"Secret event notifications").
MiniStack: sends it as well, past the bus's archives.
Mended by sending it as every other service here does, so that `silence` holds for it too.
"""

from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import secretsmanager

from tidegate_local.events import service_event
from tidegate_local.seam import graft
from tidegate_local.silence import Deliver


def install(deliver: Deliver) -> None:
    """Raises `MendDoesNotFitError`."""

    def emit(secret: dict[str, Any], label: str, version_id: str) -> None:
        detail = {"name": secret["Name"], "labelUpdated": label, "versionId": version_id}
        event = service_event("aws.secretsmanager", "Secret Label Updated", detail, [secret["ARN"]])
        deliver(event, account=get_account_id(), region=get_region())

    graft(
        secretsmanager,
        "_emit_secret_label_updated",
        emit,
        signature="(secret, label, version_id)",
        shows='"labelUpdated": label,',
    )
