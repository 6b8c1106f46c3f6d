"""A nested stack is a stack: created, updated, rolled back and deleted by the rules of every other one.

AWS: AWS::CloudFormation::Stack creates and updates a stack of its own (CloudFormation user guide, "Embed stacks within
other stacks using nested stacks"): its Rules and the constraints of its parameters are checked, its dynamic references
resolved, its DeletionPolicy obeyed, and what it made is removed where it fails. Where it does, the parent says
`Embedded stack <arn> was not successfully created: The following resource(s) failed to create: [...]`.
MiniStack: has a second, shorter loop for it. That checks no rule and no resource type, leaves `{{resolve:...}}` as it
is, forgets the attributes of what an update does not change, leaves what a failed one made, deletes regardless of
DeletionPolicy and calls a delete that failed a success.
Mended by running MiniStack's own loop for stacks on it. The parent's reason ends with what failed in it, for which one
has to look at the nested stack's events on AWS.
"""

import asyncio
import copy
from collections.abc import Coroutine
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid, now_iso
from ministack.services import cloudformation
from ministack.services.cloudformation import engine, helpers, provisioners, stacks

from tidegate_local.seam import expect, expect_attributes, graft

Record = dict[str, Any]
KIND = "AWS::CloudFormation::Stack"
DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
_KEPT_FOR_ROLLBACK = (
    "_resources", "_template", "_template_body", "_resolved_params", "_conditions", "Parameters", "Tags", "Outputs",
)  # fmt: skip


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(provisioners, "_RESOURCE_HANDLERS", "_cr_stack_id", "_tag_map", "_NAME_SEED")
    expect_attributes(provisioners, "_RETAIN_REPLACED", "_DEFERRED_PREDECESSOR_DELETES")
    expect_attributes(cloudformation, "_stacks", "_stack_events")
    expect_attributes(stacks, "_add_event")
    expect(provisioners, "_check_nested_stack_capabilities", signature="(parent_stack_name, template)")
    expect(provisioners, "_inherited_capabilities", signature="(parent_stack_name)")
    expect(provisioners, "_nested_stack_lookup_name", signature="(physical_id_or_arn)")
    expect(helpers, "_resolve_template", signature="(params)")
    expect(engine, "_apply_transforms", signature=_TRANSFORM)
    expect(engine, "_resolve_parameters", signature=_RESOLVE)
    expect(engine, "validate_template_support", signature=_VALIDATE)
    expect(stacks, "_deploy_stack_async", signature=_DEPLOY)
    expect(
        stacks,
        "_delete_stack_async",
        signature="(stack_name: str, stack_id: str, retain_resources=(), force=False)",
    )
    graft(
        provisioners,
        "_cfn_nested_stack_deploy",
        _deploy,
        signature="(logical_id, props, parent_stack_name, *, previous_physical_id=None, previous_props=None)",
        shows='raw_props = res_def.get("Properties", {})',
    )
    graft(provisioners, "_cfn_nested_stack_delete", _delete, signature="(physical_id, props)")
    provisioners._RESOURCE_HANDLERS[KIND]["delete"] = _delete


_TRANSFORM = "(template: dict, provided_params=None, previous_params=None) -> dict"
_RESOLVE = "(template: dict, provided_params: list[dict], previous_params: dict | None = None) -> dict"
_VALIDATE = "(template: dict, conditions: dict, params: dict | None = None) -> None"
_DEPLOY = (
    "(stack_name: str, stack_id: str, template: dict, param_values: dict, disable_rollback: bool, tags: list, "
    "is_update: bool = False, previous_stack: dict | None = None, retain_except_on_create: bool = False, "
    "imports: dict | None = None)"
)


def _deploy(
    logical_id: str,
    props: Record,
    parent_name: str,
    *,
    previous_physical_id: str | None = None,
    previous_props: Record | None = None,  # noqa: ARG001 -- the shape of what it replaces
) -> tuple[str, Record]:
    """Create or update one; returns its ARN and its outputs as `Outputs.<name>`. Raises `ValueError`."""
    body, template = _template(props)
    provisioners._check_nested_stack_capabilities(parent_name, template)
    given = _parameters(props)
    template = engine._apply_transforms(template, given)
    values = engine._resolve_parameters(template, given)
    # Looked up late: the conditions are mended too.
    conditions = engine._evaluate_conditions(template, values)
    engine.validate_template_support(template, conditions, params=values)
    tags = [
        {"Key": key, "Value": value}
        for key, value in provisioners._tag_map(props.get("Tags")).items()
        if not key.startswith("aws:")
    ]
    own = {"_template": template, "_resolved_params": values, "Tags": tags}
    before = cloudformation._stacks.get(previous_physical_id or "")
    if before is not None and all(before.get(name) == value for name, value in own.items()):
        return str(before["StackId"]), _outputs(before)
    previous = (
        None if before is None else {name: copy.deepcopy(before.get(name)) for name in _KEPT_FOR_ROLLBACK}
    )
    record = before if before is not None else _new(logical_id, parent_name)
    parent = cloudformation._stacks.get(parent_name) or {}
    record.update(
        StackStatus="UPDATE_IN_PROGRESS" if previous else "CREATE_IN_PROGRESS",
        StackStatusReason="",
        LastUpdatedTime=now_iso(),
        Description=template.get("Description", ""),
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value["Value"], "NoEcho": value["NoEcho"]}
            for name, value in values.items()
        ],
        Capabilities=provisioners._inherited_capabilities(parent_name),
        DisableRollback=bool(parent.get("DisableRollback")),
        _template_body=body,
        _conditions=conditions,
        **own,
    )
    name, arn = str(record["StackName"]), str(record["StackId"])
    stacks._add_event(arn, name, name, KIND, record["StackStatus"], physical_id=arn)
    said = len(cloudformation._stack_events[arn])
    _run(
        stacks._deploy_stack_async(
            name, arn, template, values, record["DisableRollback"], tags,
            is_update=previous is not None, previous_stack=previous,
        )
    )  # fmt: skip
    if record["StackStatus"] in DONE:
        return arn, _outputs(record)
    if previous is None and record["StackStatus"] == "ROLLBACK_COMPLETE":
        # It goes with its parent's rollback.
        record["StackStatus"] = "DELETE_COMPLETE"
        stacks._add_event(arn, name, name, KIND, "DELETE_COMPLETE", physical_id=arn)
    raise ValueError(_reason(record, "updated" if previous else "created", said))


