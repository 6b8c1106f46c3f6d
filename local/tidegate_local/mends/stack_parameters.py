"""A stack whose tags change leaves the values of its parameters alone.

AWS: PutParameter is called "only if previousResourceProperties is not the same as currentResourceProperties", tags
apart (aws-cloudformation-resource-providers-ssm, UpdateHandler.java). Whoever has put another value keeps it.
MiniStack: writes the template's value again whenever the stack gets other tags.
Mended by changing only the tags then.
"""

from typing import Any

from ministack.services import ssm
from ministack.services.cloudformation import provisioners

from tidegate_local.seam import expect, expect_attributes, graft

KIND = "AWS::SSM::Parameter"
Json = dict[str, Any]


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(provisioners, "_RESOURCE_HANDLERS", "_ssm_attrs", "_ssm_put_data")
    expect_attributes(ssm, "_tags", "_param_arn")
    expect(
        provisioners,
        "_reconcile_tag_map",
        signature="(store: dict, old_props: dict, new_props: dict, prop: str = 'Tags') -> None",
    )

    def update(
        physical_id: str, old: Json, new: Json, stack_name: str, logical_id: str | None = None
    ) -> tuple[str, Json]:
        if {**old, "Tags": None} != {**new, "Tags": None}:
            made: tuple[str, Json] = original(physical_id, old, new, stack_name, logical_id)
            return made
        tags = ssm._tags.setdefault(ssm._param_arn(physical_id), {})
        provisioners._reconcile_tag_map(tags, old, new)
        return physical_id, provisioners._ssm_attrs(physical_id, provisioners._ssm_put_data(physical_id, new))

    original = graft(
        provisioners,
        "_ssm_update",
        update,
        signature="(physical_id, old_props, new_props, stack_name, logical_id=None)",
        shows='data["Overwrite"] = True',
    )
    provisioners._RESOURCE_HANDLERS[KIND]["update"] = update
