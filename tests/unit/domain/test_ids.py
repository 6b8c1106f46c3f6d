"""Ids and hashes: sortable, valid, the same when they are made twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tidegate.domain.ids import content_hash, deployment_id, is_ulid, request_hash, ulid

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT = datetime(2026, 3, 2, 9, 0, 0, 123000, tzinfo=UTC)
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def time_of(identity: str) -> datetime:
    """The moment in a ULID, read as its specification says: 10 characters of 5 bits, milliseconds."""
    milliseconds = 0
    for character in identity[:10]:
        milliseconds = milliseconds * 32 + CROCKFORD.index(character)
    return EPOCH + timedelta(milliseconds=milliseconds)


@given(moments, st.text())
def test_a_ulid_is_valid_and_holds_its_millisecond(at: datetime, seed: str) -> None:
    """`ulid`'s whole numbers: with `timestamp() * 1000` some moments fall one millisecond short."""
    identity = ulid(at, seed)
    assert is_ulid(identity)
    assert len(identity) == 26
    assert set(identity) <= set(CROCKFORD)
    assert time_of(identity) == at.replace(microsecond=at.microsecond // 1000 * 1000)


@given(moments, st.text(), st.text(), st.timedeltas(timedelta(milliseconds=1), timedelta(days=400)))
def test_ulids_sort_by_time_whatever_their_seeds(at: datetime, one: str, other: str, gap: timedelta) -> None:
    earlier = min(at, datetime(9990, 1, 1, tzinfo=UTC))
    assert ulid(earlier, one) < ulid(earlier + gap, other)


def test_a_ulid_follows_from_its_arguments_alone() -> None:
    """A retried step must find the deployment it made before."""
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert ulid(MOMENT, "run-1") == ulid(elsewhere, "run-1") == "01KJPWD6QV9SJX7YZ8NNJKAT0V"
    assert ulid(MOMENT, "run-1") != ulid(MOMENT, "run-2")
    assert ulid(MOMENT, "run-1")[:10] == ulid(MOMENT, "run-2")[:10]


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("01KJPV70VVG21CA29TMNH8D2BS", True),
        ("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", True),
        ("8ZZZZZZZZZZZZZZZZZZZZZZZZZ", False),
        ("01kjpv70vvg21ca29tmnh8d2bs", False),
        ("01KJPV70VVG21CA29TMNH8D2BI", False),
        ("01KJPV70VVG21CA29TMNH8D2BL", False),
        ("01KJPV70VVG21CA29TMNH8D2BO", False),
        ("01KJPV70VVG21CA29TMNH8D2BU", False),
        ("01KJPV70VVG21CA29TMNH8D2B", False),
        ("01KJPV70VVG21CA29TMNH8D2BSS", False),
        ("01KJPV70VVG21CA29TMNH8D2BS\n", False),
        ("", False),
    ],
)
def test_a_ulid_has_26_characters_of_crockfords_base_32(text: str, valid: bool) -> None:
    assert is_ulid(text) is valid


def test_an_execution_named_with_a_ulid_is_its_deployment() -> None:
    chosen = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    assert deployment_id(chosen, MOMENT) == chosen
    derived = deployment_id("arive-production-0123", MOMENT)
    assert derived == deployment_id("arive-production-0123", MOMENT) == ulid(MOMENT, "arive-production-0123")
    assert derived != deployment_id("arive-production-0123", MOMENT + timedelta(days=91)), (
        "Step Functions lets a name be used again after 90 days: that is another deployment"
    )


DIGESTS = {"app": "sha256:1", "web": "sha256:2"}


class TestRequestHash:
    def test_is_the_same_for_copies_whatever_the_order(self) -> None:
        turned = dict(reversed(DIGESTS.items()))
        assert request_hash("arive", "production", "c1", DIGESTS) == request_hash(
            "arive", "production", "c1", turned
        )

    def test_is_short_enough_for_a_name(self) -> None:
        """80 characters for an execution: 30 of the system, 15 of the environment, a dash each, and this."""
        hash_ = request_hash("arive", "production", None, {})
        assert len(hash_) == 32
        assert set(hash_) <= set("0123456789abcdef")

    @pytest.mark.parametrize(
        "other",
        [
            ("identity", "production", "c1", DIGESTS),
            ("arive", "staging", "c1", DIGESTS),
            ("arive", "production", "c2", DIGESTS),
            ("arive", "production", None, DIGESTS),
            ("arive", "production", "c1", {"app": "sha256:1"}),
            ("arive", "production", "c1", {"app": "sha256:2", "web": "sha256:1"}),
        ],
    )
    def test_differs_where_anything_does(self, other: tuple[str, str, str | None, dict[str, str]]) -> None:
        assert request_hash(*other) != request_hash("arive", "production", "c1", DIGESTS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_a_content_hash_ignores_the_order_of_keys(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert content_hash(value) == content_hash(turned)
    assert len(content_hash(value)) == 64


@given(json_values, json_values)
def test_different_content_has_different_hashes(one: object, other: object) -> None:
    assume(one != other)
    assert content_hash(one) != content_hash(other)
