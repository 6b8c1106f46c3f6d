"""Functions that are invoked asynchronously, e.g. by a rule: retries, then the on-failure destination.

AWS: a function error is retried `MaximumRetryAttempts` times (default 2), one and then two minutes later;
then the invocation record goes to the on-failure destination, or the event itself with the attributes
RequestID, ErrorCode and ErrorMessage to the function's dead-letter queue (Lambda developer guide, "How
Lambda handles errors and retries with asynchronous invocation" and "Capturing records of Lambda
asynchronous invocations"). EventBridge invokes functions that way.
MiniStack: a rule's function runs once; records lack most fields; EventBridge is no destination; settings
made for $LATEST, as SAM makes them, are not found without that qualifier.
Mended with waits of 0.5 and 1 second, so that a test can wait for the end.
"""

import contextvars
import json
import threading
from datetime import UTC, datetime
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid, request_scope
from ministack.services import eventbridge, lambda_svc, sns, sqs

from tidegate_local import events
from tidegate_local.seam import expect, graft

WAITS = (0.5, 1.0)

Json = Any


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    graft(
        lambda_svc,
        "invoke_async_with_retry",
        invoke_later,
        signature="(func: dict, event: dict) -> None",
        shows='"MaximumRetryAttempts"',
    )
    graft(
        eventbridge,
        "_dispatch_to_lambda",
        _from_rule,
        signature="(arn, payload)",
        shows="target=lambda_svc._execute_function_with_config_scope",
    )
    graft(
        lambda_svc,
        "_event_invoke_config",
        lambda function, qualifier: _settings(function, qualifier) or None,
        signature="(func: dict, qualifier: str | None) -> dict | None",
    )
    expect(lambda_svc, "_execute_function_with_config_scope", signature="(func: dict, event: dict) -> dict")
    expect(sqs, "_act_send_message", signature="(data: dict, qurl: str) -> dict")
    expect(sqs, "_queue_by_arn", signature="(arn: str) -> dict | None")


def invoke_later(function: dict[str, Any], event: Json) -> None:
    """Invoke in the background; returns at once."""
    context = contextvars.copy_context()
    threading.Thread(
        target=context.run, args=(_run, function, event), name="tidegate-async", daemon=True
    ).start()


def send_to_queue(arn: str, body: Json, attributes: dict[str, str]) -> bool:
    """Put a message with string attributes into the queue; False if there is none."""
    if sqs._queue_by_arn(arn) is None:
        return False
    name = arn.rsplit(":", 1)[-1]  # MiniStack takes the name of a queue in the place of its URL
    typed = {
        name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
    }
    message = {"QueueUrl": name, "MessageBody": json.dumps(body), "MessageAttributes": typed}
    sqs._act_send_message(message, name)
    return True


def _from_rule(arn: str, payload: str) -> None:
    record, config, name = lambda_svc._get_func_record_for_ref(arn)
    if record is None or config is None:
        raise LookupError(f"function {name} does not exist")
    invoke_later(lambda_svc._execution_record_for_config(record, config), json.loads(payload))


def _run(function: dict[str, Any], event: Json) -> None:
    config = function.get("config") or function
    _, _, _, region, account, *_ = config["FunctionArn"].split(":")
    settings = _settings(function)
    with request_scope(account, region):
        request_id, attempts = new_uuid(), int(settings.get("MaximumRetryAttempts", len(WAITS))) + 1
        for attempt in range(attempts):
            if attempt:
                threading.Event().wait(WAITS[attempt - 1])
            result = lambda_svc._execute_function_with_config_scope(function, event)
            if not result.get("error"):
                _report(settings, "OnSuccess", _record(config, request_id, event, result, attempt + 1))
                return
        _report(settings, "OnFailure", _record(config, request_id, event, result, attempts))
        _to_dead_letter_queue(config, request_id, event, result)


def _settings(function: dict[str, Any], qualifier: str | None = None) -> dict[str, Any]:
    by_qualifier = function.get("event_invoke_configs") or {}
    # No qualifier and $LATEST are one to AWS (SAM writes $LATEST), two to MiniStack.
    names = ("", "$LATEST") if qualifier in (None, "", "$LATEST") else (qualifier,)
    found: dict[str, Any] = next((by_qualifier[name] for name in names if by_qualifier.get(name)), {})
    return found


def _record(config: Json, request_id: str, event: Json, result: Json, invocations: int) -> dict[str, Any]:
    failed = bool(result.get("error"))
    context = {"statusCode": 200, "executedVersion": config.get("Version", "$LATEST")}
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{config['FunctionArn'].removesuffix(':$LATEST')}:$LATEST",
            "condition": "RetriesExhausted" if failed else "Success",
            "approximateInvokeCount": invocations,
        },
        "requestPayload": event,
        "responseContext": {**context, "functionError": "Unhandled"} if failed else context,
        "responsePayload": result.get("body"),
    }


def _report(settings: Json, which: str, record: dict[str, Any]) -> None:
    destination = ((settings.get("DestinationConfig") or {}).get(which) or {}).get("Destination", "")
    service = destination.split(":")[2] if destination else ""
    if service == "sqs":
        send_to_queue(destination, record, {})
    elif service == "sns":
        sns.publish_internal(destination, json.dumps(record))
    elif service == "lambda":
        _from_rule(destination, json.dumps(record))
    elif service == "events":
        outcome = "Success" if which == "OnSuccess" else "Failure"
        events.deliver(
            events.Event(
                source="lambda",
                detail_type=f"Lambda Function Invocation Result - {outcome}",
                detail=record,
                resources=[destination, record["requestContext"]["functionArn"]],
            ),
            account=get_account_id(),
            region=get_region(),
            bus=destination.rsplit("/", 1)[-1],
        )


def _to_dead_letter_queue(config: Json, request_id: str, event: Json, result: Json) -> None:
    target = (config.get("DeadLetterConfig") or {}).get("TargetArn", "")
    message = str((result.get("body") or {}).get("errorMessage", ""))
    if ":sqs:" in target:
        send_to_queue(
            target, event, {"RequestID": request_id, "ErrorCode": "200", "ErrorMessage": message[:1024]}
        )
    elif ":sns:" in target:
        sns.publish_internal(target, json.dumps(event))
