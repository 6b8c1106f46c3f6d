"""A Python function's exception keeps its class name.

AWS: the error of a failed invocation is `{errorMessage, errorType, requestId, stackTrace}` with the
exception's class as `errorType` (Lambda developer guide, "Lambda function errors in Python"), and Step
Functions matches Retry and Catch against it. An exception at import or in a handler that cannot be found
has the type `Runtime.ImportModuleError` or `Runtime.HandlerNotFound`.
MiniStack: its Python worker reports the message only; every error is `Runtime.HandlerError`.
Mended by letting the worker send the payload as well, and by using it where MiniStack builds its own.
"""

import threading
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from tidegate_local.seam import graft, graft_text

REPORTED = '"error": str(e), "trace": traceback.format_exc()}'
REPORTED_IN_FULL = (
    '"error": str(e), "trace": traceback.format_exc(), "error_payload": {'
    '"errorMessage": str(e), "errorType": type(e).__name__, "requestId": context.aws_request_id, '
    '"stackTrace": traceback.format_tb(e.__traceback__)[1:]}}'
)
INVOKE = (
    "(self, event, request_id: str, *, trace_id: str | None = None, depth=None, "
    "durable: dict | None = None, invoked_function_arn: str | None = None) -> dict"
)

_reported = threading.local()


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    graft_text(lambda_runtime, "_PYTHON_WORKER_SCRIPT", REPORTED, REPORTED_IN_FULL)

    def invoke(worker: Any, *args: Any, **kwargs: Any) -> Any:
        response = worker_invoke(worker, *args, **kwargs)
        _reported.payload = response.get("error_payload")
        return response

    def execute(func: dict[str, Any], event: Any, request_id: str) -> Any:
        _reported.payload = None
        result = warm(func, event, request_id)
        payload, _reported.payload = _reported.payload, None
        return {**result, "body": payload} if result.get("error") and payload else result

    worker_invoke = graft(lambda_runtime.Worker, "invoke", invoke, signature=INVOKE)
    warm = graft(
        lambda_svc,
        "_execute_function_warm",
        execute,
        signature="(func: dict, event: dict, request_id: str) -> dict",
        shows='error_type = "Runtime.HandlerError"',
    )
