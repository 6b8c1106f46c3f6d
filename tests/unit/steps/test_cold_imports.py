"""pydantic belongs to the manifest, and only planning reads that: the other functions start without it."""

from __future__ import annotations

import subprocess
import sys

import pytest


def _loads(step: str, module: str) -> bool:
    code = f"import sys, tidegate.steps.{step}; sys.exit(3 if {module!r} in sys.modules else 0)"
    status = subprocess.run([sys.executable, "-c", code], check=False).returncode
    assert status in (0, 3)
    return status == 3


@pytest.mark.parametrize(
    "step",
    [
        *("lock", "roll_service", "record", "wake", "sweep", "webhook", "control", "smoke"),
        *("run_migration", "rotate_secret"),
    ],
)
def test_a_step_that_reads_no_manifest_does_not_import_pydantic(step: str) -> None:
    assert not _loads(step, "pydantic")


def test_a_plan_loads_it() -> None:
    """What the others are spared is seen where it is."""
    assert _loads("plan_release", "pydantic")


@pytest.mark.parametrize("step", ["run_migration", "plan_release", "record", "sweep"])
def test_what_takes_sql_apart_is_loaded_only_where_there_is_any(step: str) -> None:
    """Guards the imports inside `_folder` and `_pending` of steps.migration_planning."""
    for module in ("sqlparse", "tidegate.domain.sql_statements"):
        assert not _loads(step, module)
