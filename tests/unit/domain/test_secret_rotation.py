"""What the function that rotates a secret is asked for, and whose turn it is."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.domain.errors import BadInputError
from tidegate.domain.rotation import STEPS
from tidegate.domain.secret_rotation import SecretRotation

PAYLOAD: dict[str, Any] = {
    "step": "Set",
    "system": "shop",
    "environment": "production",
    "deployment": "01JD6QZ5N8W3F4T7X2V9K1M0AB",
    "secret": "shop/production/database",
    "kind": "postgres",
    "strategy": "alternating",
    "admin": "shop/production/database-admin",
    "users": [],
    "format": "json",
    "tls": "verify-full",
    "version": "a" * 36,
    "previous": "b" * 36,
    "statements": None,
}


def rotation(**changes: Any) -> SecretRotation:
    return SecretRotation.from_payload(PAYLOAD | changes)


def test_all_that_is_asked_for() -> None:
    found = rotation(users=["shop_a", "shop_b"], format={"key": "url", "style": "url"}, statements="9f")
    assert found == SecretRotation(
        step="Set",
        system="shop",
        environment="production",
        deployment="01JD6QZ5N8W3F4T7X2V9K1M0AB",
        secret="shop/production/database",
        kind="postgres",
        strategy="alternating",
        admin="shop/production/database-admin",
        users=("shop_a", "shop_b"),
        format={"key": "url", "style": "url"},
        tls="verify-full",
        version="a" * 36,
        previous="b" * 36,
        statements="9f",
    )


@pytest.mark.parametrize("step", STEPS)
def test_each_step(step: str) -> None:
    assert rotation(step=step, statements="9f").step == step


@pytest.mark.parametrize("step", ["Precheck", "Restore", "Abandon", "Adoption"])
def test_steps_that_come_before_anything_is_known(step: str) -> None:
    assert rotation(step=step, previous=None).previous is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"step": "Rotate"}, "step"),
        ({"system": "Shop"}, "system"),
        ({"environment": None}, "environment"),
        ({"deployment": "1"}, "deployment"),
        ({"secret": ""}, "secret"),
        ({"secret": 1}, "secret"),
        ({"kind": "redis"}, "kind"),
        ({"strategy": "regenerate"}, "strategy"),
        ({"strategy": "dual-password"}, "strategy"),
        ({"kind": "token"}, "strategy"),
        ({"admin": None}, "admin"),
        ({"users": "app"}, "users"),
        ({"users": ["app"]}, "users"),
        ({"users": ["app", "app"]}, "users"),
        ({"users": ["app", ""]}, "users"),
        ({"users": ["a", "b", "c"]}, "users"),
        ({"format": None}, "format"),
        ({"format": "plain"}, "format"),
        ({"format": {"key": "url"}}, "format"),
        ({"format": {"key": "", "style": "url"}}, "format"),
        ({"format": {"key": "url", "style": "jdbc"}}, "format"),
        ({"format": {"key": "url", "style": ["url"]}}, "format"),
        ({"format": {"key": "url", "style": "url", "more": 1}}, "format"),
        ({"tls": "require"}, "tls"),
        ({"version": "a" * 31}, "version"),
        ({"version": "a" * 65}, "version"),
        ({"version": None}, "version"),
        ({"previous": "b"}, "previous"),
        ({"previous": None}, "previous"),
        ({"previous": None, "step": "Retire"}, "previous"),
        ({"step": "Adopt"}, "statements"),
        ({"password": "x"}, "password"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInputError) as raised:
        rotation(**changes)
    assert raised.value.field == field
    assert raised.value.hint


@pytest.mark.parametrize(
    ("current", "users", "second"),
    [
        ("app", [], "app_clone"),
        ("app_clone", [], "app"),
        ("_clone", [], "_clone_clone"),
        ("shop_a", ["shop_a", "shop_b"], "shop_b"),
        ("shop_b", ["shop_a", "shop_b"], "shop_a"),
        ("app_clone", ["app_clone", "app"], "app"),
    ],
)
def test_whose_turn_it_is(current: str, users: list[str], second: str) -> None:
    asked = rotation(users=users)
    assert asked.next_user(current) == second
    assert asked.next_user(second) == current


def test_one_user_has_every_turn() -> None:
    assert rotation(kind="mysql", strategy="dual-password", admin=None).next_user("app") == "app"


def test_a_user_that_is_none_of_those_named() -> None:
    with pytest.raises(BadInputError, match="app is none of shop_a and shop_b") as raised:
        rotation(users=["shop_a", "shop_b"]).next_user("app")
    assert (raised.value.field, bool(raised.value.hint)) == ("users", True)


@pytest.mark.parametrize(("kind", "longest"), [("postgres", "ü" * 28 + "a"), ("mysql", "ü" * 26)])
def test_a_clone_whose_name_no_database_has_room_for(kind: str, longest: str) -> None:
    """PostgreSQL would cut it off, and take another user for it; it counts bytes, MySQL characters."""
    asked = rotation(kind=kind)
    assert asked.next_user(longest) == longest + "_clone"
    with pytest.raises(BadInputError, match="too long"):
        asked.next_user(longest + "a")
