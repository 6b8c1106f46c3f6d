"""The payload of a smoke check: what is taken, and which field is named where it is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.errors import BadInputError
from tidegate.domain.manifest.parts import Smoke
from tidegate.domain.smoke import SmokeCheck

PAYLOAD: dict[str, Any] = {
    "service": "api",
    "url": "https://api.example.com/health",
    "expect": 200,
    "body": None,
    "latency": None,
    "within": 60,
}


def check(**changes: object) -> SmokeCheck:
    return SmokeCheck.from_payload(PAYLOAD | changes)


def refused(payload: Any) -> BadInputError:
    with pytest.raises(BadInputError) as raised:
        SmokeCheck.from_payload(payload)
    return raised.value


def test_a_payload_is_read() -> None:
    assert check(body="ok", latency=2.5) == SmokeCheck(
        "api", "https://api.example.com/health", 200, 60, "ok", 2.5
    )
    bare = {name: value for name, value in PAYLOAD.items() if value is not None}
    assert SmokeCheck.from_payload(bare) == check()


def test_what_it_is_about_may_be_named() -> None:
    about = {"system": "shop", "environment": "production", "deployment": "01JD6QZ5N8W3F4T7X2V9K1M0AB"}
    assert check(**about) == check()


@pytest.mark.parametrize("field", ["service", "url", "expect", "within"])
def test_a_field_that_is_missing_is_named(field: str) -> None:
    for payload in ({k: v for k, v in PAYLOAD.items() if k != field}, PAYLOAD | {field: None}):
        assert refused(payload).field == field


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("service", ["", 7, ["api"], "x" * 1025]),
        (
            "url",
            [
                "",
                7,
                "ftp://example.com/",
                "example.com/health",
                "https://",
                "https:///health",
                "https://example.com/a b",
                "https://example.com/\n",
                "https://user:canary@example.com/",
                "https://example.com:canary/",
                "https://example.com:99999/",
                "https://example.com:0/",
                "https://[canary/",
                "http://:80/",
                "https://example.com/\ud800",
                "https://example.com/" + "x" * 2048,
            ],
        ),
        ("expect", [99, 600, 0, -200, True, "200", 200.0, [200]]),
        ("body", ["", 7, "x" * 1025, "\ud800"]),
        ("latency", [0, 0.5, 61, True, "2", float("nan"), float("inf"), -1]),
        ("within", [0, 0.9, 901, True, "60", float("nan"), float("inf"), -1]),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_would_be_right(field: str, values: list[object]) -> None:
    for value in values:
        error = refused(PAYLOAD | {field: value})
        assert error.field == field
        assert error.hint
        assert "canary" not in error.message


@pytest.mark.parametrize("payload", [None, [], "text", 7])
def test_what_is_no_object_is_refused(payload: object) -> None:
    assert refused(payload).field == "input"


def test_an_unknown_field_is_refused() -> None:
    assert refused(PAYLOAD | {"retries": 3}).field == "retries"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com/health?token=canary", "https://example.com/health"),
        ("http://example.com:8080/a/b#canary", "http://example.com:8080/a/b"),
        ("http://[::1]:8080/?canary", "http://[::1]:8080/"),
        ("https://example.com/" + "x" * 500, "https://example.com/" + "x" * 179 + "…"),
    ],
)
def test_an_address_is_shown_without_its_query(url: str, shown: str) -> None:
    assert check(url=url).shown == shown


urls = st.one_of(
    st.from_regex(r"https?://[A-Za-z0-9.:\[\]-]{1,20}(/[ -~]{0,20})?", fullmatch=True),
    st.sampled_from(
        ["https://example.com/", "http://[::1]/x?y", "http://10.0.0.1:8080/healthz", "http://[", "http://a:b"]
    ),
)
manifest_checks = st.fixed_dictionaries(
    {"url": urls},
    optional={
        "expect": st.integers(99, 600),
        "body": st.text(max_size=1030),
        "latency": st.sampled_from(["1s", "2s", "60s", "1m"]),
        "within": st.sampled_from(["1s", "60s", "15m"]),
    },
)


@given(manifest_checks)
def test_what_the_manifest_takes_can_be_asked(written: dict[str, Any]) -> None:
    """Else a release would be rolled out before anybody hears that its check cannot be made."""
    try:
        smoke = Smoke.model_validate(written)
    except ValueError:
        return
    latency = None if smoke.latency is None else smoke.latency.total_seconds()
    asked = check(
        url=smoke.url,
        expect=smoke.expect,
        body=smoke.body,
        latency=latency,
        within=smoke.within.total_seconds(),
    )
    assert asked.url == smoke.url


@given(
    st.dictionaries(
        st.sampled_from([*PAYLOAD]),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text(), max_size=1)
        ),
    )
)
def test_nothing_else_is_raised(changes: dict[str, Any]) -> None:
    refused: Any = None
    try:
        check(**changes)
    except BadInputError as error:
        refused = error
    assert refused is None or refused.field in PAYLOAD
