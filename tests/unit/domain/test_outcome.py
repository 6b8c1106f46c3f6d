"""Outcomes: the words, exit codes, events and severities of the contract."""

from __future__ import annotations

import json

import pytest
from tidegate.domain.outcome import Outcome, OutcomeDocument

CONTRACT = [
    ("Succeeded", 0, "Deployment Succeeded", "info", False),
    ("Rotated", 0, "Rotation Succeeded", "info", False),
    ("NoChange", 0, "Deployment Succeeded", "info", False),
    ("FailedClean", 10, "Deployment Failed", "warning", True),
    ("FailedDirty", 20, "Deployment Failed", "critical", True),
    ("Refused", 30, "Deployment Refused", "info", False),
    ("Superseded", 40, "Deployment Superseded", "info", False),
]


@pytest.mark.parametrize(("word", "exit_code", "event", "severity", "failed"), CONTRACT)
def test_an_outcome_means_what_the_contract_says(
    word: str, exit_code: int, event: str, severity: str, failed: bool
) -> None:
    outcome = Outcome(word)
    assert (outcome.exit_code, outcome.event, outcome.severity, outcome.failed) == (
        exit_code,
        event,
        severity,
        failed,
    )


def test_the_contract_knows_every_outcome() -> None:
    assert {word for word, *_ in CONTRACT} == {outcome.value for outcome in Outcome}


def test_the_document_has_the_contracts_keys_and_is_json() -> None:
    services = {"api": {"outcome": "Rolled", "digest": "sha256:1"}}
    document = OutcomeDocument(Outcome.SUCCEEDED, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "r42", "new", services)
    assert json.loads(json.dumps(document.to_json())) == {
        "outcome": "Succeeded",
        "deployment": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "release": "r42",
        "reason": "new",
        "services": services,
    }
    assert OutcomeDocument(Outcome.REFUSED, "d", None, "why").to_json()["services"] == {}


def test_a_cause_holds_some_hundred_services() -> None:
    """Step Functions cuts a `cause` at 32,768 characters, and a cut document is no JSON."""
    service = {
        "outcome": "NotReverted",
        "task_definition": "arn:aws:ecs:eu-central-1:123456789012:task-definition/" + "f" * 60 + ":1234",
    }
    services = {f"service-{number:03d}": service for number in range(120)}
    document = OutcomeDocument(Outcome.FAILED_DIRTY, "d" * 26, "r999999", "x" * 1000, services)
    assert len(json.dumps(document.to_json())) < 32_768
