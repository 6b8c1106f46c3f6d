"""What the function in the VPC does with a secret, over a database in memory. What real ones make of it is in
tests/databases."""

from __future__ import annotations

import pytest

from tests.unit.steps.rotations import KINDS, Rotations


@pytest.mark.parametrize("name", KINDS)
def test_a_rotation(name: str) -> None:
    rotations = Rotations.of(name)
    assert rotations.rotate() == "Rotated"
    assert rotations.works()
