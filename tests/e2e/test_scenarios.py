"""Each story once, with every permission in place."""

from __future__ import annotations

import pytest

from tests.e2e import (
    build_scenarios,
    gate_scenarios,
    migration_scenarios,
    rare_scenarios,
    rotation_scenarios,
    scale_scenarios,
    scan_scenarios,
    scenarios,
    webhook_scenarios,
)
from tests.e2e.support import SampleCloud

pytestmark = pytest.mark.emulator
assert build_scenarios
assert gate_scenarios
assert migration_scenarios
assert rare_scenarios
assert rotation_scenarios
assert scale_scenarios
assert scan_scenarios
assert webhook_scenarios  # importing them adds their stories to the others


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_the_story_ends_as_told(cloud: SampleCloud, name: str) -> None:
    scenarios.listen(cloud)
    scenarios.run(name, cloud)
