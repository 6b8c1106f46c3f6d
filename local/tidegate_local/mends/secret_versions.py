"""A version of a secret is written once, and a label is at one version.

AWS: PutSecretValue with a ClientRequestToken that a version has already changes nothing where the value is the same,
and is refused with ResourceExistsException where it is another; a label that it attaches is taken from the version
that had it; a token has 32 to 64 characters (API reference, "PutSecretValue").
MiniStack: writes the version again, without the labels that it had, and leaves the label at both.
Mended around its handler.
"""

import uuid
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import secretsmanager

from tidegate_local.seam import expect, graft


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect(secretsmanager, "_resolve", signature="(secret_id, *, use_arn_scope=False)")
    expect(secretsmanager, "_remove_stage_everywhere", signature="(secret, stage, except_version_id=None)")

    def put(data: dict[str, Any]) -> Any:
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        if not secret or secret.get("DeletedDate") or secretsmanager._is_replica(secret):
            return original(data)
        token = data.get("ClientRequestToken")
        if token is not None and not 32 <= len(token) <= 64:
            return error_response_json(
                "InvalidParameterException", "ClientRequestToken must be 32-64 characters long.", 400
            )
        if token in secret["Versions"]:
            return _again(secret, str(token), data)
        written = str(token or uuid.uuid4())
        answer = original({**data, "ClientRequestToken": written})
        if answer[0] == 200:
            for stage in set(data.get("VersionStages", ())) - {"AWSCURRENT"}:
                secretsmanager._remove_stage_everywhere(secret, stage, except_version_id=written)
            secretsmanager._sync_replicas(secret)
        return answer

    original = graft(
        secretsmanager,
        "_put_secret_value",
        put,
        signature="(data)",
        shows='vid = data.get("ClientRequestToken", new_uuid())',
    )


def _again(secret: dict[str, Any], token: str, data: dict[str, Any]) -> Any:
    existing = secret["Versions"][token]
    if any(existing.get(part) != data.get(part) for part in ("SecretString", "SecretBinary")):
        return error_response_json(
            "ResourceExistsException",
            f"You can't use ClientRequestToken {token} because that value is already in use for a version of secret "
            f"{secret['ARN']}.",
            400,
        )
    stages = list(existing["Stages"])
    return json_response(
        {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token, "VersionStages": stages}
    )
