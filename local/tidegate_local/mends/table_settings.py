"""A table's safeguards in a template take effect.

AWS: `TimeToLiveSpecification`, `PointInTimeRecoverySpecification` and `SSESpecification` of
AWS::DynamoDB::Table are applied when the table is created and updated (CloudFormation template reference).
MiniStack: creates the table without them and says the stack is complete.
Mended by calling its own DynamoDB with them afterwards.
"""

from typing import Any

from ministack.services import dynamodb
from ministack.services.cloudformation import provisioners

from tidegate_local.seam import expect, expect_attributes

KIND = "AWS::DynamoDB::Table"


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(provisioners, "_RESOURCE_HANDLERS")
    create = expect(
        provisioners,
        "_ddb_create",
        signature="(logical_id, props, stack_name)",
        shows='"SSEDescription": None',
    )
    update = expect(
        provisioners,
        "_ddb_update",
        signature="(physical_id, old_props, new_props, stack_name, logical_id=None)",
    )

    def create_and_set(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        answer = create(logical_id, props, stack_name)
        _apply(answer[0], props)
        return answer

    def update_and_set(*given: Any, **named: Any) -> Any:
        answer = update(*given, **named)
        _apply(answer[0], given[2])
        return answer

    handlers = provisioners._RESOURCE_HANDLERS[KIND]
    handlers["create"], handlers["update"] = create_and_set, update_and_set


def _apply(table: str, props: dict[str, Any]) -> None:
    encryption = props.get("SSESpecification")
    if encryption:
        # The template's name for what the API calls Enabled.
        encryption = {**encryption, "Enabled": encryption.get("SSEEnabled")}
    dynamodb._tables[table]["SSEDescription"] = dynamodb._sse_description_from_spec(encryption)
    for name, call in (
        ("TimeToLiveSpecification", dynamodb._update_ttl),
        ("PointInTimeRecoverySpecification", dynamodb._update_continuous_backups),
    ):
        if name in props:
            call({"TableName": table, name: props[name]})
