"""Rotations: what is kept of them survives the table, and a version's id is the same in every attempt."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from tidegate.domain.plan import Plan
from tidegate.domain.rotation import RotationPlan, RotationRun, SecretStanding, version_of
from tidegate.domain.secret_rotation import SecretRotation

AT = "2026-03-02T09:00:00.000Z"
PLAN = RotationPlan("shop/db", "postgres", "alternating", version_of("d1"), admin="shop/admin")
STRING = replace(
    PLAN,
    users=("a", "b"),
    format={"key": "Default", "style": "npgsql"},
    tls="off",
    overlap=0,
    function="shop-runner",
    adopt="apply",
    statements="5e1d",
)
RUN = RotationRun("v1", "v2", "app", "app_clone", AT)
BACK = replace(RUN, restored=True, replaces={"api": "ecs-svc/1"})
STANDING = SecretStanding(
    "shop/db",
    AT,
    AT,
    "v2",
    "d1",
    "ada",
    "app_clone",
    {"api": "ecs-svc/1"},
    attempt="d2",
    attempt_at=AT,
    attempt_outcome="Rotated",
)


@pytest.mark.parametrize(
    "thing",
    [PLAN, STRING, RUN, BACK, replace(RUN, retiring=True), STANDING, SecretStanding("shop/db")],
    ids=lambda thing: type(thing).__name__,
)
def test_it_is_read_as_it_was_written(thing: Any) -> None:
    """Absent values are not stored."""
    written = json.loads(json.dumps(thing.to_json()))
    assert type(thing).from_json(written) == thing
    assert type(thing).from_json({key: value for key, value in written.items() if value is not None}) == thing


@pytest.mark.parametrize("plan", [PLAN, STRING])
def test_what_is_sent_is_what_the_function_reads(plan: RotationPlan) -> None:
    """Guards `_PAYLOAD`: the machine adds step, place and what was current before."""
    sent = {
        "step": "Precheck",
        **json.loads(json.dumps(plan.payload())),
        "system": "shop",
        "environment": "production",
        "deployment": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "previous": None,
    }
    read = SecretRotation.from_payload(sent)
    assert (read.secret, read.kind, read.strategy, read.version) == (
        plan.secret,
        plan.kind,
        plan.strategy,
        plan.version,
    )
    assert (read.admin, tuple(read.users), read.format, read.tls) == (
        plan.admin,
        plan.users,
        plan.format,
        plan.tls,
    )
    assert not {"overlap", "function", "adopt"} & plan.payload().keys()


def test_a_plan_with_a_rotation_has_a_hash_of_its_own() -> None:
    """And one without has the hash that it always had."""
    bare = Plan("shop", ())
    assert "rotation" not in bare.to_json()
    rotating = Plan("shop", (), rotation=PLAN)
    assert Plan.from_json(json.loads(json.dumps(rotating.to_json()))) == rotating
    assert len({bare.hash, rotating.hash, Plan("shop", (), rotation=STRING).hash}) == 3


def test_a_version_is_one_of_secrets_manager() -> None:
    """ClientRequestToken has 32 to 64 characters."""
    version = version_of("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert re.fullmatch("[0-9a-f-]{36}", version)
    assert version == version_of("01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_another_rotation_or_part_of_it_has_another_version() -> None:
    assert len({version_of("d1"), version_of("d2"), version_of("d1", "retired")}) == 3
