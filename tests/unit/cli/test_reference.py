"""docs/cli.md says what the commands say."""

from __future__ import annotations

from pathlib import Path

from tidegate.domain.outcome import Outcome
from tidegate_cli.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_the_commands_own_account() -> None:
    assert PAGE.read_text() == reference(), "write it again: python -m tidegate_cli.reference > docs/cli.md"


def test_the_page_has_every_outcomes_exit_code() -> None:
    table = PAGE.read_text().split("**Exit codes**")[1].split("## ")[0]
    for outcome in Outcome:
        assert any(
            row.startswith(f"| {outcome.exit_code} |") and outcome.value in row for row in table.splitlines()
        )
