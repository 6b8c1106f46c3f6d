"""Attributes of resources that MiniStack has, but not all of them.

AWS: `Fn::GetAtt` of AWS::Cognito::UserPool gives ProviderURL, "the URL of the provider"
(CloudFormation template reference). MiniStack: "Requested attribute ProviderURL does not exist".
Mended by adding it.
"""

from typing import Any

from ministack.services.cloudformation import provisioners

from tidegate_local.seam import graft


def install() -> None:
    """Raises `MendDoesNotFitError`."""

    def attributes(pool_id: str) -> dict[str, Any]:
        found: dict[str, Any] = original(pool_id)
        return {**found, "ProviderURL": f"https://{found['ProviderName']}"}

    original = graft(
        provisioners, "_cognito_user_pool_attributes", attributes, signature="(pid)", shows="ProviderName"
    )
