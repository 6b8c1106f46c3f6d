"""Is Tidegate installed, whole, and no wider than it needs to be?"""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError
from tidegate import __version__
from tidegate.adapters.errors import asking, code_of

from tidegate_cli.doctor.findings import Finding, error, ok, skipped, warning
from tidegate_cli.doctor.inspection import Inspection, Installation

# CloudFormation API reference, Stack: StackStatus.
_GOOD = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})
_ROLLED_BACK = frozenset({"UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"})
_MACHINES = (
    "DeployMachineArn",
    "RollbackMachineArn",
    "RollMachineArn",
    "BuildMachineArn",
    "MigrateMachineArn",
    "RotateMachineArn",
)
# The template's default of each parameter that says what Tidegate may touch.
_WIDE = "this-account-and-region"
_NO_STACK = "there is no installation to look at"


def stack(inspection: Inspection) -> Iterator[Finding]:
    name = "installation"
    found = inspection.installation
    if found is None:
        yield error(
            name,
            f"there is no CloudFormation stack {inspection.stack} in {inspection.region}",
            "check --stack, --region and --profile; to install it: docs/install.md",
        )
        return
    said = f"stack {inspection.stack} is in {found.status}"
    why = f": {found.reason}" if found.reason else ""
    if found.status in _GOOD:
        yield ok(name, said)
    elif found.status in _ROLLED_BACK:
        yield warning(
            name,
            f"{said}{why}",
            "the last update failed and was taken back: see the stack's events, deploy again",
        )
    elif found.status.endswith("_IN_PROGRESS"):
        yield warning(name, f"{said}: it is being changed", "look again when that has ended")
    else:
        yield error(name, f"{said}{why}", "see the stack's events; sam deploy mends most of it")


def template(inspection: Inspection) -> Iterator[Finding]:
    """The template has no version of its own; what it must have for this command line is looked at instead."""
    name = "template"
    found = inspection.installation
    if found is None:
        yield skipped(name, _NO_STACK)
        return
    missing = [key for key in ("TableName", *_MACHINES) if key not in found.outputs]
    if missing:
        yield error(
            name,
            f"the stack has no output {', '.join(missing)}: it is older than this command line ({__version__})",
            "deploy the template of this version: sam build && sam deploy",
        )
    else:
        yield ok(name, f"the stack has what this command line ({__version__}) needs")


def machines(inspection: Inspection) -> Iterator[Finding]:
    name = "state machines"
    found = inspection.installation
    if found is None:
        yield skipped(name, _NO_STACK)
        return
    arns = [found.outputs[key] for key in _MACHINES if key in found.outputs]
    gone = [arn.rpartition(":")[2] for arn in arns if not _machine_is_there(inspection, arn)]
    if gone:
        yield error(name, f"{', '.join(gone)} is not there", "somebody deleted it: deploy the template again")
    else:
        yield ok(name, f"{len(arns)} are there")


def table(inspection: Inspection) -> Iterator[Finding]:
    name = "table"
    found = inspection.installation
    if found is None or "TableName" not in found.outputs:
        yield skipped(name, _NO_STACK)
        return
    table_name = found.outputs["TableName"]
    status = _table_status(inspection, table_name)
    if status is None:
        yield error(
            name,
            f"table {table_name} is not there",
            "restore it from its point-in-time recovery: without it nothing is known of any release",
        )
    elif status != "ACTIVE":
        yield warning(name, f"table {table_name} is {status}", "look again in a minute")
    elif table_name != inspection.stack:
        yield error(
            name,
            f"the table is {table_name}, and this command line looks for {inspection.stack}",
            "by convention the table is named like the stack",
        )
    else:
        yield ok(name, f"table {table_name} is ACTIVE")


def reach(inspection: Inspection) -> Iterator[Finding]:
    """Parameters of the template that were left at their widest."""
    name = "reach"
    found = inspection.installation
    if found is None:
        yield skipped(name, _NO_STACK)
        return
    wide = _wide(found)
    if not wide:
        yield ok(name, "every parameter that says what Tidegate may touch names it")
    elif inspection.given.local:
        yield ok(name, f"{', '.join(wide)} reach the whole embedded cloud")
    else:
        yield warning(
            name,
            f"{', '.join(wide)}: left at {_WIDE}, so Tidegate may touch every one of them",
            "name ARN patterns in these parameters at the next deployment: docs/install.md",
        )


def _wide(found: Installation) -> list[str]:
    return sorted(key for key, value in found.parameters.items() if value == _WIDE)


def _machine_is_there(inspection: Inspection, arn: str) -> bool:
    with asking("states:DescribeStateMachine"):
        try:
            answer = inspection.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
        except ClientError as problem:
            if code_of(problem) == "StateMachineDoesNotExist":
                return False
            raise
    return str(answer.get("status", "ACTIVE")) == "ACTIVE"


def _table_status(inspection: Inspection, name: str) -> str | None:
    with asking("dynamodb:DescribeTable"):
        try:
            return str(inspection.client("dynamodb").describe_table(TableName=name)["Table"]["TableStatus"])
        except ClientError as problem:
            if code_of(problem) == "ResourceNotFoundException":
                return None
            raise
