"""pydantic belongs to the manifest, and only planning reads that: the other functions start without it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "step", ["lock", "roll_service", "record", "wake", "sweep", "webhook", "control", "smoke"]
)
def test_a_step_that_reads_no_manifest_does_not_import_pydantic(step: str) -> None:
    code = f"import sys, tidegate.steps.{step}; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
