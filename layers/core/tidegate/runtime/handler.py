"""What every Lambda function does around its step: ports, log keys, one line on how it went.

from tidegate.runtime.handler import handler
from tidegate.steps.roll_service import run

lambda_handler = handler(run)
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.logging import Logger

from tidegate.adapters.clients import Clients
from tidegate.domain.errors import RefusalError, TidegateError, TransientError
from tidegate.ports import Ports
from tidegate.runtime.composition import compose
from tidegate.runtime.observability import EmfMetrics, logger, subject
from tidegate.runtime.settings import Settings

Event = Mapping[str, Any]
Step = Callable[[Event, Ports], Event]
Handler = Callable[[Event, Any], Event]


def handler(
    step: Step, ports: Ports | None = None, log: Logger | None = None, *, table: bool = True
) -> Handler:
    """A Lambda handler that runs a step.

    The ports are made at the first invocation, since only its context tells the account, and kept. What the step
    raises is logged (class, code, message and places, no values) and passed on: its class name is what a state
    machine's Retry and Catch see. `table=False` is for a function that also runs where there is no table.
    """
    name = step.__module__.rsplit(".", 1)[-1]
    log = log or logger()
    kept: list[Ports] = [] if ports is None else [ports]

    def handle(event: Event, context: Any) -> Event:
        log.clear_state()
        log.append_keys(step=name, request=getattr(context, "aws_request_id", None), **subject(event))
        began = time.perf_counter()
        try:
            if not kept:
                kept.append(_ports(context, table))
            result = step(event, kept[0])
        except Exception as error:
            _log_failure(log, error, _milliseconds(began))
            raise
        log.append_keys(**subject(result))
        log.info("done", **_how(result), duration_ms=_milliseconds(began))
        return result

    return handle


def _ports(context: Any, table: bool) -> Ports:
    settings = Settings.from_environment(table=table)
    arn = getattr(context, "invoked_function_arn", None)
    return compose(settings, EmfMetrics(settings.stack), Clients(settings.region, arn=arn))


def _log_failure(log: Logger, error: Exception, duration_ms: int) -> None:
    """Without the chain of causes, whose texts botocore may have filled with parameters; a class that is not ours is
    logged without its text for the same reason."""
    ours = error if isinstance(error, TidegateError) else TidegateError("failed")
    expected = isinstance(error, RefusalError | TransientError)
    say = log.warning if expected else log.error
    frames = traceback.extract_tb(error.__traceback__)[1:]
    say(
        ours.message,
        error=type(error).__name__,
        code=ours.code,
        field=ours.field,
        hint=ours.hint,
        duration_ms=duration_ms,
        places=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )


def _how(result: Event) -> dict[str, Any]:
    """A step's outcome, what it made of an event, or the HTTP status where it answered a request."""
    if "statusCode" in result:
        return {"status": result["statusCode"]}
    if "did" in result:
        # An event was taken: what came of it, and why nothing did, is told nowhere else.
        return {name: result[name] for name in ("did", "why") if name in result}
    return {"outcome": result.get("outcome")}


def _milliseconds(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)
