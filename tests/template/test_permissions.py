"""What `make iam` takes away: every permission of every function, and nothing else is excused from it."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios import SCENARIOS
from tests.iam.permissions import AWS_ONLY, Pair, pairs, without
from tests.iam.plan import LIKELY, OTHERWISE, order
from tests.template.loading import Stack
from tests.template.policies import function_roles, permissions


def test_every_action_of_every_function_is_taken_away(stack: Stack) -> None:
    found = pairs(stack)
    assert len(found) == len(set(found))
    granted = {(role, entry.action) for role in function_roles(stack) for entry in permissions(stack, role)}
    assert {(pair.role, pair.action) for pair in found} == granted
    assert Pair("roll_service", "ecs:UpdateService", "RollServiceRole") in found
    assert {pair.function for pair in found} == {
        "plan_release",
        "lock",
        "roll_service",
        "record",
        "build_images",
        "publish_images",
        "wake",
        "sweep",
        "webhook",
        "control",
        "smoke",
        "run_migration",
        "migrate_sql",
        "rotate_secret",
    }


def test_what_only_aws_asks_for_is_asked_for_and_documented(stack: Stack) -> None:
    actions = {pair.action for pair in pairs(stack)}
    for action, entry in AWS_ONLY.items():
        assert action in actions
        assert entry["page"].startswith("https://docs.aws.amazon.com/")
        assert entry["why"]


def test_the_likely_scenarios_exist(stack: Stack) -> None:
    known = {(pair.function, pair.action) for pair in pairs(stack)}
    assert LIKELY.keys() <= known
    assert {*LIKELY.values(), *OTHERWISE.values()} <= SCENARIOS.keys()
    assert not {action for _, action in LIKELY} & AWS_ONLY.keys()
    for pair in pairs(stack):
        assert sorted(order(pair)) == sorted(SCENARIOS)


@pytest.mark.parametrize("action", ["a:One", ["a:One", "a:Two"]])
def test_a_policy_without_an_action(action: str | list[str]) -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": action, "Resource": "x"},
            {"Effect": "Allow", "Action": ["a:Two", "a:Three"], "Resource": "y"},
        ],
    }
    left = without(document, "a:One")
    assert [statement["Action"] for statement in left["Statement"]][-1] == ["a:Two", "a:Three"]
    assert "a:One" not in str(left)
    assert len(left["Statement"]) == (1 if action == "a:One" else 2)
    assert "a:One" in str(document)
