"""The suite of the five systems runs where it is asked for, `--systems`, and ends with a table."""

from __future__ import annotations

from typing import Any

import pytest

from tests.systems.e2e.rows import PROPERTY, table


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """An hour is too long for every run of all tests."""
    return None if config.getoption("--systems") else True


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if getattr(report, "when", "") == "call"
    ]
    rows = [
        (name, cells)
        for report in reports
        for key, (name, cells) in getattr(report, "user_properties", [])
        if key == PROPERTY
    ]
    if rows:
        terminalreporter.section("the systems")
        for line in table(rows):
            terminalreporter.write_line(line)
