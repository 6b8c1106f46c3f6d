"""Secrets that should have been rotated by now, looked for once an hour."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tidegate.domain.rotation import SecretStanding
from tidegate.ledger.rotations import Rotations
from tidegate.steps import sweep
from tidegate.steps.rotations_due import METRIC, look_at_rotations, seen_since

from tests.support.clock import iso
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Shop, manifest

DATABASE, TOKEN = "shop/production/database", "shop/token"
DAY = timedelta(days=1)


def register(shop: Shop, **every: str | None) -> None:
    names = {"database": "shop/{environment}/database", "token": TOKEN}
    secrets = {
        names[key]: {"kind": "token", **({"every": interval} if interval else {})}
        for key, interval in every.items()
    }
    shop.world.registry.put_manifest(SYSTEM, ENVIRONMENT, manifest(secrets=secrets))


def rotated(shop: Shop, secret: str) -> None:
    rotations = Rotations(shop.world.store, shop.world.clock)
    standing = SecretStanding(secret, rotated_at=iso(shop.world.clock.now()))
    shop.world.store.transact([rotations.standing_write(SYSTEM, ENVIRONMENT, standing)])


def counted(shop: Shop) -> list[float]:
    return [entry.value for entry in shop.world.metrics.counted if entry.name == METRIC]


def test_one_that_was_never_rotated_counts_from_when_it_was_first_seen(shop: Shop) -> None:
    """Red where the time of the registration is taken: each `apply` would put it off."""
    register(shop, database="30d")
    assert look_at_rotations(shop.world.ports) == 0
    first = shop.world.clock.now()
    shop.world.clock.advance(days=20)
    register(shop, database="30d", token=None)
    assert look_at_rotations(shop.world.ports) == 0
    assert seen_since(shop.world.ports, SYSTEM, ENVIRONMENT) == {DATABASE: first}
    shop.world.clock.advance(days=14, hours=1)
    assert look_at_rotations(shop.world.ports) == 1
    rotated(shop, DATABASE)
    assert look_at_rotations(shop.world.ports) == 0
    shop.world.clock.advance(days=34, hours=1)
    assert look_at_rotations(shop.world.ports) == 1
    assert counted(shop) == [0, 0, 1, 0, 1], "none is counted as well, or an alarm has nothing to stand on"


def test_one_that_the_manifest_dropped_is_not_late_and_begins_anew_when_it_is_back(shop: Shop) -> None:
    register(shop, database="1d", token="1d")
    look_at_rotations(shop.world.ports)
    shop.world.clock.advance(days=10)
    assert look_at_rotations(shop.world.ports) == 2
    register(shop, token="1d")
    assert look_at_rotations(shop.world.ports) == 1
    register(shop, database="1d", token="1d")
    assert look_at_rotations(shop.world.ports) == 1


@pytest.mark.parametrize(("minute", "looks"), [(0, True), (1, False), (59, False)])
def test_only_the_first_sweep_of_an_hour_looks(shop: Shop, minute: int, looks: bool) -> None:
    register(shop, database="1d")
    shop.world.clock.advance(minutes=minute)
    asked = shop.world.registry.called("systems")
    sweep.run({}, shop.world.ports)
    assert bool(counted(shop)) is looks
    assert (shop.world.registry.called("systems") > asked) is looks


def test_a_person_may_have_it_looked_at_now(shop: Shop) -> None:
    register(shop, database="1d")
    shop.world.clock.advance(minutes=30)
    sweep.run({"rotations": True}, shop.world.ports)
    assert counted(shop) == [0]


def test_a_manifest_that_cannot_be_read_keeps_nobody_else_from_it(shop: Shop) -> None:
    register(shop, database="1d")
    look_at_rotations(shop.world.ports)
    shop.world.registry.texts["broken", ENVIRONMENT] = "{"
    shop.world.clock.advance(days=10)
    assert look_at_rotations(shop.world.ports) == 1


def test_a_registry_that_does_not_answer_fails_the_sweep_at_its_end(shop: Shop) -> None:
    shop.world.registry.fails("systems")
    with pytest.raises(sweep.SweepError, match="rotations: systems was throttled"):
        sweep.run({}, shop.world.ports)
