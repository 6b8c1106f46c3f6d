"""A smoke check, as the function in the VPC is asked for it. Without pydantic: that function reads no manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from tidegate.domain.errors import BadInputError
from tidegate.domain.fields import Fields

# What the manifest takes as an address (manifest/fields.py, HttpUrl).
URL_PATTERN: Final = r"https?://[A-Za-z0-9.:\[\]-]+(/[^\s\x00-\x1f\x7f]*)?"
LONGEST_URL: Final = 2048
LONGEST_TEXT: Final = 1024
LONGEST_LATENCY: Final = 60
# A Lambda invocation ends after 900 s; the manifest takes up to that.
LONGEST_WITHIN: Final = 900
_LONGEST_SHOWN: Final = 200
# What it is about is not needed to ask, but every function's log can be searched by it.
_LOGGED: Final = frozenset({"system", "environment", "deployment"})
_KNOWN: Final = frozenset({"service", "url", "expect", "body", "latency", "within"})


@dataclass(frozen=True, slots=True)
class SmokeCheck:
    """`expect` is a status, `body` a text that the answer must contain, `latency` the seconds one answer may take,
    `within` those that may pass until an answer is good."""

    service: str
    url: str
    expect: int
    within: float
    body: str | None = None
    latency: float | None = None

    @property
    def shown(self) -> str:
        """The address for people: without its query, in which a token may be."""
        parts = urlsplit(self.url)
        address = f"{parts.scheme}://{parts.netloc}{parts.path}"
        return address if len(address) <= _LONGEST_SHOWN else f"{address[: _LONGEST_SHOWN - 1]}…"

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> SmokeCheck:
        """`{"service", "url", "expect", "body"?, "latency"?, "within"}`. Raises BadInputError naming the field."""
        fields = Fields(payload, set(_KNOWN | _LOGGED))
        return cls(
            service=fields.text("service"),
            url=_url(fields),
            expect=_status(fields),
            within=_seconds(fields, "within", LONGEST_WITHIN),
            body=fields.text("body", LONGEST_TEXT) if fields.has("body") else None,
            latency=_seconds(fields, "latency", LONGEST_LATENCY) if fields.has("latency") else None,
        )


def _url(fields: Fields) -> str:
    # Its text is not shown: a token may be in it.
    url = fields.text("url", LONGEST_URL)
    if not is_address(url):
        raise BadInputError(
            "url is not an http or https address",
            field="url",
            hint="write it whole, for example https://api.example.com/health",
        )
    return url


def is_address(url: str) -> bool:
    """Whether a text is an address that can be asked: beyond the pattern, with a host and a port that can be."""
    if re.fullmatch(URL_PATTERN, url) is None:
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _status(fields: Fields) -> int:
    value = fields.raw("expect")
    if not isinstance(value, int) or not 100 <= value <= 599:
        raise BadInputError(
            "expect is not an HTTP status", field="expect", hint="a whole number from 100 to 599"
        )
    return value


def _seconds(fields: Fields, name: str, longest: int) -> float:
    value: Any = fields.raw(name)
    # A NaN is neither below nor above anything.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value <= longest:
        raise BadInputError(
            f"{name} is not a number of seconds", field=name, hint=f"a number from 1 to {longest}"
        )
    return value
