"""Every function has its events, and they are what the machines, the rules and the contract make them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ministack.services import eventbridge
from tidegate.domain.outcome import Outcome
from tidegate.domain.rotation import RotationPlan
from tidegate.runtime.settings import STACK

from tests.machines.migrate_cases import SQL
from tests.template.loading import ROOT, Stack, load, referred
from tests.template.walking import RUN, called, flow_of, keys_of, step_of, tasks

EVENTS = ROOT / "events"
FILES = sorted(EVENTS.glob("*/*.json"))
DETAIL = {
    "system",
    "environment",
    "deployment",
    "release",
    "commit",
    "actor",
    "outcome",
    "reason",
    "severity",
    "started_at",
    "finished_at",
    "services",
}

# A build is of no environment and no deployment, but of images.
OF_A_BUILD = {"Build Failed": {"build", "images"}}

# What a payload that an expression makes has of the plan: `Migrating._prepared` of `steps/run_migration.py`, "sql", and
# `RotationPlan.payload`.
OF_THE_PLAN = {
    "migrate_sql": frozenset(SQL),
    "rotate_secret": frozenset(RotationPlan("s", "token", "regenerate", "v").payload()),
}


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def of_function(name: str) -> list[Path]:
    return [path for path in FILES if path.parent.name == name]


def payloads(stack: Stack) -> Iterator[tuple[str, str, frozenset[str]]]:
    """(function, step, keys) of each Task that calls a function; one that does a single thing has no step."""
    for machine, definition in stack.machines.items():
        substituted = stack.resources[machine]["Properties"]["DefinitionSubstitutions"]
        for flow in flow_of(machine, definition).all():
            for _, state in tasks(flow):
                if state["Resource"] != RUN:
                    function = stack.functions()[referred(substituted[called(state)]) or ""]
                    name = function["Code"]["S3Key"].removeprefix("functions/")
                    told = (
                        OF_THE_PLAN[name] if isinstance(state["Arguments"]["Payload"], str) else frozenset()
                    )
                    yield name, step_of(state) or "", keys_of(state) | told


SENT = sorted(set(payloads(load())), key=lambda sent: sent[:2])
BY_MACHINES = {function for function, _, _ in SENT}


@pytest.mark.parametrize(("function", "step", "keys"), SENT)
def test_what_a_machine_sends_is_among_the_events(function: str, step: str, keys: frozenset[str]) -> None:
    assert any(
        (event.get("step", ""), set(event)) == (step, keys) for event in map(read, of_function(function))
    )


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.parent.name in BY_MACHINES],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_a_payload_is_what_a_machine_sends(path: Path) -> None:
    event = read(path)
    assert (path.parent.name, event.get("step", ""), frozenset(event)) in SENT


def patterns(function: str) -> list[dict[str, Any]]:
    return [
        rule["EventPattern"]
        for rule in load().of_type("AWS::Events::Rule").values()
        if "EventPattern" in rule and referred(rule["Targets"][0]["Arn"]) == function
    ]


def test_each_rule_lets_one_of_the_events_through() -> None:
    events = [read(path) for path in of_function("wake")]
    for pattern in patterns("WakeFunction"):
        assert any(matches(pattern, event) for event in events), pattern


@pytest.mark.parametrize(
    ("name", "let_through"),
    [
        ("image_published", True),
        ("image_published_bad_digest", True),
        ("ecs_deployment_completed", True),
        ("ecs_deployment_failed", True),
        ("ecs_deployment_in_progress", False),
        ("ecs_task_stopped_with_exit_code", True),
        ("ecs_task_of_a_migration", True),
        ("ecs_service_steady", True),
        ("ecs_service_impaired", False),
        ("rds_snapshot_made", True),
        ("rds_cluster_snapshot_made", True),
        ("rds_snapshot_of_somebody_else", False),
        ("codebuild_succeeded", True),
        ("codebuild_failed", True),
        ("codebuild_stopped", True),
        ("codebuild_in_progress", False),
        ("codecommit_branch_created", True),
        ("codecommit_branch_updated", True),
        ("codecommit_branch_deleted", False),
        ("codecommit_tag_created", False),
        ("ecr_scan_complete", True),
        ("github_push", True),
        ("alarm_rang", True),
        ("alarm_fell_silent", False),
        ("secret_changed", True),
        ("secret_changed_by_a_rotation", True),
        ("secret_has_another_label", False),
        ("of_no_use", False),
    ],
)
def test_the_rules_let_through_what_is_of_use(name: str, let_through: bool) -> None:
    event = read(EVENTS / "wake" / f"{name}.json")
    assert any(matches(pattern, event) for pattern in patterns("WakeFunction")) is let_through


@pytest.mark.parametrize("path", of_function("out"), ids=lambda path: path.stem)
def test_what_goes_out_reaches_one_topic(path: Path) -> None:
    event = read(path)
    assert event["source"] == STACK
    assert set(event["detail"]) == DETAIL | OF_A_BUILD.get(event["detail-type"], set())
    heard = [
        rule
        for rule in load().of_type("AWS::Events::Rule").values()
        if "EventPattern" in rule and matches(rule["EventPattern"], event)
    ]
    assert len(heard) == 1


def test_every_outcome_that_is_announced_has_its_event() -> None:
    announced = {
        (event["detail-type"], event["detail"]["outcome"]) for event in map(read, of_function("out"))
    }
    assert {(outcome.event, outcome.value) for outcome in Outcome} <= announced


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """As EventBridge matches, by the emulator's engine, which takes the event as it was put."""
    put = {
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Detail": json.dumps(event["detail"]),
        "Resources": event["resources"],
    }
    return bool(eventbridge._matches_pattern(json.dumps(pattern), put))
