"""An event that a rule's target cannot take goes to the target's dead-letter queue.

AWS: the queue of `DeadLetterConfig` receives the event with the attributes RULE_ARN, TARGET_ARN,
ERROR_CODE, ERROR_MESSAGE, EXHAUSTED_RETRY_CONDITION and RETRY_ATTEMPTS; for a resource that is gone the
code is NO_RESOURCE and nothing is retried (EventBridge user guide, "Using dead-letter queues to process
undelivered events").
MiniStack: logs a line and drops the event.
Mended by looking for the resource before MiniStack dispatches to it. Permissions of a target are not
looked at, here as there.
"""

import logging
from typing import Any

from ministack.services import eventbridge, lambda_svc, sns, sqs
from ministack.services import stepfunctions as sfn

from tidegate_local.mends.async_invocation import send_to_queue
from tidegate_local.seam import expect, graft

logger = logging.getLogger("tidegate.rules")


def install() -> None:
    """Raises `MendDoesNotFitError`."""

    def invoke(target: dict[str, Any], event: Any, rule: dict[str, Any], view: Any = None) -> None:
        if _exists(target.get("Arn", "")):
            original(target, event, rule, view)
        else:
            _bury(target, view or eventbridge._pattern_event_view(event), rule)

    original = graft(
        eventbridge, "_invoke_target", invoke, signature="(target, event, rule, view=None)", shows="or DLQs"
    )
    expect(
        lambda_svc,
        "_get_func_record_for_ref",
        signature="(function_ref: str) -> tuple[dict | None, dict | None, str]",
    )
    expect(sns, "_topic_by_arn_any_scope", signature="(topic_arn: str) -> dict | None")


def _exists(arn: str) -> bool:
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    if service == "lambda":
        return lambda_svc._get_func_record_for_ref(arn)[0] is not None
    if service == "sqs":
        return sqs._queue_by_arn(arn) is not None
    if service == "sns":
        return sns._topic_by_arn_any_scope(arn) is not None
    if service == "states":
        return sfn._resolve_state_machine_arn(arn) is not None
    return True


def _bury(target: dict[str, Any], view: Any, rule: dict[str, Any]) -> None:
    grave = (target.get("DeadLetterConfig") or {}).get("Arn", "")
    attributes = {
        "RULE_ARN": rule.get("Arn", ""),
        "TARGET_ARN": target.get("Arn", ""),
        "ERROR_CODE": "NO_RESOURCE",
        "ERROR_MESSAGE": "The target does not exist.",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "RETRY_ATTEMPTS": "0",
    }
    if not grave or not send_to_queue(grave, view.event_with_detail(), attributes):
        logger.warning("an event for %s was dropped: the target does not exist", target.get("Arn"))
