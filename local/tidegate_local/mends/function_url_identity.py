"""A function URL with AuthType AWS_IAM tells its function who called, and asks for both permissions.

AWS: puts the caller into the event as `requestContext.authorizer.iam` (Lambda developer guide, "Invoking Lambda
function URLs", request payload format), and lets only those in who may do `lambda:InvokeFunctionUrl` as well as
`lambda:InvokeFunction`, the latter with the key `lambda:InvokedViaFunctionUrl` ("Control access to Lambda function
URLs"; of URLs created since October 2025).
MiniStack: checks the signature and `lambda:InvokeFunctionUrl`, and says nothing of the caller.
Mended by the second check, and by the identity that the emulator finds behind an access key everywhere else.
"""

from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.router import extract_access_key_id
from ministack.services import lambda_svc

from tidegate_local.seam import expect, graft

_ENFORCE = (
    "(service: str, iam_action: str, headers: dict, query_params: dict, request_id: str, resource_arn: str = '*',"
    " service_context: dict | None = None, auth_error_response=None, named_resource: str = '')"
)
_BUILD = (
    "(url_id: str, account_id: str, region: str, method: str, path: str, headers: dict, body: bytes,"
    " query_params: dict, source_ip: str = '127.0.0.1', anonymous: bool = False, trace_root: str = '') -> dict"
)
Json = dict[str, Any]


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    identify = expect(
        iam_evaluator, "resolve_caller_identity", signature="(access_key_id: str) -> dict | None"
    )

    def build(
        url_id: str,
        account_id: str,
        region: str,
        method: str,
        path: str,
        headers: Json,
        body: bytes,
        query_params: Json,
        *,
        anonymous: bool = False,
        **given: Any,
    ) -> Json:
        event: Json = original_event(
            url_id,
            account_id,
            region,
            method,
            path,
            headers,
            body,
            query_params,
            anonymous=anonymous,
            **given,
        )
        if not anonymous:
            caller = identify(extract_access_key_id(headers, query_params))
            if caller is not None:
                event["requestContext"]["authorizer"] = {"iam": _shown(caller)}
        return event

    def enforce(
        service: str, iam_action: str, headers: Json, query_params: Json, *rest: Any, **how: Any
    ) -> Any:
        denied = original_check(service, iam_action, headers, query_params, *rest, **how)
        context = how.get("service_context") or {}
        if (
            denied is None
            and iam_action == "lambda:InvokeFunctionUrl"
            and context.get("lambda:FunctionUrlAuthType") == "AWS_IAM"
            and extract_access_key_id(headers, query_params)
        ):
            how["service_context"] = {"lambda:InvokedViaFunctionUrl": "true"}
            return original_check(service, "lambda:InvokeFunction", headers, query_params, *rest, **how)
        return denied

    original_event = graft(
        lambda_svc, "_build_function_url_event", build, signature=_BUILD, shows='"routeKey": "$default",'
    )
    original_check = graft(app, "_enforce_data_plane", enforce, signature=_ENFORCE)
    expect(
        app,
        "_function_url_auth_target",
        signature="(url_id: str) -> tuple[str, dict, tuple | None]",
        shows='{"lambda:FunctionUrlAuthType": cfg.get("AuthType", "AWS_IAM")}',
    )


def _shown(caller: Json) -> Json:
    return {
        "accessKey": caller["accessKey"],
        "accountId": caller["accountId"],
        "callerId": caller["userId"],
        "cognitoIdentity": None,
        "principalOrgId": caller["principalOrgId"],
        "userArn": caller["userArn"],
        "userId": caller["userId"],
    }
