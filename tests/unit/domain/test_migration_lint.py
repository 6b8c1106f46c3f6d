"""A linter's findings come from a label that anybody may have written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.migration_lint import LEFT_OUT, LINT, LINTER, Finding, lint_of, linter_of

FIRST = Finding("1_a.sql", 3, "ban-drop-table", "Warning", "Dropping a table may break existing clients.")
SECOND = Finding("2_b.sql", 1, "syntax-error", "Error", "expected command")


def label(findings: Any, left_out: Any = None) -> dict[str, str]:
    return {LINT: json.dumps({"findings": findings, "left_out": {} if left_out is None else left_out})}


def test_findings_are_those_of_the_label_by_file_and_line() -> None:
    later = Finding("1_a.sql", 9, "x", "Warning", "y")
    assert lint_of(label([one.to_json() for one in (SECOND, later, FIRST)])) == (FIRST, later, SECOND)
    assert Finding.from_json(FIRST.to_json()) == FIRST


def test_nothing_found_is_not_nothing_known() -> None:
    assert lint_of(label([])) == ()
    assert lint_of({}) is None


def test_what_was_left_out_is_told_with_its_file() -> None:
    found = lint_of(label([FIRST.to_json()], {"1_a.sql": 1, "0_z.sql": 12}))
    assert found is not None
    assert [(one.file, one.line, one.rule) for one in found] == [
        ("0_z.sql", 0, LEFT_OUT),
        ("1_a.sql", 3, "ban-drop-table"),
        ("1_a.sql", 0, LEFT_OUT),
    ]
    assert "12 more findings were" in found[0].message
    assert "1 more finding was" in found[2].message


@pytest.mark.parametrize(
    "broken",
    [
        {LINT: ""},
        {LINT: "no json"},
        {LINT: "[]"},
        {LINT: "null"},
        {LINT: "[" * 100_000},
        {LINT: '{"findings": []}'},
        label(None),
        label({"a": 1}),
        label(["text"]),
        label([{"file": "1.sql"}]),
        label([{**FIRST.to_json(), "line": "3"}]),
        label([{**FIRST.to_json(), "line": True}]),
        label([{**FIRST.to_json(), "message": None}]),
        label([], ["1.sql"]),
        label([], {"1.sql": "many"}),
    ],
)
def test_a_broken_label_is_none(broken: dict[str, str]) -> None:
    assert lint_of(broken) is None


@given(
    st.dictionaries(st.just(LINT), st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
)
def test_no_label_is_too_strange(labels: dict[str, str]) -> None:
    assert lint_of(labels) is None


def test_a_label_cannot_be_used_to_fill_a_page() -> None:
    found = lint_of(label([{**FIRST.to_json(), "message": "x" * 10_000, "rule": "y" * 10_000}] * 5000))
    assert found is not None
    assert len(found) == 1000
    assert len(found[0].message) + len(found[0].rule) == 500


@pytest.mark.parametrize(
    ("labels", "linter"),
    [
        ({LINTER: "squawk 2.70.0"}, "squawk 2.70.0"),
        ({LINTER: "none: there is no python3"}, "none: there is no python3"),
        ({LINTER: " "}, None),
        ({}, None),
    ],
)
def test_who_looked(labels: dict[str, str], linter: str | None) -> None:
    assert linter_of(labels) == linter
