"""Task tokens and the calls that answer them.

AWS: every attempt of a task has a token of its own; SendTaskSuccess, SendTaskFailure and
SendTaskHeartbeat with the token of a task that has ended answer TaskTimedOut ("Provided task does not
exist anymore"), with something that is no token InvalidToken (Step Functions API reference). An output
that is not JSON is refused with InvalidOutput; `cause` may have 32,768 characters, `error` 256, `output`
262,144 bytes.
MiniStack: retries reuse the token, a second answer to a waiting task replaces the first, one that comes
late finds TaskDoesNotExist, limits are not checked, and a heartbeat changes nothing.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import stepfunctions as sfn

from tidegate_local.seam import graft
from tidegate_local.states.outcome import Outcome

LARGEST_OUTPUT = 262_144
LONGEST_CAUSE = 32_768
LONGEST_ERROR = 256
TOKEN_BYTES = 400  # AWS's tokens have several hundred characters; code that stores them should meet that
SIGNATURE_BYTES = 32


class TokenBook:
    """The tokens that are waited for. A signature tells one that has ended from something made up."""

    def __init__(self) -> None:
        self._waiting: dict[str, Outcome] = {}
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(32)

    def issue(self, outcome: Outcome) -> str:
        """A new token; answering it settles `outcome`."""
        body = secrets.token_bytes(TOKEN_BYTES)
        token = base64.b64encode(self._sign(body) + body).decode()
        with self._lock:
            self._waiting[token] = outcome
        return token

    def withdraw(self, token: str) -> None:
        """The attempt is over, however it ended."""
        with self._lock:
            self._waiting.pop(token, None)

    def outcome_of(self, token: str) -> Outcome | None:
        """What the token answers to, if it is waited for."""
        with self._lock:
            return self._waiting.get(token)

    def issued(self, token: str) -> bool:
        """Whether this book wrote the token, waited for or not."""
        try:
            raw = base64.b64decode(token, validate=True)
        except ValueError:
            return False
        return hmac.compare_digest(self._sign(raw[SIGNATURE_BYTES:]), raw[:SIGNATURE_BYTES])

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()


class SendTask:
    """The three calls that answer a token."""

    def __init__(self, book: TokenBook) -> None:
        self._book = book
        # MiniStack keeps the tokens of activities itself; those still go to its own handlers.
        self._of_activity = {
            "success": graft(
                sfn, "_send_task_success", self.success, signature="(data)", shows="TaskDoesNotExist"
            ),
            "failure": graft(sfn, "_send_task_failure", self.failure, signature="(data)"),
            "heartbeat": graft(sfn, "_send_task_heartbeat", self.heartbeat, signature="(data)"),
        }

    def success(self, data: dict[str, Any]) -> Any:
        """SendTaskSuccess."""
        output = data.get("output", "")
        if len(output.encode()) > LARGEST_OUTPUT:
            return _invalid("output", LARGEST_OUTPUT)
        try:
            result = json.loads(output)
        except ValueError:
            return error_response_json("InvalidOutput", "Invalid Output: 'Output is not valid JSON'", 400)
        return self._answer("success", data, lambda outcome: outcome.succeed(result))

    def failure(self, data: dict[str, Any]) -> Any:
        """SendTaskFailure."""
        error, cause = data.get("error") or "", data.get("cause") or ""
        if len(error) > LONGEST_ERROR:
            return _invalid("error", LONGEST_ERROR)
        if len(cause) > LONGEST_CAUSE:
            return _invalid("cause", LONGEST_CAUSE)
        wanted = sfn._ExecutionError(error, cause)
        return self._answer("failure", data, lambda outcome: outcome.fail(wanted))

    def heartbeat(self, data: dict[str, Any]) -> Any:
        """SendTaskHeartbeat."""
        return self._answer("heartbeat", data, lambda outcome: outcome.beat())

    def _answer(self, call: str, data: dict[str, Any], act: Callable[[Outcome], bool]) -> Any:
        token = data.get("taskToken") or ""
        if sfn._task_tokens.get(token):
            return self._of_activity[call](data)
        outcome = self._book.outcome_of(token)
        if outcome is not None and act(outcome):
            return json_response({})
        if self._book.issued(token):
            return error_response_json(
                "TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'", 400
            )
        return error_response_json("InvalidToken", "Invalid Token: 'Invalid token'", 400)


def _invalid(field: str, limit: int) -> Any:
    return error_response_json(
        "ValidationException",
        f"1 validation error detected: Value at '{field}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {limit}",
        400,
    )
