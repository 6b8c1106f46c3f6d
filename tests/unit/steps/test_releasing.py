"""A release is started once for its content, whoever says so and however often."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tidegate.domain.errors import TransientError
from tidegate.domain.fields import ImageRequest
from tidegate.domain.request import Published
from tidegate.steps.releasing import DUPLICATE, execution_name, release

from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM, Shop, digest


def _published(version: int = 2, system: str = SYSTEM) -> Published:
    return Published(system, None, f"c{version}", {"app": ImageRequest(digest=digest(version))}, "ci", None)


def _release(shop: Shop, version: int = 2, event_id: str = "event-1", at: str | None = None) -> str:
    return str(release(shop.world.ports, _published(version), ENVIRONMENT, event_id=event_id, at=at)["did"])


def test_once_for_each_content_and_environment(shop: Shop) -> None:
    assert [_release(shop), _release(shop, event_id="event-2"), _release(shop, 3)] == [
        "started",
        DUPLICATE,
        "started",
    ]
    release(shop.world.ports, _published(), "staging", event_id="event-3")
    assert len(shop.world.executions.started) == 3


def test_one_that_ran_90_days_ago_is_known(shop: Shop) -> None:
    """Step Functions has forgotten the name by then: the mark is what keeps it from starting again."""
    _release(shop)
    shop.world.clock.advance(days=89)
    shop.world.executions.forget(shop.world.executions.started[0].arn)
    assert _release(shop, event_id="event-2") == DUPLICATE
    mark = next(item for (pk, _), item in shop.world.store.items.items() if pk.startswith("SEEN#"))
    assert mark["ttl"] >= (shop.world.clock.now() + timedelta(days=1) - timedelta(minutes=1)).timestamp()


def test_a_step_that_is_retried_gets_its_own_execution(shop: Shop) -> None:
    assert [_release(shop, event_id="build B1"), _release(shop, event_id="build B1")] == [
        "started",
        "found running",
    ]


def test_an_event_that_came_twice_is_a_duplicate_even_under_its_own_id(shop: Shop) -> None:
    at = "2026-03-02T09:00:00Z"
    assert [_release(shop, at=at), _release(shop, at=at)] == ["started", DUPLICATE]


@pytest.mark.parametrize("lost", ["fails", "loses"])
@pytest.mark.parametrize(
    ("fake", "method"), [("store", "get"), ("store", "transact"), ("executions", "start")]
)
def test_a_crash_at_any_call_starts_one(shop: Shop, fake: str, method: str, lost: str) -> None:
    getattr(getattr(shop.world, fake), lost)(method)
    with pytest.raises(TransientError):
        _release(shop)
    _release(shop)
    assert len(shop.world.executions.started) == 1


def test_a_crash_after_the_start_and_before_the_mark(shop: Shop) -> None:
    shop.world.executions.loses("start")
    with pytest.raises(TransientError):
        _release(shop)
    assert _release(shop, event_id="event-2") == "found running"


def test_names_are_short_enough_and_keep_the_hash() -> None:
    hash_ = "f" * 32
    name = execution_name("s" * 30 + "-" + "e" * 63, hash_)
    assert (len(name), name[-32:]) == (80, hash_)
    assert execution_name("shop-production", hash_) == f"shop-production-{hash_}"
