"""Names that sort by time and can be made twice: a retried step must find the deployment it made before.

A deployment's id is a ULID (26 characters of Crockford's base 32, 48 bits of milliseconds, 80 bits of identity;
https://github.com/ulid/spec). Whoever starts an execution may choose it by naming the execution with a ULID;
otherwise it is derived from the execution's name and start, so every retry arrives at the same one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def is_ulid(text: str) -> bool:
    return _ULID.fullmatch(text) is not None


def ulid(at: datetime, seed: str) -> str:
    """The ULID of a moment and a seed: the same arguments always give the same id."""
    identity = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:10], "big")
    # Whole numbers throughout: a float of seconds, times 1000, falls short of the millisecond now and then.
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    value = (milliseconds << 80) | identity
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -5, -5))


def deployment_id(execution_name: str, started_at: datetime) -> str:
    """The deployment that an execution of `deploy` or `rollback` carries out."""
    return execution_name if is_ulid(execution_name) else ulid(started_at, execution_name)


def request_hash(system: str, environment: str, commit: str | None, digests: Mapping[str, str]) -> str:
    """What makes two `Image Published` events the same request (32 hexadecimal characters)."""
    return _digest([system, environment, commit, sorted(digests.items())])[:32]


def content_hash(value: object) -> str:
    """SHA-256 over canonical JSON, 64 hexadecimal characters."""
    return _digest(value)


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
