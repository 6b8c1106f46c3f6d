"""Nobody can be told: what is a notice only is lost, and an end is told by a retry."""

from __future__ import annotations

import pytest
from tidegate.domain.errors import OutsideError

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Shop, digest


def test_a_notice_that_is_not_taken_holds_nobody_up(shop: Shop) -> None:
    """Guards the `except` in `announce`: for want of "Deployment Queued" a release would fail."""
    first, second = shop.release(2), shop.release(3)
    bus = shop.world.bus
    bus.fails("emit", *[OutsideError("events:PutEvents: AccessDeniedException")] * 2)
    assert shop.acquire(first, "one") == 1
    assert shop.answers["one"]["outcome"] == "Acquired"
    assert shop.acquire(second, "two") == 0
    assert shop.queue == [second["deployment"]]
    assert shop.world.metrics.total("NoticeLost") == 2
    assert not bus.of("Deployment Started")


def test_what_runs_now_is_published_before_anybody_is_told(shop: Shop) -> None:
    """Guards the order in steps.record._succeed: infrastructure as code would go back to the release before."""
    planned = shop.release(2)
    fence = shop.acquire(planned)
    for service in ("api", "worker"):
        shop.roll(planned, service, fence)
        shop.world.containers.complete(f"shop-{service}")
    shop.world.bus.fails("emit", OutsideError("events:PutEvents: AccessDeniedException"))
    with pytest.raises(OutsideError):
        shop.record(planned, "Succeed", fence)
    assert shop.world.registry.images[SYSTEM, ENVIRONMENT, "app"].endswith(digest(2))
