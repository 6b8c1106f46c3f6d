"""Tag templates."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tidegate.domain.errors import BadInputError
from tidegate.domain.tags import TAG_PATTERN, render_tag, template_fault


@pytest.mark.parametrize(
    "template", ["{commit}", "identity-{commit}", "{commit}-arm64", "latest", "v1.2_3", "_{commit}"]
)
def test_a_template_may_hold_the_commit_and_what_a_tag_may_hold(template: str) -> None:
    assert template_fault(template) is None


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("{branch}", "unknown placeholder {branch}"),
        ("{}", "unknown placeholder {}"),
        ("{commit}-{date}", "unknown placeholder {date}"),
        ("{commit:.7}", "unknown placeholder {commit:.7}"),
        ("{{commit}}", "brace without its partner"),
        ("{commit", "brace without its partner"),
        ("commit}", "brace without its partner"),
        ("", "valid image tag"),
        ("-{commit}", "valid image tag"),
        (".{commit}", "valid image tag"),
        ("a b", "valid image tag"),
        ("a:{commit}", "valid image tag"),
        ("a/{commit}", "valid image tag"),
        ("{commit}\n", "valid image tag"),
        ("x" * 65 + "{commit}", "valid image tag"),
        ("{commit}{commit}a", "valid image tag"),
    ],
)
def test_a_template_that_cannot_become_a_tag_has_a_fault(template: str, part: str) -> None:
    fault = template_fault(template)
    assert fault is not None
    assert part in fault[0]
    assert fault[1]


@pytest.mark.parametrize("name", ["\tcommit", "\x1b[31m", "x" * 5000])
def test_a_fault_quotes_nothing_that_does_not_fit_a_line(name: str) -> None:
    fault = template_fault(f"{{{name}}}")
    assert fault is not None
    assert fault[0] == "holds an unknown placeholder"


def test_the_commit_takes_its_place() -> None:
    assert render_tag("identity-{commit}", commit="4f2a9c1") == "identity-4f2a9c1"
    assert render_tag("{commit}", commit="0123456") == "0123456"


def test_a_tag_without_a_placeholder_needs_no_commit() -> None:
    assert render_tag("stable", commit=None) == "stable"


@pytest.mark.parametrize("commit", [None, ""])
def test_a_missing_commit_is_refused(commit: str | None) -> None:
    with pytest.raises(BadInputError, match="needs a commit") as caught:
        render_tag("{commit}", commit=commit)
    assert caught.value.field == "commit"


@pytest.mark.parametrize("commit", ["feature/x", "a b", "-a", "a\n", "x" * 129])
def test_a_commit_that_no_tag_can_hold_is_refused(commit: str) -> None:
    with pytest.raises(BadInputError, match="cannot be made from this commit"):
        render_tag("{commit}", commit=commit)


@settings(deadline=None)
@given(
    st.text(alphabet="{}commit-.a_/", max_size=140),
    st.text(alphabet="0123456789abcdef", min_size=1, max_size=64),
)
def test_every_accepted_template_makes_a_valid_tag_of_every_commit(template: str, commit: str) -> None:
    if template_fault(template) is None:
        assert re.fullmatch(TAG_PATTERN, render_tag(template, commit=commit))
