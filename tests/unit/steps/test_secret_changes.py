"""Another current value of a secret starts `deploy` where a service takes it: once for each value and place."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from tidegate.domain.errors import TransientError
from tidegate.domain.request import DeployRequest, parse_deploy
from tidegate.domain.rotation import version_of
from tidegate.steps import wake

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Answer, Shop, manifest
from tests.unit.steps.rotating import ARN, Rotating
from tests.unit.steps.test_restarting import SECRET, take

AT = "2026-03-02T09:05:00Z"


def changed(version: str = "v2", label: str = "AWSCURRENT", **event: Any) -> dict[str, Any]:
    return {
        "detail-type": "Secret Label Updated",
        "source": "aws.secretsmanager",
        "time": AT,
        "resources": [SECRET],
        "detail": {"name": "shop/database", "labelUpdated": label, "versionId": version},
        **event,
    }


def seen(shop: Shop, event: dict[str, Any]) -> Answer:
    return wake.run(event, shop.world.ports)


def test_the_services_that_take_it_start_again(shop: Shop) -> None:
    take(shop, "api")
    assert seen(shop, changed()) == {
        "did": "restarted its consumers",
        "started": [f"{SYSTEM}/{ENVIRONMENT}: started"],
    }
    (started,) = shop.world.executions.started
    assert started.machine == "deploy"
    assert started.payload == {
        "system": SYSTEM,
        "environment": ENVIRONMENT,
        "restart": {"secret": SECRET, "version": "v2", "at": AT},
        "reason": "secret shop/database has another value",
        "actor": "secretsmanager",
        "trigger": "event",
    }
    request = parse_deploy(started.payload)
    assert isinstance(request, DeployRequest)
    assert request.restart is not None


def test_where_nobody_takes_it_nothing_happens(shop: Shop) -> None:
    assert seen(shop, changed())["did"] == "nothing"
    take(shop, "api", f"{SECRET}::AWSPREVIOUS:")
    assert seen(shop, changed())["did"] == "nothing"
    assert shop.world.executions.started == []


def test_the_same_value_starts_it_once_and_another_one_again(shop: Shop) -> None:
    take(shop, "api")
    for _ in range(3):
        seen(shop, changed())
    assert len(shop.world.executions.started) == 1
    seen(shop, changed("v3"))
    assert len(shop.world.executions.started) == 2


def test_every_place_that_takes_it_is_started(shop: Shop) -> None:
    take(shop, "api")
    staging = {"region": "eu-west-1", "cluster": "shop-cluster"}
    shop.world.registry.put_manifest(SYSTEM, "staging", manifest(environments={"staging": staging}))
    shop.world.registry.put_manifest("broken", "production", {"system": 7})
    assert seen(shop, changed())["started"] == [
        f"{SYSTEM}/{ENVIRONMENT}: started",
        f"{SYSTEM}/staging: started",
    ]


def test_a_crash_between_two_places_starts_the_second_with_the_retry(shop: Shop) -> None:
    take(shop, "api")
    staging = {"region": "eu-west-1", "cluster": "shop-cluster"}
    shop.world.registry.put_manifest(SYSTEM, "staging", manifest(environments={"staging": staging}))
    for number in range(3):
        shop.world.store.fails("transact")
        shop.world.executions.loses("start")
        for _ in range(4):
            with suppress(TransientError):
                seen(shop, changed(f"v{number}"))
        runs = [
            run for run in shop.world.executions.started if run.payload["restart"]["version"] == f"v{number}"
        ]
        assert sorted(run.payload["environment"] for run in runs) == [ENVIRONMENT, "staging"]


def test_an_event_without_the_arn_is_known_by_the_name(shop: Shop) -> None:
    take(shop, "api")
    assert seen(shop, changed(resources=[]))["did"] == "restarted its consumers"


@pytest.mark.parametrize(
    "event",
    [
        changed(label="AWSPENDING"),
        changed(label="AWSPREVIOUS"),
        changed(version=""),
        changed(detail=None),
        changed(detail={"labelUpdated": "AWSCURRENT", "versionId": "v2"}, resources=[7, "arn:aws:s3:::x"]),
    ],
)
def test_what_makes_no_value_current_starts_nothing(shop: Shop, event: dict[str, Any]) -> None:
    take(shop, "api")
    assert seen(shop, event)["did"] == "nothing"
    assert shop.world.executions.started == []


class TestOfARotation:
    @pytest.mark.parametrize("part", ["", "retired"])
    def test_its_own_version_restarts_nobody(self, part: str) -> None:
        """Guards `looked_after`: it starts its consumers itself, under the lock, one before the others."""
        shop = Rotating()
        planned, _ = shop.started()
        version = version_of(planned["deployment"], part)
        assert seen(shop, changed(version, resources=[ARN])) == {
            "did": "nothing",
            "why": "a rotation looks after its consumers",
        }
        assert shop.world.executions.started == []

    def test_its_version_that_is_brought_back_later_restarts(self) -> None:
        """Guards `finished_at` in `looked_after`: whoever makes it current again is somebody else."""
        shop = Rotating()
        done = shop.rotate()
        version = version_of(done["document"]["deployment"])
        before = seen(shop, {**changed(version, resources=[ARN]), "time": shop.ledger.now()})
        assert before["did"] == "nothing"
        shop.world.clock.advance(60)
        later = {**changed(version, resources=[ARN]), "time": shop.ledger.now()}
        assert seen(shop, later)["did"] == "restarted its consumers"

    def test_a_version_of_somebody_else_restarts_as_ever(self) -> None:
        """Whatever a rotation is doing: it waits for the lock."""
        shop = Rotating()
        shop.started()
        assert seen(shop, changed("by-hand", resources=[ARN]))["did"] == "restarted its consumers"
        assert [run.payload["restart"]["version"] for run in shop.world.executions.started] == ["by-hand"]

    def test_its_version_is_nobodys_before_it_has_begun(self) -> None:
        shop = Rotating()
        planned = shop.asked()
        version = version_of(planned["deployment"])
        assert seen(shop, changed(version, resources=[ARN]))["did"] == "restarted its consumers"
