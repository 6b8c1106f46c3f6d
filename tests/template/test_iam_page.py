"""docs/iam.md says of every role what it may do and why, and says it of this template."""

from __future__ import annotations

from tests.template.iam_page import grants, page
from tests.template.loading import ROOT, TEMPLATE, Stack
from tests.template.policies import permissions, roles


def test_the_page_is_made_from_this_template() -> None:
    assert (ROOT / "docs/iam.md").read_text() == page(), "python -m tests.template.iam_page > docs/iam.md"


def test_every_action_says_why(stack: Stack) -> None:
    said = {
        (f"{role}Role", action)
        for role, found in grants(TEMPLATE.read_text())
        for grant in found
        for action, _ in grant.actions
    }
    granted = {(role, entry.action) for role in roles(stack) for entry in permissions(stack, role)}
    assert granted == said


def test_every_statement_says_on_what() -> None:
    for role, found in grants(TEMPLATE.read_text()):
        for grant in found:
            assert grant.resources, (role, grant)
