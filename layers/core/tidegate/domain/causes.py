"""Causes of failed tasks, for people.

The cause of a failed Lambda function is JSON with its message, its type and a stack trace (Lambda developer guide,
"Lambda function errors in Python"), and a state machine may have cut it: only the message is worth a person's time.
"""

from __future__ import annotations

import json
import re

_ERROR_MESSAGE = re.compile(r'\{\s*"errorMessage"\s*:\s*("(?:[^"\\]|\\.)*")')


def readable(text: str) -> str:
    """`OutsideError: {"errorMessage": "no", "stackTrace": […` becomes `OutsideError: no`; other text stays."""
    match = _ERROR_MESSAGE.search(text)
    return text if match is None else text[: match.start()] + str(json.loads(match[1]))