def _new(logical_id: str, parent_name: str) -> Record:
    name = f"{parent_name}-{logical_id}-{new_uuid().replace('-', '')[:12].upper()}"
    arn = f"arn:aws:cloudformation:{get_region()}:{get_account_id()}:stack/{name}/{new_uuid()}"
    root = (cloudformation._stacks.get(parent_name) or {}).get("RootId") or provisioners._cr_stack_id(
        parent_name
    )
    record: Record = {
        "StackName": name,
        "StackId": arn,
        "CreationTime": now_iso(),
        "Outputs": [],
        "_resources": {},
        "_parent_stack_name": parent_name,
        "RootId": root,
        "ParentId": provisioners._cr_stack_id(parent_name),
    }
    cloudformation._stacks[name] = record
    cloudformation._stack_events[arn] = []
    return record


def _template(props: Record) -> tuple[str, Record]:
    url = props.get("TemplateURL")
    if not url:
        raise ValueError("AWS::CloudFormation::Stack needs a TemplateURL")
    body, refusal = helpers._resolve_template({"TemplateURL": [url]})
    if refusal is not None or not body:
        raise ValueError(f"TemplateURL {url} is no template that can be read")
    return body, engine._parse_template(body)


def _parameters(props: Record) -> list[Record]:
    given = props.get("Parameters") or {}
    if any(isinstance(value, list | dict) for value in given.values()):
        # AWS's words, e.g. for a `Ref` to a CommaDelimitedList.
        raise ValueError(
            "Value of property Parameters must be an object with String (or simple type) properties"
        )
    return [{"Key": name, "Value": _text(value)} for name, value in given.items()]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as JSON has it, and so the API
    return "" if value is None else str(value)


def _outputs(record: Record) -> Record:
    return {f"Outputs.{each['OutputKey']}": each["OutputValue"] for each in record["Outputs"]}


def _reason(record: Record, verb: str, said: int) -> str:
    """AWS's sentence, and what failed, from the events after the first `said`."""
    failures = [
        event
        for event in cloudformation._stack_events[record["StackId"]][said:]
        if event["ResourceStatus"] in ("CREATE_FAILED", "UPDATE_FAILED") and event["ResourceStatusReason"]
    ]
    doing = "create" if verb == "created" else "update"
    names = ", ".join(dict.fromkeys(event["LogicalResourceId"] for event in failures))
    told = " ".join(f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}" for event in failures)
    arn = record["StackId"]
    failed = (
        f"The following resource(s) failed to {doing}: [{names}]." if names else record["StackStatusReason"]
    )
    return f"Embedded stack {arn} was not successfully {verb}: {failed} {told}".rstrip()


def _delete(physical_id: str, props: Record) -> None:  # noqa: ARG001 -- the shape of what it replaces
    name = provisioners._nested_stack_lookup_name(physical_id)
    record = cloudformation._stacks.get(name)
    if record is None or record["StackStatus"] == "DELETE_COMPLETE":
        return
    _run(stacks._delete_stack_async(name, record["StackId"]))
    if record["StackStatus"] != "DELETE_COMPLETE":
        raise ValueError(
            f"Embedded stack {record['StackId']} was not successfully deleted: {_undeleted(record)}"
        )


def _undeleted(record: Record) -> str:
    kept = [
        f"{logical_id}: {resource.get('ResourceStatusReason', '')}"
        for logical_id, resource in record["_resources"].items()
        if resource.get("ResourceStatus") == "DELETE_FAILED"
    ]
    return f"{record.get('StackStatusReason', '')} {' '.join(kept)}".strip()


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run a stack's own loop to its end, on the thread that MiniStack keeps for this resource.

    What the parent's loop arranges for the update of one resource of its own must not reach into it.
    """
    tokens = [
        (variable, variable.set(value))
        for variable, value in (
            (provisioners._RETAIN_REPLACED, False),
            (provisioners._DEFERRED_PREDECESSOR_DELETES, None),
            (provisioners._NAME_SEED, ""),
        )
    ]
    try:
        asyncio.run(work)
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)
