"""Functions that are not reached through a state machine: what on-call commands go through, what asks services."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError
from tidegate.adapters.errors import asking, code_of

from tidegate_cli.commanding import control_of
from tidegate_cli.doctor.findings import Finding, error, ok, skipped
from tidegate_cli.doctor.inspection import Inspection

_SIGNED = "AWS_IAM"
_NO_STACK = "there is no installation to look at"
_DEPLOY = "deploy the template of this version: sam build && sam deploy"
_GONE = "ResourceNotFoundException"


def control(inspection: Inspection) -> Iterator[Finding]:
    """Its URL must take signed requests only: whoever reaches it may abort a release."""
    name, function = "control", control_of(inspection.stack)
    if inspection.installation is None:
        yield skipped(name, _NO_STACK)
        return
    kind = _url_auth_type(inspection, function)
    if kind is None:
        yield error(name, f"function {function} has no URL, so nobody can abort, approve or freeze", _DEPLOY)
    elif kind != _SIGNED:
        yield error(
            name,
            f"the URL of function {function} has AuthType {kind}: it refuses what is not signed, and so everybody",
            f"set AuthType {_SIGNED} again: {_DEPLOY}",
        )
    else:
        yield ok(name, f"the URL of function {function} takes signed requests only")


def smoke(inspection: Inspection) -> Iterator[Finding]:
    name, function = "smoke checks", f"{inspection.stack}-smoke"
    if inspection.installation is None:
        yield skipped(name, _NO_STACK)
        return
    if _is_there(inspection, function):
        yield ok(name, f"function {function} is there")
    else:
        yield error(name, f"function {function} is not there, and every smoke check fails", _DEPLOY)


def _url_auth_type(inspection: Inspection, function: str) -> str | None:
    with asking("lambda:GetFunctionUrlConfig"):
        try:
            found = inspection.client("lambda").get_function_url_config(FunctionName=function)
        except ClientError as problem:
            if code_of(problem) == _GONE:
                return None
            raise
    return str(found["AuthType"])


def _is_there(inspection: Inspection, function: str) -> bool:
    with asking("lambda:GetFunctionConfiguration"):
        try:
            inspection.client("lambda").get_function_configuration(FunctionName=function)
        except ClientError as problem:
            if code_of(problem) == _GONE:
                return False
            raise
    return True
