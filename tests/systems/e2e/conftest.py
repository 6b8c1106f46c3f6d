"""The suite of the five systems runs where it is asked for, `--systems`, and ends with a table."""

from __future__ import annotations

import os
from typing import Any

import pytest
from tidegate_local.databases import mariadb

from tests.support.mariadb import REQUIRE
from tests.systems.e2e.rows import PROPERTY, table


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """An hour is too long for every run of all tests."""
    return None if config.getoption("--systems") else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without MariaDB the database of a system on MySQL is a record."""
    if not mariadb.missing():
        return
    need = [item for item in items if _on_mysql(item)]
    if need and os.environ.get(REQUIRE) == "require":
        raise pytest.UsageError(f"{REQUIRE}=require, and {mariadb.missing()}")
    items[:] = [item for item in items if item not in need]
    config.hook.pytest_deselected(items=need)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--systems") and mariadb.missing():
        terminalreporter.write_line(f"systems on MySQL are left out: {mariadb.missing()}", yellow=True)
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


def _on_mysql(item: pytest.Item) -> bool:
    combination = getattr(item, "callspec").params.get("combination")  # noqa: B009 -- of pytest.Function alone
    return combination is not None and combination.on_mysql
