"""Function `webhook`: what GitHub delivers to the function URL, which anybody can call. The signature decides.

Nothing of a request is read before it is verified but its method, its size and its signature. A verified push to a
branch becomes the event `GitHub Push` on the bus, once; nothing is started from here.

Sources: GitHub Docs, "Validating webhook deliveries" (the signature), "Webhook events and payloads" (headers) and "Best
practices for using webhooks" (a redelivery has the delivery id of the original); AWS Lambda developer guide, "Invoking
Lambda function URLs" (the event and the answer, payload format 2.0).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from tidegate.domain.errors import BadInputError
from tidegate.domain.github import Push, read_push, repository_of
from tidegate.ledger.records import Ledger
from tidegate.ports import Ports

SOURCE = "tidegate.github"
PUSHED = "GitHub Push"
MOST_BYTES = 1024 * 1024
"""Of a body. GitHub sends up to 25 MB, but a push of that size is one of thousands of commits."""

_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,20}")
_DIGITS_OF_A_BYTE_IN_BASE64 = 4 / 3
_HEADERS = {"content-type": "application/json", "cache-control": "no-store"}
_JSON_ONLY = "choose the content type application/json in the settings of the webhook"


class _RefusedError(Exception):
    """`reason` is for our metrics, `say` for whoever sent the request."""

    def __init__(self, status: int, reason: str, say: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.say = say


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """A function URL's event; gives its HTTP answer. Raises what is wrong here, not there: Lambda answers 5xx then,
    GitHub shows the delivery as failed, and redelivering it does what the first one should have done."""
    try:
        return _taken(event, ports)
    except _RefusedError as refused:
        ports.metrics.count("WebhookRefused", reason=refused.reason)
        return _answer(refused.status, error=refused.say)


def _taken(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    if _method(event) != "POST":
        raise _RefusedError(405, "method", "only POST is answered here")
    given = event.get("headers")
    headers: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    raw = _body(event, headers)
    signed_for = _verified(_text(headers, "x-hub-signature-256"), raw, ports)
    payload = _parsed(_text(headers, "content-type"), raw)
    repository = repository_of(payload)
    if repository not in signed_for:
        raise _RefusedError(403, "repository", "the signature is not one of this repository")
    kind = _text(headers, "x-github-event")
    if kind == "ping":
        return _answer(200, did="nothing", why="ping")
    if kind != "push":
        return _answer(202, did="nothing", why="only the event push is of use")
    delivery = _text(headers, "x-github-delivery").lower()
    if not _GUID.fullmatch(delivery):
        raise _RefusedError(400, "delivery", "X-GitHub-Delivery is not a GUID")
    try:
        push = read_push(payload, repository)
    except BadInputError as error:
        raise _RefusedError(400, "payload", error.message) from None
    if isinstance(push, str):
        return _answer(202, did="nothing", why=push)
    return _put_once(push, delivery, raw, ports)


def _method(event: Mapping[str, Any]) -> object:
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, Mapping) else None
    return http.get("method") if isinstance(http, Mapping) else None


def _text(headers: Mapping[str, Any], name: str) -> str:
    """A header; function URLs give their names in lower case. Empty where it is missing."""
    value = headers.get(name)
    return value if isinstance(value, str) else ""


def _body(event: Mapping[str, Any], headers: Mapping[str, Any]) -> bytes:
    """As it was sent, to the byte."""
    length = headers.get("content-length")
    if length is not None:
        if not isinstance(length, str) or not _LENGTH.fullmatch(length):
            raise _RefusedError(400, "encoding", "Content-Length is not a number")
        _check_size(int(length))
    body = event.get("body", "")
    encoded = event.get("isBase64Encoded", False)
    if not isinstance(body, str) or not isinstance(encoded, bool):
        raise _RefusedError(400, "encoding", "the body cannot be read")
    _check_size(len(body) / _DIGITS_OF_A_BYTE_IN_BASE64 - 2 if encoded else len(body))
    try:
        raw = base64.b64decode(body, validate=True) if encoded else body.encode()
    except (binascii.Error, ValueError):
        raise _RefusedError(400, "encoding", "the body cannot be read") from None
    _check_size(len(raw))
    return raw


def _check_size(size: float) -> None:
    if size > MOST_BYTES:
        raise _RefusedError(413, "size", f"a delivery may have {MOST_BYTES} bytes")


def _verified(signature: str, raw: bytes, ports: Ports) -> frozenset[str]:
    """The repositories whose secret made this signature; never says what is wrong with one."""
    match = _SIGNATURE.fullmatch(signature)
    matched: frozenset[str] = frozenset()
    if match is not None:
        matched = _signers(ports.webhook_secrets.get(), raw, match[1])
        if not matched:
            fresh = ports.webhook_secrets.reread()
            matched = matched if fresh is None else _signers(fresh, raw, match[1])
    if not matched:
        raise _RefusedError(401, "signature", "no valid signature")
    return matched


def _signers(secrets: Mapping[str, str], raw: bytes, digest: str) -> frozenset[str]:
    """Every secret is tried, whichever fits: the time it takes tells nothing."""
    return frozenset(
        [
            repository
            for repository, secret in secrets.items()
            if hmac.compare_digest(hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest(), digest)
        ]
    )


def _parsed(content_type: str, raw: bytes) -> Mapping[str, Any]:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise _RefusedError(415, "type", _JSON_ONLY)
    try:
        payload = json.loads(raw.decode(), object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _RefusedError(400, "json", "the body is not JSON") from None
    if not isinstance(payload, dict):
        raise _RefusedError(400, "json", "the body is not a JSON object")
    return payload


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _put_once(push: Push, delivery: str, raw: bytes, ports: Ports) -> Mapping[str, Any]:
    """The signature does not cover the delivery id, so that the body is remembered as well."""
    ledger = Ledger(ports.store, ports.clock)
    marks = (f"webhook-{delivery}", f"webhook-{hashlib.sha256(raw).hexdigest()}")
    known = [ledger.seen(mark) for mark in marks]
    if any(item is not None and item.get("started") for item in known):
        return _answer(200, did="nothing", why="duplicate")
    # Marked before: where that cannot be written nothing is put. A delivery that died in between is done again.
    for mark in marks:
        ledger.mark_seen(mark, {"started": False})
    ports.bus.emit(PUSHED, push.to_json(delivery), source=SOURCE)
    for mark in marks:
        ledger.mark_seen(mark, {"started": True})
    return _answer(202, did="accepted", delivery=delivery)


def _answer(status: int, **content: str) -> Mapping[str, Any]:
    return {"statusCode": status, "headers": dict(_HEADERS), "body": json.dumps(content)}
