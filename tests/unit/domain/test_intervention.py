"""What people did, as it is kept and told; who may be one person with whom."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.intervention import APPROVED, REJECTED, Abort, Approval, same_person
from tidegate.domain.lock import Rank

AT = "2026-03-02T09:00:00.000Z"
USER = "arn:aws:iam::123456789012:user/ada"
FOLDED = "arn:aws:iam::123456789012:user/teams/web/ada"
ROLE = "arn:aws:sts::123456789012:assumed-role/Developer/ada@example.com"
OTHER_ROLE = "arn:aws:sts::123456789012:assumed-role/Developer/grace@example.com"
ROOT = "arn:aws:iam::123456789012:root"
ASKED = Approval("d1", "sha256:plan", AT, "ada", other=True, rank=Rank("01A", True))


@pytest.mark.parametrize(
    "one", [USER, FOLDED, ROLE, "ada", "ada@example.com", "github ada", "GitHub Ada", " ADA "]
)
@pytest.mark.parametrize("other", [USER, ROLE, "ada", "Ada@Example.com", "github ada"])
def test_one_person_under_several_names(one: str, other: str) -> None:
    assert same_person(one, other)
    assert same_person(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (USER, "arn:aws:iam::123456789012:user/grace"),
        (USER, "arn:aws:iam::123456789012:user/ada/grace"),
        # The role is one for many people.
        (ROLE, OTHER_ROLE),
        (ROLE, "grace@example.com"),
        # The domain is one for many people as well.
        ("ada@example.com", "grace@example.com"),
        ("github ada", "github grace"),
        ("github ada", "github"),
        (USER, ROOT),
        ("ada", "adam"),
        ("", "ada"),
    ],
)
def test_several_people(one: str, other: str) -> None:
    assert not same_person(one, other)
    assert not same_person(other, one)


def test_the_owner_of_an_account_is_one_person_with_itself() -> None:
    assert same_person(ROOT, ROOT)
    assert same_person(ROOT, "root")


@given(st.text(), st.text())
def test_it_is_the_same_whoever_is_named_first(one: str, other: str) -> None:
    assert same_person(one, other) == same_person(other, one)
    assert same_person(one, one) == bool(one.strip())


def test_an_abort_is_told_with_its_reason_where_there_is_one() -> None:
    assert Abort("ada", "wrong commit", AT).told == "aborted by ada: wrong commit"
    assert Abort("ada", "", AT).told == "aborted by ada"


@pytest.mark.parametrize(
    ("decision", "reason", "told"),
    [
        (APPROVED, "looks good", "approved by grace: looks good"),
        (APPROVED, "", "approved by grace"),
        (REJECTED, "on Monday", "rejected by grace: on Monday"),
        (None, "", "undecided by grace"),
    ],
)
def test_a_decision_is_told_with_who_and_why(decision: str | None, reason: str, told: str) -> None:
    assert replace(ASKED, decision=decision, by="grace", reason=reason).told == told


@pytest.mark.parametrize(
    "approval",
    [
        ASKED,
        Approval("d1", "p", AT, ""),
        replace(ASKED, decision=REJECTED, by="g", reason="r", decided_at=AT),
    ],
)
def test_an_approval_is_read_as_it_was_written(approval: Approval) -> None:
    """As the table has it: without what is null."""
    written = json.loads(json.dumps(approval.to_json()))
    kept = {name: value for name, value in written.items() if value is not None}
    assert Approval.from_json({**kept, "pk": "P", "sk": "S"}) == approval


def test_an_abort_is_read_as_it_was_written() -> None:
    abort = Abort("ada", "why", AT)
    assert Abort.from_json({**abort.to_json(), "kind": "OPEN", "at": AT, "type": "abort"}) == abort
