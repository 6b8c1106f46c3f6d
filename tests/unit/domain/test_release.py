"""Releases: names, identity, and which one is previous."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.errors import BadInputError
from tidegate.domain.release import (
    Release,
    Standing,
    Verdict,
    is_digest,
    parse_release_name,
    previous_release,
    release_hash,
    release_name,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (DIGEST, True),
        (DIGEST.upper(), False),
        (DIGEST[:-1], False),
        (DIGEST + "0", False),
        (DIGEST + "\n", False),
        ("sha512:" + "0" * 64, False),
        ("0" * 64, False),
        ("", False),
    ],
)
def test_a_digest_is_sha256_and_64_hexadecimal_digits(text: str, valid: bool) -> None:
    assert is_digest(text) is valid


@given(st.integers(0, 999_999_999))
def test_a_release_is_found_by_its_name(number: int) -> None:
    assert parse_release_name(release_name(number)) == number


@pytest.mark.parametrize(
    "text", ["", "r", "R1", "1", "r01", "r1 ", "r1\n", "r-1", "r1.0", "r1234567890", "r\u0661"]
)
def test_what_is_no_name_of_a_release_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(BadInputError) as refused:
        parse_release_name(text, field="to")
    assert refused.value.field == "to"
    assert refused.value.hint


class TestIdentity:
    """The hash is the identity across accounts; numbers are one orchestrator's own."""

    def test_leaves_out_number_time_and_system(self) -> None:
        one = Release("arive", 1, {"app": "sha256:1", "web": "sha256:2"}, "c1", "2026-03-02T09:00:00.000Z")
        other = Release("arive", 7, {"web": "sha256:2", "app": "sha256:1"}, "c1", "2027-01-01T00:00:00.000Z")
        assert one.hash == other.hash == release_hash("c1", {"app": "sha256:1", "web": "sha256:2"})
        assert (one.name, other.name) == ("r1", "r7")

    @pytest.mark.parametrize(
        ("commit", "digests"),
        [
            ("c2", {"app": "sha256:1"}),
            (None, {"app": "sha256:1"}),
            ("c1", {"app": "sha256:2"}),
            ("c1", {"web": "sha256:1"}),
            ("c1", {}),
        ],
    )
    def test_changes_with_commit_and_content(self, commit: str | None, digests: dict[str, str]) -> None:
        assert release_hash(commit, digests) != release_hash("c1", {"app": "sha256:1"})


def standing(release: int, minute: int, verdict: Verdict = Verdict.SUCCEEDED) -> Standing:
    return Standing(release, verdict, f"d{release}", f"2026-03-02T09:{minute:02d}:00.000Z")


OK, BACK, FAILED = Verdict.SUCCEEDED, Verdict.ROLLED_BACK, Verdict.FAILED


@pytest.mark.parametrize(
    ("standings", "current", "previous"),
    [
        pytest.param([], 1, None, id="nothing was ever recorded"),
        pytest.param([(1, 1, OK)], 1, None, id="the first release has none before it"),
        pytest.param([(0, 0, OK), (1, 1, OK)], 1, 0, id="before the first one is what ran at adoption"),
        pytest.param([(1, 1, OK), (2, 2, OK)], 2, 1, id="the one before"),
        pytest.param([(1, 1, OK), (2, 2, FAILED), (3, 3, OK)], 3, 1, id="a failed one is skipped"),
        pytest.param([(1, 1, OK), (2, 2, BACK), (3, 3, OK)], 3, 1, id="one that was rolled back is skipped"),
        pytest.param(
            [(1, 1, OK), (2, 2, OK), (3, 3, BACK)], 2, 1, id="after a rollback to r2 it is r1, never r3 again"
        ),
        pytest.param([(1, 1, OK), (2, 2, BACK), (3, 3, BACK)], 1, None, id="rolled back to the first one"),
        pytest.param([(1, 4, OK), (2, 2, OK), (3, 3, OK)], 1, 3, id="an old one again: by time, not number"),
        pytest.param([(1, 1, OK), (2, 2, OK), (3, 3, OK)], 2, 1, id="a newer success is not before"),
        pytest.param([(1, 1, OK), (2, 2, OK)], 9, 2, id="a current one of unknown time: the last success"),
    ],
)
def test_previous_is_the_last_success_before_the_current_one(
    standings: list[tuple[int, int, Verdict]], current: int, previous: int | None
) -> None:
    found = previous_release([standing(*row) for row in standings], current)
    assert (None if found is None else found.release) == previous


@given(
    st.lists(
        st.builds(standing, st.integers(0, 8), st.integers(0, 59), st.sampled_from(Verdict)),
        unique_by=lambda entry: entry.release,
    ),
    st.integers(0, 8),
)
def test_previous_is_never_the_current_one_nor_one_that_did_not_last(
    standings: list[Standing], current: int
) -> None:
    """`previous_release`: the verdict, the limit in time, and that it is the last."""
    found = previous_release(standings, current)
    now = next(((entry.at, entry.release) for entry in standings if entry.release == current), None)
    eligible = [
        entry
        for entry in standings
        if entry.release != current
        and entry.verdict is OK
        and (now is None or (entry.at, entry.release) < now)
    ]
    if found is None:
        assert not eligible
    else:
        assert found in eligible
        assert all((entry.at, entry.release) <= (found.at, found.release) for entry in eligible)


def test_a_standing_is_json() -> None:
    entry = Standing(3, OK, "d3", "2026-03-02T09:00:00.000Z", {"api": "arn:3"})
    assert entry.to_json() == {
        "release": 3,
        "verdict": "Succeeded",
        "deployment": "d3",
        "at": "2026-03-02T09:00:00.000Z",
        "task_definitions": {"api": "arn:3"},
    }
